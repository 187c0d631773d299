// SPDX-License-Identifier: Apache-2.0
//
// Interfaces that `ip` makes in a separate network namespace, as list_interfaces and InterfaceMonitor see them.
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "net/interface.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uid_t nobody = 65534;

bool ip(const std::string &arguments)
{
	return std::system(("ip " + arguments + " 2>/dev/null").c_str()) == 0;
}

std::vector<std::string> names_of(const std::vector<Interface> &interfaces)
{
	std::vector<std::string> names;
	for (const Interface &interface : interfaces)
		names.push_back(interface.name);
	return names;
}

bool readable(const InterfaceMonitor &monitor)
{
	pollfd fd{monitor.fd(), POLLIN, 0};
	return poll(&fd, 1, 0) == 1;
}

auto open_descriptors()
{
	return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

// The result of `act`, run by a user without capabilities that cannot open descriptors.
template <typename Act> bool without_privileges(Act act)
{
	const pid_t child = fork();
	if (child == 0) {
		const rlimit none{0, 0};
		if (setrlimit(RLIMIT_NOFILE, &none) != 0 || setresuid(nobody, nobody, nobody) != 0 || dup(0) >= 0)
			_exit(2);
		_exit(act() ? 0 : 1);
	}
	int status = -1;
	return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class InterfaceTest : public ::testing::Test {
protected:
	void SetUp() override
	{
		if (geteuid() != 0)
			GTEST_SKIP() << "needs root: makes network namespaces";
		machine_ = UniqueFd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
		ASSERT_TRUE(machine_);
		ASSERT_EQ(unshare(CLONE_NEWNET), 0);
		other_ = UniqueFd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
		ASSERT_EQ(unshare(CLONE_NEWNET), 0);
	}

	void TearDown() override
	{
		if (machine_) {
			ASSERT_EQ(setns(machine_.get(), CLONE_NEWNET), 0);
		}
	}

	// For `ip link ... netns`.
	std::string other_namespace() const { return fmt::format("/proc/{}/fd/{}", getpid(), other_.get()); }

	static Interface find(const std::string &name,
			      const Result<std::vector<Interface>> &interfaces = list_interfaces())
	{
		if (interfaces)
			for (const Interface &interface : *interfaces)
				if (interface.name == name)
					return interface;
		ADD_FAILURE() << "no interface " << name;
		return {};
	}

	static InterfaceMonitor open_monitor()
	{
		auto monitor = InterfaceMonitor::open();
		EXPECT_TRUE(monitor) << monitor.error().sentence();
		return std::move(*monitor);
	}

private:
	UniqueFd machine_, other_;
};

TEST_F(InterfaceTest, Loopback)
{
	const auto interfaces = list_interfaces();
	ASSERT_TRUE(interfaces);
	ASSERT_EQ(interfaces->at(0).name, "lo"); // modules may add devices to each namespace
	const Interface &lo = interfaces->at(0);
	EXPECT_EQ(lo.index, 1U);
	EXPECT_EQ(lo.kind, "");
	EXPECT_EQ(lo.mtu, 65536U);
	EXPECT_TRUE(lo.loopback);
	EXPECT_TRUE(lo.ethernet);
	EXPECT_FALSE(lo.stacked);
	EXPECT_FALSE(lo.up);
	ASSERT_TRUE(ip("link set lo up"));
	EXPECT_TRUE(find("lo").up);
}

TEST_F(InterfaceTest, VethNamesItsPeer)
{
	ASSERT_TRUE(ip("link add left0 mtu 9000 type veth peer name right0 mtu 1400"));
	const Interface left = find("left0"), right = find("right0");
	EXPECT_EQ(left.kind, "veth");
	EXPECT_EQ(left.peer, right.index);
	EXPECT_EQ(right.peer, left.index);
	EXPECT_EQ(left.index, if_nametoindex("left0"));
	EXPECT_EQ(left.mtu, 9000U);
	EXPECT_EQ(right.mtu, 1400U);
	EXPECT_TRUE(left.ethernet);
	EXPECT_FALSE(left.loopback || left.stacked || left.up);
	EXPECT_EQ(left.lower, 0U);
}

// The index of the peer belongs to the other namespace; in this one, another interface has it.
TEST_F(InterfaceTest, VethWithItsPeerInAnotherNamespaceHasNone)
{
	ASSERT_TRUE(ip("link add away0 index 700 type veth peer name home0 index 701"));
	ASSERT_TRUE(ip("link set away0 netns " + other_namespace()));
	ASSERT_TRUE(ip("link add stranger0 index 700 type veth peer name stranger1 index 702"));
	EXPECT_EQ(find("home0").peer, 0U);
	EXPECT_EQ(find("stranger0").peer, 702U);
}

TEST_F(InterfaceTest, BridgeIsStackedItsPortIsNot)
{
	ASSERT_TRUE(ip("link add bridge0 type bridge"));
	ASSERT_TRUE(ip("link add port0 type veth peer name far0"));
	ASSERT_TRUE(ip("link set port0 master bridge0"));
	const Interface bridge = find("bridge0");
	EXPECT_EQ(bridge.kind, "bridge");
	EXPECT_TRUE(bridge.stacked);
	EXPECT_EQ(find("port0").master, bridge.index);
	EXPECT_FALSE(find("port0").stacked);
	EXPECT_EQ(find("far0").master, 0U);
}

TEST_F(InterfaceTest, MacvlanIsStackedOnAnInterfaceOfThisNamespace)
{
	ASSERT_TRUE(ip("link add lower0 type veth peer name far0"));
	if (!ip("link add upper0 link lower0 type macvlan"))
		GTEST_SKIP() << "this kernel has no macvlan";
	const Interface upper = find("upper0");
	EXPECT_EQ(upper.kind, "macvlan");
	EXPECT_TRUE(upper.stacked);
	EXPECT_EQ(upper.lower, find("lower0").index);
	EXPECT_EQ(upper.peer, 0U);

	ASSERT_TRUE(ip("link set lower0 netns " + other_namespace()));
	EXPECT_FALSE(find("upper0").stacked);
	EXPECT_EQ(find("upper0").lower, 0U);
}

TEST_F(InterfaceTest, VlanIsStacked)
{
	ASSERT_TRUE(ip("link add lower0 type veth peer name far0"));
	if (!ip("link add upper0 link lower0 type vlan id 7"))
		GTEST_SKIP() << "this kernel has no VLAN devices";
	EXPECT_TRUE(find("upper0").stacked);
	EXPECT_EQ(find("upper0").lower, find("lower0").index);
}

// Below it, its packets are encapsulated in others, which do not belong to the same connection.
TEST_F(InterfaceTest, TunnelIsNotStacked)
{
	ASSERT_TRUE(ip("link add lower0 type veth peer name far0"));
	if (!ip("link add tunnel0 type vxlan id 7 dev lower0 dstport 4789"))
		GTEST_SKIP() << "this kernel has no vxlan";
	EXPECT_EQ(find("tunnel0").kind, "vxlan");
	EXPECT_FALSE(find("tunnel0").stacked);
}

TEST_F(InterfaceTest, TunHasNoEthernetHeaders)
{
	ASSERT_TRUE(ip("tuntap add tun0 mode tun"));
	ASSERT_TRUE(ip("tuntap add tap0 mode tap"));
	EXPECT_FALSE(find("tun0").ethernet);
	EXPECT_TRUE(find("tap0").ethernet);
	EXPECT_EQ(find("tun0").kind, "tun");
}

// More interfaces than one datagram of the answer can hold; older kernels list them in the order of a hash table.
TEST_F(InterfaceTest, ManyInterfacesInOrderOfIndex)
{
	for (int i = 0; i < 40; i++)
		ASSERT_TRUE(ip(fmt::format("link add many{} index {} type veth peer name far{} index {}", i, 551 - i, i,
					   300 + i)));
	const auto interfaces = list_interfaces();
	ASSERT_TRUE(interfaces);
	EXPECT_TRUE(std::ranges::is_sorted(*interfaces, std::ranges::less_equal{}, &Interface::index));

	std::vector<std::string> expected;
	struct if_nameindex *all = if_nameindex();
	for (const auto *each = all; each->if_index; each++)
		expected.push_back(each->if_name);
	if_freenameindex(all);
	EXPECT_THAT(names_of(*interfaces), ::testing::UnorderedElementsAreArray(expected));
	EXPECT_GE(interfaces->size(), 81U);
}

TEST_F(InterfaceTest, MonitorReportsAddedAndDeletedInterfaces)
{
	InterfaceMonitor monitor = open_monitor();
	const auto before = names_of(monitor.changed().value());
	EXPECT_FALSE(readable(monitor));

	ASSERT_TRUE(ip("link add come0 type veth peer name come1"));
	EXPECT_TRUE(readable(monitor));
	EXPECT_EQ(monitor.changed()->size(), before.size() + 2);
	EXPECT_FALSE(readable(monitor));

	ASSERT_TRUE(ip("link set come0 up"));
	EXPECT_TRUE(readable(monitor));
	EXPECT_TRUE(find("come0", monitor.changed()).up);

	ASSERT_TRUE(ip("link delete come0"));
	EXPECT_TRUE(readable(monitor));
	EXPECT_EQ(names_of(monitor.changed().value()), before);
	EXPECT_FALSE(readable(monitor));
}

TEST_F(InterfaceTest, ChangedListsEvenWithoutAChange)
{
	InterfaceMonitor monitor = open_monitor();
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(monitor.changed()->at(0).name, "lo");
}

// ENOBUFS: notifications were lost. The list includes their changes nevertheless.
TEST_F(InterfaceTest, MonitorSurvivesAnOverrun)
{
	InterfaceMonitor monitor = open_monitor();
	const auto before = monitor.changed().value();
	const int smallest = 1;
	ASSERT_EQ(setsockopt(monitor.fd(), SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest)), 0);
	for (int i = 0; i < 10; i++)
		ASSERT_TRUE(ip(fmt::format("link add many{} type veth peer name far{}", i, i)));
	pollfd fd{monitor.fd(), POLLIN, 0};
	ASSERT_EQ(poll(&fd, 1, 0), 1);
	ASSERT_TRUE(fd.revents & POLLERR) << "there was no overrun";

	auto after = monitor.changed();
	ASSERT_TRUE(after) << after.error().sentence();
	EXPECT_EQ(after->size(), before.size() + 20);
	EXPECT_FALSE(readable(monitor));
	ASSERT_TRUE(ip("link delete many0"));
	EXPECT_TRUE(readable(monitor));
}

TEST_F(InterfaceTest, MonitorNeedsNoPrivilegesOnceOpen)
{
	InterfaceMonitor monitor = open_monitor();
	ASSERT_TRUE(ip("link add come0 type veth peer name come1"));
	EXPECT_TRUE(without_privileges([&] {
		const auto interfaces = monitor.changed();
		return interfaces && interfaces->back().kind == "veth" && !readable(monitor);
	}));
	EXPECT_FALSE(without_privileges([] { return list_interfaces().has_value(); })) << "the test proves nothing";
}

TEST_F(InterfaceTest, NoDescriptorStaysOpen)
{
	const auto before = open_descriptors();
	for (int i = 0; i < 3; i++) {
		InterfaceMonitor first = open_monitor();
		InterfaceMonitor monitor = std::move(first);
		ASSERT_TRUE(monitor.changed());
		ASSERT_TRUE(list_interfaces());
		driver_of("lo");
	}
	EXPECT_EQ(open_descriptors(), before);
}

TEST_F(InterfaceTest, DriverIsAsEthtoolPrintsIt)
{
	ASSERT_TRUE(ip("link add left0 type veth peer name right0"));
	ASSERT_TRUE(ip("tuntap add tap0 mode tap"));
	EXPECT_EQ(driver_of("left0"), "veth");
	EXPECT_EQ(driver_of("tap0"), "tun");
	EXPECT_EQ(driver_of("lo"), "");
	EXPECT_EQ(driver_of("nosuch0"), "");
	EXPECT_EQ(driver_of(""), "");
	EXPECT_EQ(driver_of("a-name-of-more-than-15-characters"), "");
}

} // namespace
} // namespace tcpwin::test
