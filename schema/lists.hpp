// SPDX-License-Identifier: Apache-2.0
// Generates the schema from the lists in the code, and the tables of docs/records.md from the schema.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace tcpwin {

using Schema = nlohmann::ordered_json;

// The schema with everything that comes from a list in the code regenerated: the fields of the stall analysis, the
// counters, and the names of flags, hooks, alarms, states and reasons.
Schema update_schema(Schema schema);

// The text of the file, short objects on one line.
std::string format_schema(const Schema &schema);

// The page with its tables of fields regenerated. Each table is between "<!-- fields: NAME -->" and "<!-- end -->",
// where NAME is a definition of the schema, or one of its properties (status.counters).
std::string update_page(const std::string &page, const Schema &schema);

} // namespace tcpwin
