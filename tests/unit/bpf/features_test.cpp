// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "bpf/features.hpp"

using tcpwin::find_missing_feature;
using tcpwin::KernelFeature;

TEST(Features, NothingIsMissingWhereAllIsPresent)
{
	EXPECT_FALSE(find_missing_feature([](const KernelFeature &) { return true; }));
}

TEST(Features, TheOldestMissingOneIsNamedWithItsVersion)
{
	auto on_5_10 = [](const KernelFeature &feature) { return feature.since == "4.8" || feature.since == "5.8"; };
	auto missing = find_missing_feature(on_5_10);
	ASSERT_TRUE(missing);
	EXPECT_EQ(missing->name, "bpf_for_each_map_elem");
	EXPECT_EQ(missing->since, "5.13");
}
