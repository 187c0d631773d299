// SPDX-License-Identifier: Apache-2.0
// Options of a live agent: which interfaces it watches, how, and for how long.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "bpf/hook.hpp"
#include "bpf/pins.hpp"
#include "config/file.hpp"
#include "net/interface.hpp"

namespace tcpwin {

enum class Directions { both, ingress, egress };

// Which interfaces are watched, and how.
struct WatchOptions {
	std::vector<std::string> interfaces; // or only "any"
	Directions directions = Directions::both;
	bool per_interface = false; // a separate flow for each interface that sees the connection
	bool persistent = false;    // programs and maps outlive the agent
	std::string bpffs = default_bpffs;
	IngressMode mode = IngressMode::automatic;
	TcHook tc_hook = TcHook::automatic;

	// Whether to watch all interfaces that are up, including those that come up later.
	bool any() const { return std::find(interfaces.begin(), interfaces.end(), "any") != interfaces.end(); }
};

// On the loopback, outgoing packets are the incoming ones, but only there they still have their socket. XDP would also take
// offloaded frames apart.
inline bool leaves_out_ingress(const WatchOptions &options, const Interface &interface)
{
	return interface.loopback && options.directions == Directions::both && options.mode == IngressMode::automatic;
}

struct SessionOptions {
	WatchOptions watch;
	SettingSources settings;                                // read again at SIGHUP
	std::optional<std::chrono::nanoseconds> duration;       // none: until a signal
	std::optional<std::chrono::nanoseconds> stats_interval; // none: no stats
	std::chrono::nanoseconds poll_interval = std::chrono::milliseconds(100);
	bool attribution = true; // false: records without the programs of this host
};

} // namespace tcpwin
