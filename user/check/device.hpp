// SPDX-License-Identifier: Apache-2.0
// The part of check that asks about one interface.
#pragma once

#include <optional>
#include <string>

#include "check/checklist.hpp"
#include "base/error.hpp"

namespace tcpwin {

// Returns how it would be watched: "native XDP for ingress, TCX for egress"; empty if it cannot be.
Result<std::string> check_device(Checklist &list, const std::string &name, std::optional<bool> tcx);

} // namespace tcpwin
