// SPDX-License-Identifier: Apache-2.0
#include "attribution/socket_diag.hpp"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/netlink.h>

#include "record/record.hpp"

namespace tcpwin {
namespace {

constexpr int cgroup_id = 21; // INET_DIAG_CGROUP_ID, Linux 5.7
// Offset of tcpi_rwnd_limited in struct tcp_info (linux/tcp.h), which libnl's includes of netinet/tcp.h exclude.
constexpr std::size_t rwnd_limited = 176;
constexpr __u8 has_a_sender = 1;      // TCP_ESTABLISHED
constexpr __u8 time_wait = 6;         // TCP_TIME_WAIT
constexpr __u8 request_received = 12; // TCP_NEW_SYN_RECV
static_assert(SK_MEMINFO_RCVBUF == 1);

void put_address(__be32 (&to)[4], const tcpwin_address &address, bool ipv4)
{
	if (ipv4)
		std::memcpy(to, address.byte + 12, 4);
	else
		std::memcpy(to, address.byte, 16);
}

inet_diag_req_v2 make_request(const tcpwin_key &key, unsigned endpoint, std::uint64_t cookie)
{
	const bool ipv4 = is_mapped_ipv4(key.address[endpoint]);
	inet_diag_req_v2 request{};
	request.sdiag_family = ipv4 ? AF_INET : AF_INET6;
	request.sdiag_protocol = IPPROTO_TCP;
	request.idiag_ext = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_SKMEMINFO - 1);
	request.idiag_states = ~0U;
	request.id.idiag_sport = htons(key.port[endpoint]);
	request.id.idiag_dport = htons(key.port[endpoint ^ 1]);
	put_address(request.id.idiag_src, key.address[endpoint], ipv4);
	put_address(request.id.idiag_dst, key.address[endpoint ^ 1], ipv4);
	request.id.idiag_cookie[0] = cookie ? static_cast<__u32>(cookie) : INET_DIAG_NOCOOKIE;
	request.id.idiag_cookie[1] = cookie ? static_cast<__u32>(cookie >> 32) : INET_DIAG_NOCOOKIE;
	return request;
}

// A member of an attribute that may be shorter, of another kernel.
template <typename T> T member_of(const nlattr *attribute, std::size_t offset)
{
	T value{};
	if (attribute && static_cast<std::size_t>(nla_len(attribute)) >= offset + sizeof(value))
		std::memcpy(&value, static_cast<const char *>(nla_data(attribute)) + offset, sizeof(value));
	return value;
}

std::optional<SocketState> parse(nlmsghdr *header)
{
	if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    nlmsg_datalen(header) < static_cast<int>(sizeof(inet_diag_msg)))
		return std::nullopt;
	const auto *found = static_cast<const inet_diag_msg *>(nlmsg_data(header));
	if (found->idiag_state < has_a_sender || found->idiag_state == time_wait ||
	    found->idiag_state == request_received)
		return std::nullopt;
	const auto attribute = [&](int type) { return nlmsg_find_attr(header, sizeof(inet_diag_msg), type); };
	return SocketState{
		.cookie = std::uint64_t{found->id.idiag_cookie[1]} << 32 | found->id.idiag_cookie[0],
		.uid = found->idiag_uid,
		.cgroup = member_of<std::uint64_t>(attribute(cgroup_id), 0),
		.receive_queue = found->idiag_rqueue,
		.receive_buffer = member_of<std::uint32_t>(attribute(INET_DIAG_SKMEMINFO),
							   SK_MEMINFO_RCVBUF * sizeof(std::uint32_t)),
		.rwnd_limited =
			std::chrono::microseconds(member_of<std::uint64_t>(attribute(INET_DIAG_INFO), rwnd_limited)),
	};
}

} // namespace

Result<SocketDiag> SocketDiag::open()
{
	auto socket = TRY(open_netlink(NETLINK_SOCK_DIAG));
	nl_socket_disable_auto_ack(socket.get()); // the answer is one message: the socket, or an error
	return SocketDiag(std::move(socket));
}

std::optional<SocketState> SocketDiag::find(const tcpwin_key &key, unsigned endpoint, std::uint64_t cookie) const
{
	inet_diag_req_v2 request = make_request(key, endpoint, cookie);
	std::optional<SocketState> found;
	if (nl_send_simple(socket_.get(), SOCK_DIAG_BY_FAMILY, 0, &request, sizeof(request)) < 0)
		return std::nullopt;
	static_cast<void>(receive_answer(socket_.get(), [&](nlmsghdr *header) { found = parse(header); }));
	return found;
}

} // namespace tcpwin
