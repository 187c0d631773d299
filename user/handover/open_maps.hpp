// SPDX-License-Identifier: Apache-2.0
// The maps of another agent, opened by their pins or through a program that uses them; closed with the object.
#pragma once

#include <array>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "bpf/agent_maps.hpp"
#include "bpf/pins.hpp"

namespace tcpwin {

struct Deployment;

class OpenMaps {
public:
	static Result<OpenMaps> of_deployment(const Deployment &deployment);
	static Result<OpenMaps> of_pins(const PinnedInterface &pinned);
	// id: the kernel's, of any program of the agent. Needs CAP_SYS_ADMIN.
	static Result<OpenMaps> of_program(unsigned id);

	// Valid as long as the object.
	AgentMaps get() const;

private:
	std::array<UniqueFd, pinned_maps.size()> fds_; // in the order of pinned_maps
	bool own_layout_ = false;
};

} // namespace tcpwin
