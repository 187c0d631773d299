// SPDX-License-Identifier: Apache-2.0
//
// The tc programs: the same flows as XDP, offloaded frames by their segments, forwarded ones once.
#include <optional>

#include <gtest/gtest.h>

#include "kernel.hpp"

namespace tcpwin::test {
namespace {

constexpr bool ingress = false, egress = true;
tcpwin_interface make_interface(uint16_t scope, uint8_t ingress)
{
	tcpwin_interface interface = {};
	interface.scope = scope;
	interface.link_header = ETH_HLEN;
	interface.ingress = ingress;
	return interface;
}

const tcpwin_interface both_ways = make_interface(0, 1);

Bytes from_client(size_t payload = 0)
{
	return Frame()
		.ethernet()
		.ipv4("10.0.0.1", "10.0.0.2")
		.tcp(40000, 80, TCPWIN_FLAG_ACK, {.window = 1000})
		.payload(payload)
		.bytes();
}

Bytes from_server()
{
	return Frame().ethernet().ipv4("10.0.0.2", "10.0.0.1").tcp(80, 40000, TCPWIN_FLAG_ACK, {.window = 0}).bytes();
}

class TcTest : public KernelTest {
protected:
	void load(const tcpwin_interface &interface = both_ways, bool per_interface = false)
	{
		kernel_.emplace(KernelSetup{.per_interface = per_interface, .clock = Clock::tc});
		kernel_->add_interface(loopback, interface);
		context_.ifindex = loopback;
	}
	tcpwin_flow only_flow() const
	{
		const Flows flows = kernel_->flows();
		EXPECT_EQ(flows.size(), 1u);
		return flows.empty() ? tcpwin_flow{} : flows.begin()->second;
	}

	std::optional<Kernel> kernel_;
	__sk_buff context_ = {};
};

TEST_F(TcTest, BothDirectionsAreOneFlow)
{
	load();
	kernel_->run_tc(egress, from_client(), context_);
	kernel_->run_tc(ingress, from_server(), context_);
	const tcpwin_flow flow = only_flow();
	EXPECT_EQ(flow.direction[0].packets, 1u);
	EXPECT_EQ(flow.direction[1].packets, 1u);
	EXPECT_EQ(flow.direction[1].zero_window_count, 1u);
	EXPECT_EQ(flow.hooks, TCPWIN_HOOK_TC_INGRESS | TCPWIN_HOOK_TC_EGRESS);
	EXPECT_EQ(flow.ifindex, loopback);
	EXPECT_EQ(kernel_->counter(TCPWIN_COUNTER_TRACKED), 2u);
}

TEST_F(TcTest, OffloadedFrameCountsItsSegments)
{
	load();
	context_.gso_size = 1000;
	context_.gso_segs = 3;
	kernel_->run_tc(egress, from_client(2500), context_);
	EXPECT_EQ(only_flow().direction[0].packets, 3u);
	EXPECT_EQ(only_flow().direction[0].bytes, 3u * 40 + 2500);
	EXPECT_EQ(kernel_->counter(TCPWIN_COUNTER_TRACKED), 3u);
}

TEST_F(TcTest, ForwardedFrameIsCountedAtItsIngress)
{
	load();
	context_.ingress_ifindex = loopback;
	kernel_->run_tc(ingress, from_client(), context_);
	kernel_->run_tc(egress, from_client(), context_);
	EXPECT_EQ(only_flow().direction[0].packets, 1u);
	EXPECT_EQ(kernel_->counter(TCPWIN_COUNTER_FORWARDED), 1u);
}

TEST_F(TcTest, ForwardedFrameCountsIfItsIngressIsNotWatched)
{
	load(make_interface(0, 0));
	context_.ingress_ifindex = loopback;
	kernel_->run_tc(egress, from_client(), context_);
	EXPECT_EQ(only_flow().direction[0].packets, 1u);
	EXPECT_EQ(kernel_->counter(TCPWIN_COUNTER_FORWARDED), 0u);
}

TEST_F(TcTest, ForwardedFrameCountsTwiceIfInterfacesAreSeparate)
{
	load(make_interface(4, 1), true);
	context_.ingress_ifindex = loopback;
	kernel_->run_tc(egress, from_client(), context_);
	EXPECT_EQ(kernel_->flows().begin()->first.scope, 4);
	EXPECT_EQ(kernel_->counter(TCPWIN_COUNTER_FORWARDED), 0u);
}

TEST_F(TcTest, UnknownInterfaceIsNotWatched)
{
	load();
	kernel_->forget_interface(loopback);
	kernel_->run_tc(ingress, from_client(), context_);
	EXPECT_TRUE(kernel_->flows().empty());
}

TEST_F(TcTest, FlowsOfADeletedInterfaceEndWithThatReason)
{
	load();
	kernel_->run_tc(egress, from_client(), context_);
	tcpwin_sweep sweep = {};
	sweep.now_ns = TCPWIN_CLOCK_NOW;
	sweep.ifindex = loopback + 1;
	EXPECT_EQ(kernel_->sweep(sweep).exported, 0u);
	sweep.ifindex = loopback;
	EXPECT_EQ(kernel_->sweep(sweep).exported, 1u);
	EXPECT_EQ(kernel_->drain().records.at(0).reason, TCPWIN_END_INTERFACE_GONE);
}

} // namespace
} // namespace tcpwin::test
