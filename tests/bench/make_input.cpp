// SPDX-License-Identifier: Apache-2.0
// Makes the benchmark's inputs, the same bytes in every run:
//   few    2,000,000 TCP packets of 100 connections at a time, 64 to 128 bytes, one per microsecond
//   mixed  1,500,000 packets of real captures, repeated with other hosts and merged by time
//   flows  N packets of N distinct flows within a second
//   colliding, random  N SYNs of N IPv6 flows, whose keys have one hash value or many
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <queue>
#include <string>
#include <vector>

#include <pcap/pcap.h>

#include "support/colliding_keys.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;
using Microseconds = std::int64_t;

constexpr Microseconds begin_of_time = 1'700'000'000'000'000;
constexpr std::size_t ethernet_header = 14, ipv4_header = 20, ipv6_header = 40, tcp_header = 20;
constexpr std::uint8_t fin = 0x01, syn = 0x02, psh = 0x08, ack = 0x10;

[[noreturn]] void die(const std::string &what)
{
	std::fprintf(stderr, "make_input: %s\n", what.c_str());
	std::exit(1);
}

// xorshift64*: the distributions of standard libraries differ.
class Random {
public:
	std::uint32_t below(std::uint32_t limit)
	{
		state_ ^= state_ >> 12;
		state_ ^= state_ << 25;
		state_ ^= state_ >> 27;
		return static_cast<std::uint32_t>(((state_ * 0x2545'f491'4f6c'dd1d) >> 32) % limit);
	}

private:
	std::uint64_t state_ = 0x9e37'79b9'7f4a'7c15;
};

class Writer {
public:
	explicit Writer(const char *path)
		: pcap_(pcap_open_dead(DLT_EN10MB, 262'144)), dumper_(pcap_dump_open(pcap_, path)), path_(path)
	{
		if (!dumper_)
			die(pcap_geterr(pcap_));
	}
	Writer(const Writer &) = delete;
	Writer &operator=(const Writer &) = delete;

	~Writer()
	{
		if (pcap_dump_flush(dumper_) != 0)
			die("cannot write " + path_);
		pcap_dump_close(dumper_);
		pcap_close(pcap_);
	}

	void write(Microseconds time, const Bytes &frame, std::size_t wire)
	{
		pcap_pkthdr header{};
		header.ts.tv_sec = time / 1'000'000;
		header.ts.tv_usec = time % 1'000'000;
		header.caplen = static_cast<bpf_u_int32>(frame.size());
		header.len = static_cast<bpf_u_int32>(wire);
		pcap_dump(reinterpret_cast<u_char *>(dumper_), &header, frame.data());
	}

private:
	pcap_t *pcap_;
	pcap_dumper_t *dumper_;
	std::string path_;
};

std::uint32_t get16(const std::uint8_t *at)
{
	return static_cast<std::uint32_t>(at[0] << 8 | at[1]);
}

void put16(std::uint8_t *at, std::uint32_t value)
{
	at[0] = static_cast<std::uint8_t>(value >> 8);
	at[1] = static_cast<std::uint8_t>(value);
}

void put32(std::uint8_t *at, std::uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

std::uint32_t sum16(const std::uint8_t *at, std::size_t length, std::uint32_t sum = 0)
{
	for (std::size_t i = 0; i + 1 < length; i += 2)
		sum += get16(at + i);
	return length % 2 ? sum + static_cast<std::uint32_t>(at[length - 1] << 8) : sum;
}

std::uint32_t checksum(std::uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

// ---- few, flows: packets made here ----

struct Segment {
	std::uint32_t source, destination; // IPv4
	std::uint16_t source_port, destination_port;
	std::uint32_t sequence = 0, acknowledged = 0;
	std::uint8_t flags = ack;
	std::uint16_t window = 501;
	Bytes options = {};
	std::size_t payload = 0;
};

void put_ipv4(std::uint8_t *ip, const Segment &segment, std::size_t length)
{
	ip[0] = 0x45;
	put16(ip + 2, static_cast<std::uint32_t>(length));
	put16(ip + 6, 0x4000); // don't fragment
	ip[8] = 64;
	ip[9] = 6;
	put32(ip + 12, segment.source);
	put32(ip + 16, segment.destination);
	put16(ip + 10, checksum(sum16(ip, ipv4_header)));
}

void put_tcp(std::uint8_t *tcp, const Segment &segment, std::size_t length)
{
	put16(tcp, segment.source_port);
	put16(tcp + 2, segment.destination_port);
	put32(tcp + 4, segment.sequence);
	put32(tcp + 8, segment.acknowledged);
	tcp[12] = static_cast<std::uint8_t>((tcp_header + segment.options.size()) << 2);
	tcp[13] = segment.flags;
	put16(tcp + 14, segment.window);
	std::copy(segment.options.begin(), segment.options.end(), tcp + tcp_header);
	const std::uint8_t *addresses = tcp - 8;
	const std::uint32_t pseudo_header = sum16(addresses, 8, static_cast<std::uint32_t>(6 + length));
	put16(tcp + 16, checksum(sum16(tcp, length, pseudo_header)));
}

// At least 64 bytes long, padded as Ethernet does.
void put_frame(const Segment &segment, Bytes &frame)
{
	const std::size_t tcp_length = tcp_header + segment.options.size() + segment.payload;
	const std::size_t length = ethernet_header + ipv4_header + tcp_length;
	frame.assign(std::max<std::size_t>(length, 64), 0);
	frame[0] = frame[6] = 0x02;
	put32(&frame[2], segment.destination);
	put32(&frame[8], segment.source);
	put16(&frame[12], 0x0800);
	put_ipv4(&frame[ethernet_header], segment, ipv4_header + tcp_length);
	put_tcp(&frame[ethernet_header + ipv4_header], segment, tcp_length);
}

// A client and a server: handshake, requests and answers, FINs, then the next connection.
class Connection {
public:
	explicit Connection(std::uint32_t number)
		: number_(number), client_port_(static_cast<std::uint16_t>(32768 + number))
	{
	}

	Segment next(Random &random, Microseconds now)
	{
		const bool from_server =
			step_ == 1 || step_ == life - 1 || (step_ > 3 && step_ < life - 2 && random.below(5) < 3);
		Segment segment = addressed(from_server);
		if (step_ < 2)
			open(segment, now);
		else if (step_ >= life - 2)
			segment.flags = fin | ack;
		else if (step_ > 2)
			exchange(segment, random);
		if (step_ >= 2 && number_ % 2)
			segment.options = timestamps(now);
		advance(segment, from_server);
		return segment;
	}

private:
	static constexpr std::uint32_t life = 4000; // packets

	Segment addressed(bool from_server) const
	{
		const std::uint32_t client = 0x0a000002 + number_, server = 0xc0a80101 + number_ % 10;
		const std::uint16_t server_port = number_ % 3 ? 443 : 80;
		Segment segment = from_server ? Segment{server, client, server_port, client_port_} :
						Segment{client, server, client_port_, server_port};
		segment.sequence = sequence_[from_server];
		segment.acknowledged = sequence_[!from_server];
		return segment;
	}

	void open(Segment &segment, Microseconds now) const
	{
		segment.flags = step_ == 0 ? syn : syn | ack;
		segment.window = 64240;
		segment.options = {2, 4, 5, 180, 4, 2};
		const Bytes time = timestamps(now);
		segment.options.insert(segment.options.end(), time.begin() + 2, time.end());
		segment.options.insert(segment.options.end(), {1, 3, 3, 7});
	}

	// Two of three packets carry data; one in a thousand announces a full buffer.
	void exchange(Segment &segment, Random &random) const
	{
		const bool data = random.below(3) > 0;
		const std::uint32_t room = number_ % 2 ? 62 : 74; // up to 128 bytes
		segment.payload = data ? 1 + random.below(room) : 0;
		segment.flags = data ? ack | psh : ack;
		segment.window = random.below(1000) ? static_cast<std::uint16_t>(400 + random.below(200)) : 0;
	}

	static Bytes timestamps(Microseconds now)
	{
		Bytes option = {1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0};
		put32(&option[4], static_cast<std::uint32_t>(now / 1000));
		put32(&option[8], static_cast<std::uint32_t>(now / 1000 - 1));
		return option;
	}

	void advance(const Segment &segment, bool from_server)
	{
		sequence_[from_server] +=
			static_cast<std::uint32_t>(segment.payload) + (segment.flags & (syn | fin) ? 1 : 0);
		if (++step_ < life)
			return;
		step_ = 0;
		client_port_ = static_cast<std::uint16_t>(client_port_ + 100);
	}

	std::uint32_t number_;
	std::uint16_t client_port_;
	std::uint32_t step_ = 0;
	std::array<std::uint32_t, 2> sequence_{1000, 2000};
};

// Runs of one to four packets of a connection, as senders send them.
void make_few(Writer &writer)
{
	constexpr std::uint32_t packets = 2'000'000, connections = 100;
	std::vector<Connection> live;
	for (std::uint32_t i = 0; i < connections; i++)
		live.emplace_back(i);
	Random random;
	Bytes frame;
	std::uint32_t current = 0;
	for (std::uint32_t i = 0; i < packets; i++) {
		if (random.below(4) == 0)
			current = random.below(connections);
		const Microseconds now = begin_of_time + i;
		put_frame(live[current].next(random, now), frame);
		writer.write(now, frame, frame.size());
	}
}

// One SYN each, of 2^20 hosts to 16 servers; the order of hosts is scattered.
void make_flows(Writer &writer, std::uint64_t flows)
{
	Bytes frame;
	for (std::uint64_t i = 0; i < flows; i++) {
		const std::uint32_t host = static_cast<std::uint32_t>(i * 0x9e37'79b1) & 0xfffff;
		Segment segment{0x0a000000 + host, 0xc0a80101 + host % 16, static_cast<std::uint16_t>(1024 + (i >> 20)),
				443};
		segment.flags = syn;
		segment.window = 64240;
		segment.options = {2, 4, 5, 180};
		put_frame(segment, frame);
		writer.write(begin_of_time + static_cast<Microseconds>(i * 1'000'000 / flows), frame, frame.size());
	}
}

// ---- mixed: packets of real captures ----

struct Packet {
	Microseconds time; // since the beginning of the capture
	std::size_t wire;
	Bytes frame;
};
using Capture = std::vector<Packet>;

// Some captures pause for months; after this long, every flow of tcpwin-agent's defaults has ended.
constexpr Microseconds longest_pause = 60'000'000;

Capture read_capture(const char *path)
{
	char error[PCAP_ERRBUF_SIZE] = "";
	pcap_t *pcap = pcap_open_offline(path, error);
	if (!pcap)
		die(error);
	Capture capture;
	pcap_pkthdr *header = nullptr;
	const u_char *data = nullptr;
	Microseconds before = 0, time = 0;
	while (pcap_datalink(pcap) == DLT_EN10MB && pcap_next_ex(pcap, &header, &data) == 1) {
		const Microseconds recorded = header->ts.tv_sec * Microseconds{1'000'000} + header->ts.tv_usec;
		if (!capture.empty())
			time += std::clamp<Microseconds>(recorded - before, 0, longest_pause);
		before = recorded;
		capture.push_back({time, header->len, Bytes(data, data + header->caplen)});
	}
	pcap_close(pcap);
	return capture;
}

// Corrects a checksum for a change of 16-bit words (RFC 1624).
void correct_checksum(std::uint8_t *at, std::uint32_t old_sum, std::uint32_t new_sum)
{
	const std::uint32_t old_folded = ~checksum(old_sum) & 0xffff;
	put16(at, checksum((~get16(at) & 0xffff) + (~old_folded & 0xffff) + new_sum));
}

// Other hosts: the low 24 bits of both addresses, xor mask. Returns the old and new sums, for checksums (UDP's is
// left wrong: nothing here checks it).
std::pair<std::uint32_t, std::uint32_t> move_hosts(std::uint8_t *addresses, std::size_t size, std::uint32_t mask)
{
	const std::uint32_t old_sum = sum16(addresses, 2 * size);
	for (const std::size_t end : {size, 2 * size})
		for (std::size_t i = 0; i < 3; i++)
			addresses[end - 1 - i] ^= static_cast<std::uint8_t>(mask >> 8 * i);
	return {old_sum, sum16(addresses, 2 * size)};
}

void move_ipv4(Bytes &frame, std::size_t at, std::uint32_t mask)
{
	if (frame.size() < at + ipv4_header)
		return;
	std::uint8_t *ip = &frame[at];
	const auto [old_sum, new_sum] = move_hosts(ip + 12, 4, mask);
	correct_checksum(ip + 10, old_sum, new_sum);
	const std::size_t tcp = at + (ip[0] & 15) * 4;
	if (ip[9] == 6 && (get16(ip + 6) & 0x1fff) == 0 && frame.size() >= tcp + tcp_header)
		correct_checksum(&frame[tcp + 16], old_sum, new_sum);
}

void move_ipv6(Bytes &frame, std::size_t at, std::uint32_t mask)
{
	if (frame.size() < at + ipv6_header)
		return;
	const auto [old_sum, new_sum] = move_hosts(&frame[at + 8], 16, mask);
	if (frame[at + 6] == 6 && frame.size() >= at + ipv6_header + tcp_header)
		correct_checksum(&frame[at + ipv6_header + 16], old_sum, new_sum);
}

void move_frame(Bytes &frame, std::uint32_t mask)
{
	std::size_t at = 12;
	while (frame.size() >= at + 2 && (get16(&frame[at]) == 0x8100 || get16(&frame[at]) == 0x88a8))
		at += 4;
	if (frame.size() < at + 2)
		return;
	if (get16(&frame[at]) == 0x0800)
		move_ipv4(frame, at + 2, mask);
	else if (get16(&frame[at]) == 0x86dd)
		move_ipv6(frame, at + 2, mask);
}

// A repetition of a capture, with its position.
struct Playing {
	const Capture *capture;
	Microseconds start;
	std::uint32_t mask; // different for each repetition, 0 for the first
	std::size_t next = 0;

	Microseconds time() const { return start + (*capture)[next].time; }
};

// The earliest next packet; ties in the order of the captures.
struct Later {
	const std::vector<Playing> &playing;
	bool operator()(std::size_t left, std::size_t right) const
	{
		return std::pair(playing[left].time(), left) > std::pair(playing[right].time(), right);
	}
};

// Every repetition starts a tenth of a second after the one before, so that most play at once.
std::vector<Playing> schedule(const std::vector<Capture> &captures, std::size_t packets)
{
	std::vector<Playing> playing;
	std::size_t scheduled = 0;
	for (std::uint32_t repetition = 0; scheduled < packets; repetition++)
		for (const Capture &capture : captures) {
			playing.push_back({&capture, begin_of_time + repetition * Microseconds{100'000},
					   (repetition * 0x9e37'79b1) & 0xffffff});
			scheduled += capture.size();
		}
	return playing;
}

void make_mixed(Writer &writer, const std::vector<Capture> &captures)
{
	std::size_t left = 1'500'000;
	std::vector<Playing> playing = schedule(captures, left);
	std::priority_queue<std::size_t, std::vector<std::size_t>, Later> order(Later{playing});
	for (std::size_t i = 0; i < playing.size(); i++)
		order.push(i);
	Bytes frame;
	for (; left && !order.empty(); left--) {
		const std::size_t first = order.top();
		order.pop();
		Playing &now = playing[first];
		const Packet &packet = (*now.capture)[now.next];
		frame = packet.frame;
		move_frame(frame, now.mask);
		writer.write(now.time(), frame, packet.wire);
		if (++now.next < now.capture->size())
			order.push(first);
	}
}

void make_hashed(Writer &writer, std::uint32_t flows, bool collide)
{
	for (std::uint32_t i = 0; i < flows; i++) {
		const tcpwin_packet packet = tcpwin::make_hashed_packet(i, collide);
		Bytes frame(ethernet_header + ipv6_header + tcp_header);
		std::uint8_t *ip = &frame[ethernet_header], *tcp = ip + ipv6_header;
		frame[0] = frame[6] = 0x02;
		put16(&frame[12], 0x86dd);
		ip[0] = 0x60;
		put16(ip + 4, tcp_header);
		ip[6] = 6;
		ip[7] = 64;
		std::memcpy(ip + 8, packet.source.byte, sizeof(packet.source.byte));
		std::memcpy(ip + 24, packet.destination.byte, sizeof(packet.destination.byte));
		put16(tcp, packet.source_port);
		put16(tcp + 2, packet.destination_port);
		tcp[12] = tcp_header << 2;
		tcp[13] = syn;
		put16(tcp + 14, 64240);
		put16(tcp + 16, checksum(sum16(tcp, tcp_header, sum16(ip + 8, 32, 6 + tcp_header))));
		writer.write(begin_of_time + i, frame, frame.size());
	}
}

std::vector<Capture> read_captures(int count, char **paths)
{
	std::vector<Capture> captures;
	for (int i = 0; i < count; i++)
		if (Capture capture = read_capture(paths[i]); !capture.empty())
			captures.push_back(std::move(capture));
	if (captures.empty())
		die("the captures hold no Ethernet frames");
	return captures;
}

} // namespace

int main(int argc, char **argv)
{
	const std::string kind = argc > 2 ? argv[1] : "";
	if (kind == "few" && argc == 3) {
		Writer writer(argv[2]);
		make_few(writer);
	} else if (kind == "mixed" && argc > 3) {
		const std::vector<Capture> captures = read_captures(argc - 3, argv + 3);
		Writer writer(argv[2]);
		make_mixed(writer, captures);
	} else if (kind == "flows" && argc == 4) {
		Writer writer(argv[2]);
		make_flows(writer, std::strtoull(argv[3], nullptr, 10));
	} else if ((kind == "colliding" || kind == "random") && argc == 4) {
		Writer writer(argv[2]);
		make_hashed(writer, static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10)),
			    kind == "colliding");
	} else {
		std::fprintf(stderr,
			     "usage: make_input few OUT | mixed OUT CAPTURE... | flows OUT N | colliding OUT N | "
			     "random OUT N\n");
		return 2;
	}
	return 0;
}
