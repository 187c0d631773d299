// SPDX-License-Identifier: Apache-2.0
//
// How long a packet waits while the table is swept on the CPU that serves it.
//
//	stall SENDER WATCHED        interfaces of this namespace; WATCHED steers its packets to the last CPU (RPS)
//
// One frame per millisecond is sent from the first CPU; the last CPU is interrupted
// to take it, and the program counts it there, at a time that the flow stores. The
// last CPU is idle and sweeps a million flows continuously, alternately. Prints the delays as
// JSON, in nanoseconds: median, 99 % and largest of each round.
#include <arpa/inet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "machine.hpp"
#include "support/cpus.hpp"
#include "base/unique_fd.hpp"

namespace {

using namespace tcpwin::bench;
using namespace tcpwin::test;

constexpr uint32_t million = 1 << 20;
constexpr uint32_t generic = 1 << 1; // XDP_FLAGS_SKB_MODE, which runs after the steering
constexpr int frames = 300;          // per round
constexpr double lost_after = 1e9;   // ns

unsigned index_of(const char *name)
{
	const unsigned index = if_nametoindex(name);
	if (!index)
		throw std::runtime_error(fmt::format("no interface {}", name));
	return index;
}

class Probe {
public:
	Probe(const Machine &machine, unsigned sender)
		: table_(machine.table()), socket_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)),
		  frame_(Frame().ethernet().ipv4("192.0.2.1", "192.0.2.2").tcp(40000, 80, TCPWIN_FLAG_ACK).bytes())
	{
		const uint8_t low[] = {192, 0, 2, 1}, high[] = {192, 0, 2, 2};
		for (auto &address : key_.address)
			address.byte[10] = address.byte[11] = 0xff;
		std::copy_n(low, 4, key_.address[0].byte + 12);
		std::copy_n(high, 4, key_.address[1].byte + 12);
		key_.port[0] = 40000;
		key_.port[1] = 80;
		to_.sll_family = AF_PACKET;
		to_.sll_ifindex = static_cast<int>(sender);
		to_.sll_halen = 6;
	}

	// From the system call that sends it to the clock that the program reads for it.
	double delay()
	{
		const double sent = now_ns(CLOCK_BOOTTIME);
		if (sendto(socket_.get(), frame_.data(), frame_.size(), 0, reinterpret_cast<sockaddr *>(&to_),
			   sizeof(to_)) < 0)
			throw std::system_error(errno, std::generic_category(), "send a frame");
		tcpwin_flow flow{};
		while (bpf_map_lookup_elem(table_, &key_, &flow) != 0 ||
		       static_cast<double>(flow.direction[0].last_ns) < sent)
			if (now_ns(CLOCK_BOOTTIME) - sent > lost_after)
				throw std::runtime_error("a frame did not arrive");
		return static_cast<double>(flow.direction[0].last_ns) - sent;
	}

private:
	int table_;
	tcpwin::UniqueFd socket_;
	Bytes frame_;
	tcpwin_key key_{};
	sockaddr_ll to_{};
};

nlohmann::json round(Probe &probe)
{
	std::vector<double> delays;
	for (int i = 0; i < frames; i++) {
		delays.push_back(probe.delay());
		std::this_thread::sleep_for(std::chrono::milliseconds(1));
	}
	std::sort(delays.begin(), delays.end());
	return {{"median", delays[frames / 2]}, {"most", delays[frames * 99 / 100]}, {"largest", delays.back()}};
}

nlohmann::json measure(unsigned sender, unsigned watched)
{
	Machine machine(million + 1);
	pin_to(usable_cpus().front());
	run(machine.vary(machine.whole(), 0), million);
	check("attach", bpf_xdp_attach(static_cast<int>(watched), machine.whole(), generic, nullptr));
	Probe probe(machine, sender);
	probe.delay();

	std::atomic<bool> sweeping = false, over = false;
	std::atomic<unsigned> sweeps = 0;
	const int last = usable_cpus().back();
	std::thread sweeper([&] {
		pin_to(last);
		while (!over) {
			if (sweeping) {
				tcpwin_sweep argument{};
				argument.now_ns = TCPWIN_CLOCK_NOW;
				machine.sweep(argument);
				sweeps++;
			} else {
				std::this_thread::sleep_for(std::chrono::milliseconds(1));
			}
		}
	});
	nlohmann::json rounds;
	for (int i = 0; i < 5; i++)
		for (const bool sweep : {false, true}) {
			sweeping = sweep;
			rounds[sweep ? "sweep" : "idle"].push_back(round(probe));
		}
	over = true;
	sweeper.join();
	return {{"ns", rounds}, {"sweeps", sweeps.load()}};
}

} // namespace

int main(int argc, char **argv)
try {
	if (argc != 3)
		throw std::runtime_error("stall SENDER WATCHED");
	if (tcpwin::test::usable_cpus().size() < 2)
		throw std::runtime_error("needs two CPUs");
	fmt::print("{}\n", measure(index_of(argv[1]), index_of(argv[2])).dump());
} catch (const std::exception &error) {
	fmt::print(stderr, "stall: {}\n", error.what());
	return 1;
}
