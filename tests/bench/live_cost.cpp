// SPDX-License-Identifier: Apache-2.0
//
// Packets per second through native XDP on a veth: the production program and an
// empty one, alternately, every packet accounted for. Prints all rounds as JSON.
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <exception>

#include "machine.hpp"
#include "support/cpus.hpp"
#include "support/live_frames.hpp"

namespace {

using namespace tcpwin::bench;
using namespace tcpwin::test;

constexpr uint32_t native = 1 << 2; // XDP_FLAGS_DRV_MODE

// Nanoseconds of CPU per packet: the sender's system call runs the receiver's softirq as well.
double send(const VethPair &pair, int program, LiveSender &sender, uint64_t packets)
{
	return pair.inside([&] {
		const auto device = static_cast<int>(pair.watched());
		pin_to(usable_cpus().back());
		check("attach", bpf_xdp_attach(device, program, native, nullptr));
		const double start = now_ns(CLOCK_MONOTONIC);
		sender.send(packets);
		const double taken = now_ns(CLOCK_MONOTONIC) - start;
		check("detach", bpf_xdp_detach(device, native, nullptr));
		return taken / static_cast<double>(packets);
	});
}

nlohmann::json measure(int rounds)
{
	const uint64_t packets = 500'000;
	VethPair pair;
	Machine machine(262144);
	live_traffic traffic = default_traffic;
	traffic.device = pair.sender();
	traffic.flows = 1000;
	LiveSender sender(traffic, LIVE_SHORTEST_FRAME);

	nlohmann::json samples;
	uint64_t entered = 0;
	for (int round = 0; round < rounds; round++) {
		samples["empty"].push_back(send(pair, machine.empty(), sender, packets));
		const uint64_t before = pair.statistics().entered;
		samples["whole"].push_back(send(pair, machine.whole(), sender, packets));
		entered += pair.statistics().entered - before;
	}
	return {{"ns", samples},
		{"entered", entered},
		{"counted", machine.counted()},
		{"lost", pair.statistics().lost}};
}

} // namespace

int main(int argc, char **argv)
try {
	fmt::print("{}\n", measure(argc > 1 ? std::atoi(argv[1]) : 21).dump());
} catch (const std::exception &error) {
	fmt::print(stderr, "live_cost: {}\n", error.what());
	return 1;
}
