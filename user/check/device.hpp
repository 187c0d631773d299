// SPDX-License-Identifier: Apache-2.0
// The part of check that concerns one interface.
#pragma once

#include <optional>
#include <string>

#include "base/error.hpp"
#include "check/checklist.hpp"

namespace tcpwin {

// Returns how attach would watch the interface: "native XDP for ingress, TCX for egress"; empty: there is no such
// interface. tcx: whether the kernel has TCX; nullopt: unknown. Error: the interfaces cannot be listed.
Result<std::string> check_device(Checklist &list, const std::string &name, std::optional<bool> tcx);

} // namespace tcpwin
