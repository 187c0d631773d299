// SPDX-License-Identifier: Apache-2.0
// The vectors are those of the specification and of Zeek's and Suricata's tests.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <tcpwin/flow.h>

#include "record/community_id.hpp"
#include "sinks/format.hpp"

using namespace tcpwin;

namespace {

struct Endpoint {
	const char *ip;
	std::uint16_t port;
};

tcpwin_address address(const char *ip)
{
	tcpwin_address address{};
	if (inet_pton(AF_INET6, ip, address.byte) == 1)
		return address;
	address.byte[10] = address.byte[11] = 0xff;
	EXPECT_EQ(inet_pton(AF_INET, ip, address.byte + 12), 1) << ip;
	return address;
}

tcpwin_key key_of(Endpoint from, Endpoint to)
{
	tcpwin_packet packet{};
	packet.source = address(from.ip);
	packet.destination = address(to.ip);
	packet.source_port = from.port;
	packet.destination_port = to.port;
	tcpwin_key key{};
	const tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	tcpwin_make_key(&packet, &config, &key);
	return key;
}

std::string id(const tcpwin_key &key, std::uint16_t seed = 0)
{
	return std::string(CommunityId(key, seed).text());
}

} // namespace

TEST(CommunityId, HasTheValuesOfTheSpecificationInBothDirections)
{
	const struct {
		Endpoint one, other;
		std::uint16_t seed;
		const char *id;
	} vectors[] = {
		{{"1.2.3.4", 1122}, {"5.6.7.8", 3344}, 0, "1:wCb3OG7yAFWelaUydu0D+125CLM="},
		{{"1.2.3.4", 1122}, {"5.6.7.8", 3344}, 1, "1:HhA1B+6CoLbiKPEs5nhNYN4XWfk="},
		{{"128.232.110.120", 34855}, {"66.35.250.204", 80}, 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{{"2001:470:e5bf:dead:4957:2174:e82c:4887", 63943},
		 {"2607:f8b0:400c:c03::1a", 25},
		 0,
		 "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
	};
	for (const auto &[one, other, seed, expected] : vectors) {
		EXPECT_EQ(id(key_of(one, other), seed), expected);
		EXPECT_EQ(id(key_of(other, one), seed), expected);
	}
}

TEST(CommunityId, IsThatOfIpv4ForAddressesMappedIntoIpv6)
{
	EXPECT_EQ(id(key_of({"::ffff:1.2.3.4", 1122}, {"::ffff:5.6.7.8", 3344})), "1:wCb3OG7yAFWelaUydu0D+125CLM=");
}

TEST(CommunityId, IgnoresVlanAndInterface)
{
	tcpwin_key key = key_of({"1.2.3.4", 1122}, {"5.6.7.8", 3344});
	key.vlan = 42;
	key.scope = 3;
	EXPECT_EQ(id(key), "1:wCb3OG7yAFWelaUydu0D+125CLM=");
}

TEST(CommunityId, TheLowerPortComesFirstBetweenEqualAddresses)
{
	const Endpoint low{"10.0.0.1", 9}, high{"10.0.0.1", 9000};
	EXPECT_EQ(id(key_of(low, high)), id(key_of(high, low)));
	EXPECT_NE(id(key_of(low, high)), id(key_of(low, low)));
}

TEST(CommunityId, IsInJsonRecordsUnlessLeftOut)
{
	tcpwin_record record{};
	record.key = key_of({"1.2.3.4", 1122}, {"5.6.7.8", 3344});
	record.flow.direction[0].packets = 1;
	const auto flow = make_flow_record(record, TCPWIN_DEFAULT_CONFIG, {}, "eth0");
	const auto write = [&](std::optional<std::uint16_t> seed) {
		fmt::memory_buffer out;
		make_flow_format(Format::json, seed)->flow(flow, out);
		return nlohmann::json::parse(fmt::to_string(out));
	};
	EXPECT_EQ(write(0)["community_id"], "1:wCb3OG7yAFWelaUydu0D+125CLM=");
	EXPECT_EQ(write(1)["community_id"], "1:HhA1B+6CoLbiKPEs5nhNYN4XWfk=");
	EXPECT_FALSE(write(std::nullopt).contains("community_id"));
}
