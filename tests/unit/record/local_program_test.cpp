// SPDX-License-Identifier: Apache-2.0
// What the path of a cgroup says. tests/net/test_attribution.py has the paths of the programs that make them.
#include <gtest/gtest.h>

#include "record/local_program.hpp"

namespace tcpwin {
namespace {

const std::string id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const std::string uid = "5a6ee2a1-0b4c-4b6f-9f5e-6f1f0c0d0e0f";

TEST(ParseCgroupTest, RootHasNoName)
{
	const Cgroup cgroup = parse_cgroup("/");
	EXPECT_EQ(cgroup.path, "/");
	EXPECT_EQ(cgroup.unit + cgroup.container + cgroup.pod, "");
}

TEST(ParseCgroupTest, UnitsAreBelowSlicesOnly)
{
	EXPECT_EQ(parse_cgroup("/system.slice/nginx.service").unit, "nginx.service");
	EXPECT_EQ(parse_cgroup("/init.scope").unit, "init.scope");
	EXPECT_EQ(parse_cgroup("/system.slice/foo.service/worker").unit, "foo.service");
	EXPECT_EQ(parse_cgroup("/user.slice/user-1000.slice/user@1000.service/app.slice/app.service").unit,
		  "user@1000.service");
	EXPECT_EQ(parse_cgroup("/system.slice/_cpu.service").unit, "cpu.service");
	EXPECT_EQ(parse_cgroup("/lxc/web/nginx.service").unit, "");
	EXPECT_EQ(parse_cgroup("/system.slice").unit, "");
}

TEST(ParseCgroupTest, ContainersHave64Digits)
{
	EXPECT_EQ(parse_cgroup("/docker/" + id).container, id);
	EXPECT_EQ(parse_cgroup("/system.slice/docker-" + id + ".scope").container, id);
	// The cgroupfs driver with a path for systemd's.
	EXPECT_EQ(parse_cgroup("/system.slice/kubepods-pod5a6ee2a1.slice:cri-containerd:" + id).container, id);
	EXPECT_EQ(parse_cgroup("/docker/" + id.substr(1)).container, "");
	EXPECT_EQ(parse_cgroup("/docker/" + id + "0").container, "");
	EXPECT_EQ(parse_cgroup("/docker/x" + id).container, "");
	EXPECT_EQ(parse_cgroup("/machine.slice/libpod-conmon-" + id + ".scope").container, "");
}

TEST(ParseCgroupTest, TheInnermostContainerCounts)
{
	const std::string inner = "f" + id.substr(1);
	EXPECT_EQ(parse_cgroup("/docker/" + id + "/docker/" + inner).container, inner);
}

TEST(ParseCgroupTest, PodsHaveUuids)
{
	EXPECT_EQ(parse_cgroup("/kubepods/besteffort/pod" + uid + "/" + id).pod, uid);
	EXPECT_EQ(parse_cgroup("/kubepods.slice/kubepods-pod5a6ee2a1_0b4c_4b6f_9f5e_6f1f0c0d0e0f.slice").pod, uid);
	// Of a manifest on the node.
	EXPECT_EQ(parse_cgroup("/kubepods/pod0123456789abcdef0123456789abcdef/x").pod,
		  "0123456789abcdef0123456789abcdef");
	EXPECT_EQ(parse_cgroup("/system.slice/podman.service").pod, "");
	EXPECT_EQ(parse_cgroup("/user.slice/tripod" + uid).pod, "");
	EXPECT_EQ(parse_cgroup("/kubepods/pod").pod, "");
}

} // namespace
} // namespace tcpwin
