// SPDX-License-Identifier: Apache-2.0
// What the lists of the code say about the schema, and what the schema says about docs/records.md.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace tcpwin {

using Schema = nlohmann::ordered_json;

// The schema with everything that comes from a list of the code put in anew: the fields of the stall analysis, the
// counters, and the names of flags, hooks, alarms, states and reasons.
Schema update_schema(Schema schema);

// The text of the file, short objects on one line.
std::string format_schema(const Schema &schema);

// The page with its tables of fields put in anew. Each stands between "<!-- fields: NAME -->" and "<!-- end -->",
// where NAME is a definition of the schema, or one of its properties (status.counters).
std::string update_page(const std::string &page, const Schema &schema);

} // namespace tcpwin
