// SPDX-License-Identifier: Apache-2.0
//
// The facts about a device that check reads: the programs at its tc hooks, by clsact and by TCX,
// and the XDP features of its driver.
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <iterator>
#include <string>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <linux/bpf.h>

#include "bpf/features.hpp"
#include "bpf/program_name.hpp"
#include "bpf/tc_programs.hpp"
#include "bpf/tcx.hpp"
#include "net/xdp_features.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;

UniqueFd load(const char *name)
{
	const bpf_insn instructions[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
	};
	return UniqueFd(
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name, "GPL", instructions, std::size(instructions), nullptr));
}

unsigned id_of(const UniqueFd &program)
{
	bpf_prog_info info{};
	__u32 size = sizeof(info);
	EXPECT_EQ(bpf_obj_get_info_by_fd(program.get(), &info, &size), 0);
	return info.id;
}

auto is(const std::string &name, const UniqueFd &program, bool ingress)
{
	return AllOf(Field(&TcProgram::name, name), Field(&TcProgram::id, id_of(program)),
		     Field(&TcProgram::direction, ingress ? Direction::ingress : Direction::egress));
}

class TcProgramsTest : public ::testing::Test {
protected:
	void SetUp() override
	{
		if (geteuid() != 0)
			GTEST_SKIP() << "needs root: makes network namespaces, loads BPF programs";
		machine_ = UniqueFd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
		ASSERT_TRUE(machine_);
		ASSERT_EQ(unshare(CLONE_NEWNET), 0);
		ASSERT_EQ(std::system("ip link add end0 type veth peer name end1"), 0);
		ifindex_ = if_nametoindex("end0");
		LIBBPF_OPTS(bpf_tc_hook, both, .ifindex = static_cast<int>(ifindex_),
			    .attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
		ASSERT_EQ(bpf_tc_hook_create(&both), 0);
	}

	void TearDown() override
	{
		if (machine_) {
			ASSERT_EQ(setns(machine_.get(), CLONE_NEWNET), 0);
		}
	}

	void attach_clsact(const UniqueFd &program, bool ingress)
	{
		LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(ifindex_),
			    .attach_point = ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS);
		LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program.get());
		ASSERT_EQ(bpf_tc_attach(&hook, &options), 0);
	}

	UniqueFd attach_tcx(const UniqueFd &program, bool ingress)
	{
		return UniqueFd(bpf_link_create(program.get(), static_cast<int>(ifindex_),
						tcx_attach_type(ingress ? Direction::ingress : Direction::egress),
						nullptr));
	}

	unsigned ifindex_ = 0;

private:
	UniqueFd machine_;
};

TEST_F(TcProgramsTest, NoneIfNothingIsAttached)
{
	EXPECT_THAT(clsact_programs(ifindex_).value(), IsEmpty());
	EXPECT_THAT(tcx_programs(ifindex_).value(), IsEmpty());
}

TEST_F(TcProgramsTest, ByClsactInBothDirections)
{
	const UniqueFd first = load("first"), second = load("second"), third = load("third");
	attach_clsact(first, true);
	attach_clsact(second, false);
	attach_clsact(third, false);
	EXPECT_THAT(clsact_programs(ifindex_).value(),
		    ::testing::UnorderedElementsAre(is("first", first, true), is("second", second, false),
						    is("third", third, false)));
	EXPECT_THAT(clsact_programs(if_nametoindex("end1")).value(), IsEmpty());
}

TEST_F(TcProgramsTest, ByTcxInBothDirections)
{
	if (!has_tcx().value())
		GTEST_SKIP() << "this kernel has no TCX";
	const UniqueFd first = load("first"), second = load("second"), third = load("third");
	const UniqueFd links[] = {attach_tcx(first, true), attach_tcx(second, false), attach_tcx(third, false)};
	for (const UniqueFd &link : links)
		ASSERT_TRUE(link);
	EXPECT_THAT(tcx_programs(ifindex_).value(),
		    ElementsAre(is("first", first, true), is("second", second, false), is("third", third, false)));
	EXPECT_THAT(clsact_programs(ifindex_).value(), IsEmpty());
	EXPECT_THAT(tcx_programs(if_nametoindex("end1")).value(), IsEmpty());
}

// Compares with an attempt to attach a program.
TEST_F(TcProgramsTest, HasTcxSaysWhetherItCanBeAttached)
{
	const UniqueFd program = load("first");
	EXPECT_EQ(has_tcx().value(), static_cast<bool>(attach_tcx(program, false)));
}

TEST_F(TcProgramsTest, NameOfALoadedProgram)
{
	const UniqueFd program = load("first");
	const unsigned id = id_of(program);
	EXPECT_EQ(program_name(id), "first");
	EXPECT_EQ(program_name(UINT32_MAX), "");
}

TEST_F(TcProgramsTest, XdpFeaturesOfDrivers)
{
	const auto veth = xdp_features(ifindex_), loopback = xdp_features(if_nametoindex("lo"));
	if (!veth && veth.error().why == "the kernel does not report them; Linux 6.3 or later does")
		GTEST_SKIP() << veth.error().why;
	ASSERT_TRUE(veth && loopback);
	EXPECT_EQ(*veth & (xdp_basic | xdp_rx_sg), xdp_basic | xdp_rx_sg);
	EXPECT_EQ(*loopback & (xdp_basic | xdp_rx_sg), 0U);
	EXPECT_FALSE(xdp_features(99'999));
}

} // namespace
} // namespace tcpwin::test
