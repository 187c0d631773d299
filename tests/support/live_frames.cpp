// SPDX-License-Identifier: Apache-2.0
#include "live_frames.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "frame.hpp"
#include "live_frames.skel.h"

namespace tcpwin::test {
namespace {

constexpr uint32_t batch = 64;                 // frames a redirect flushes at once; a NAPI poll takes as many
constexpr uint64_t packets_per_call = 500'000; // a system call of a fraction of a second

constexpr const char *sender_name = "sender0", *watched_name = "watched0";

[[noreturn]] void fail(const std::string &what, int error = errno)
{
	throw std::system_error(error, std::generic_category(), what);
}

void run(const std::string &command)
{
	if (std::system(command.c_str()) != 0)
		throw std::runtime_error("failed: " + command);
}

uint32_t index_of(const char *device)
{
	const uint32_t index = if_nametoindex(device);
	if (!index)
		fail(std::string("find ") + device);
	return index;
}

class Ethtool {
public:
	explicit Ethtool(const std::string &device) : socket_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))
	{
		device.copy(request_.ifr_name, IFNAMSIZ - 1);
		ethtool_drvinfo info = {};
		info.cmd = ETHTOOL_GDRVINFO;
		ask(&info);
		size_ = info.n_stats;
	}

	// The sum of all statistics named "PREFIX number SUFFIX".
	uint64_t sum(std::string_view prefix, std::string_view suffix)
	{
		std::vector<uint8_t> names(sizeof(ethtool_gstrings) + size_ * ETH_GSTRING_LEN);
		auto *strings = reinterpret_cast<ethtool_gstrings *>(names.data());
		strings->cmd = ETHTOOL_GSTRINGS;
		strings->string_set = ETH_SS_STATS;
		strings->len = size_;
		ask(strings);
		std::vector<uint64_t> values((sizeof(ethtool_stats) + size_ * sizeof(uint64_t)) / sizeof(uint64_t));
		auto *stats = reinterpret_cast<ethtool_stats *>(values.data());
		stats->cmd = ETHTOOL_GSTATS;
		stats->n_stats = size_;
		ask(stats);
		uint64_t sum = 0;
		bool found = false;
		for (uint32_t i = 0; i < size_; i++) {
			const char *text = reinterpret_cast<char *>(strings->data) + i * ETH_GSTRING_LEN;
			const std::string_view name(text, strnlen(text, ETH_GSTRING_LEN));
			if (!name.starts_with(prefix) || !name.ends_with(suffix))
				continue;
			sum += stats->data[i];
			found = true;
		}
		if (!found)
			throw std::runtime_error("no statistic " + std::string(prefix) + "N" + std::string(suffix));
		return sum;
	}

private:
	void ask(void *question)
	{
		request_.ifr_data = static_cast<char *>(question);
		if (ioctl(socket_.get(), SIOCETHTOOL, &request_) != 0)
			fail("read the statistics of a device");
	}

	UniqueFd socket_;
	ifreq request_ = {};
	uint32_t size_ = 0;
};

} // namespace

NetworkNamespace::NetworkNamespace()
{
	fd_ = std::async(std::launch::async, [] {
		      if (unshare(CLONE_NEWNET) != 0)
			      fail("make a network namespace");
		      return UniqueFd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
	      }).get();
	if (!fd_)
		fail("open a network namespace");
}

void NetworkNamespace::enter() const
{
	if (setns(fd_.get(), CLONE_NEWNET) != 0)
		fail("enter a network namespace");
}

VethStatistics veth_statistics(const std::string &sender, const std::string &watched)
{
	Ethtool out(sender), in(watched);
	VethStatistics statistics;
	statistics.entered = in.sum("rx_queue_", "_xdp_packets");
	statistics.dropped = in.sum("rx_queue_", "_xdp_drops");
	statistics.lost = out.sum("tx_queue_", "_xdp_xmit_errors");
	return statistics;
}

// The shell that makes the links inherits the namespace of its thread.
VethPair::VethPair(unsigned queues)
{
	const std::string count = std::to_string(queues);
	const std::string size = " numtxqueues " + count + " numrxqueues " + count;
	inside([&] {
		run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null || true");
		run("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 2>/dev/null || true");
		run("ip link add name " + std::string(sender_name) + size + " type veth peer name " + watched_name +
		    size);
		for (const std::string device : {sender_name, watched_name})
			run("ip link set dev " + device + " addrgenmode none arp off up");
		sender_ = index_of(sender_name);
		watched_ = index_of(watched_name);
	});
}

VethStatistics VethPair::statistics() const
{
	return inside([] { return veth_statistics(sender_name, watched_name); });
}

void LiveSender::Destroy::operator()(live_frames_bpf *skeleton) const
{
	live_frames_bpf::destroy(skeleton);
}

LiveSender::LiveSender(const live_traffic &traffic, uint32_t frame_length)
	: traffic_(traffic), skeleton_(live_frames_bpf::open())
{
	if (!skeleton_)
		fail("open the generator");
	if (!traffic.flows || !traffic.burst || traffic.first_flow + traffic.flows > LIVE_MAX_FLOWS)
		throw std::invalid_argument("no such flows");
	// No device has the destination address, so the network stack drops the frame immediately.
	frame_ = Frame().ethernet().ipv4("10.0.0.0", "192.0.2.1").tcp(0, 0, 0).bytes();
	frame_.resize(std::max<size_t>(frame_length, LIVE_SHORTEST_FRAME));
	std::memcpy(const_cast<live_traffic *>(&skeleton_->rodata->traffic), &traffic, sizeof(traffic));
	skeleton_->bss->turn = traffic.flows - 1; // the first flow comes next
	skeleton_->data->state = std::random_device()() | 1ULL;
	if (traffic.count)
		bpf_map__set_max_entries(skeleton_->maps.streams, 2 * traffic.flows);
	if (int error = live_frames_bpf::load(skeleton_.get()))
		fail("load the generator", -error);
}

void LiveSender::send(uint64_t packets)
{
	while (packets > 0) {
		const uint64_t now = std::min(packets, packets_per_call);
		bpf_test_run_opts run = {};
		run.sz = sizeof(run);
		run.data_in = frame_.data();
		run.data_size_in = static_cast<uint32_t>(frame_.size());
		run.repeat = static_cast<int>(now);
		run.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
		run.batch_size = batch;
		if (int error = bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.live_frames), &run))
			fail("send live frames", -error);
		packets -= now;
	}
}

uint64_t LiveSender::sent() const
{
	return skeleton_->bss->written;
}

std::vector<uint64_t> LiveSender::sent_by_stream() const
{
	std::vector<uint64_t> sent(traffic_.count ? 2ULL * traffic_.flows : 0);
	std::vector<uint32_t> keys(sent.size());
	uint32_t place = 0, count = static_cast<uint32_t>(sent.size());
	if (count &&
	    bpf_map_lookup_batch(bpf_map__fd(skeleton_->maps.streams), nullptr, &place, keys.data(), sent.data(),
				 &count, nullptr) != 0 &&
	    errno != ENOENT)
		fail("read what was sent");
	return sent;
}

} // namespace tcpwin::test
