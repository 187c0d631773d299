// SPDX-License-Identifier: Apache-2.0
// The flows command: lists the flows that have not ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cli/common_options.hpp"

namespace tcpwin {

struct FlowsOptions {
	LiveSelection selection;
	std::optional<std::size_t> limit; // none: all
	bool json = false;
	std::optional<std::uint16_t> community_id_seed = 0; // none: without community_id
};

void define_flows(OptionList &list, FlowsOptions &options);

// Lists the flows that have not ended. Needs CAP_SYS_ADMIN.
Result<Exit> list_flows(const FlowsOptions &options);

} // namespace tcpwin
