// SPDX-License-Identifier: Apache-2.0
//
// Comparing flows and records, and describing those that differ.
#pragma once

#include <algorithm>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include <tcpwin/flow.h>
#include <tcpwin/parse.h>
#include <tcpwin/types.h>

#include "support/frame.hpp"

namespace tcpwin::test {

inline constexpr uint32_t loopback = 1; // the interface on which packets of a test run arrive
inline constexpr uint64_t never = UINT64_MAX;
inline constexpr uint64_t second = 1'000'000'000;
inline constexpr uint64_t millisecond = 1'000'000;

// By all 40 bytes, padding included.
struct KeyLess {
	bool operator()(const tcpwin_key &left, const tcpwin_key &right) const
	{
		return std::memcmp(&left, &right, sizeof(left)) < 0;
	}
};

using Flows = std::map<tcpwin_key, tcpwin_flow, KeyLess>;

// In the low two bits of tcpwin_flow.seq. Restated here: the tests must not take these numbers from what they test.
enum class Mark { free, busy, ended, dying };

inline Mark mark_of(const tcpwin_flow &flow)
{
	return static_cast<Mark>(flow.seq & 3);
}

inline uint64_t seq_of(const tcpwin_key &key, Mark mark)
{
	return static_cast<uint64_t>(tcpwin_hash_key(&key)) << 32 | static_cast<uint64_t>(mark);
}

inline uint64_t packets(const tcpwin_flow &flow)
{
	return flow.direction[0].packets + flow.direction[1].packets;
}

inline uint64_t packets(const std::vector<tcpwin_record> &records)
{
	uint64_t sum = 0;
	for (const tcpwin_record &record : records)
		sum += packets(record.flow);
	return sum;
}

// The counter of a frame that is not counted in a flow.
inline tcpwin_counter counter_of(tcpwin_reject reject)
{
	return static_cast<tcpwin_counter>(TCPWIN_COUNTER_OF_REJECT(static_cast<int>(reject)));
}

inline const char *name_of(int counter)
{
	static const char *const names[] = {
#define X(name, text, ...) text,
		TCPWIN_VERDICTS(X) TCPWIN_EVENTS(X) TCPWIN_REJECTS(X)
#undef X
	};
	return names[counter];
}

inline bool is_event(int counter)
{
	static const int events[] = {
#define X(name, ...) TCPWIN_COUNTER_##name,
		TCPWIN_EVENTS(X)
#undef X
	};
	return std::ranges::find(events, counter) != std::end(events);
}

// A frame seen from user space.
struct Parsed {
	tcpwin_reject reject;
	tcpwin_packet packet;
	tcpwin_key key;
	uint32_t from;
};

inline Parsed parse(const Bytes &frame, const tcpwin_config &config = TCPWIN_DEFAULT_CONFIG)
{
	Parsed parsed = {};
	parsed.reject = tcpwin_parse_ethernet(frame.data(), frame.data() + frame.size(),
					      static_cast<uint32_t>(frame.size()), 0, &parsed.packet);
	if (parsed.reject == TCPWIN_ACCEPTED)
		parsed.from = tcpwin_make_key(&parsed.packet, &config, &parsed.key);
	return parsed;
}

inline void write_bytes(std::ostream &out, const __u8 *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		out << (i ? " " : "") << +bytes[i];
}

inline void write(std::ostream &out, const tcpwin_direction &d)
{
	out << "first " << d.first_ns << " last " << d.last_ns << " packets " << d.packets << " bytes " << d.bytes
	    << " zero windows " << d.zero_window_count << " window " << d.window_min << '-' << d.window_max << " ("
	    << d.window_last << ") flags " << +d.tcp_flags << " stat " << +d.stat << " state " << +d.state
	    << " timeout " << +d.timeout << " scale " << +d.window_scale << " alarms " << +d.alarms;
}

inline void write(std::ostream &out, const tcpwin_progress &p)
{
	out << "next " << p.next << " since " << p.next_ns << " ack " << p.ack << " window " << p.window << " ("
	    << p.window_min << '-' << p.window_max << ") shift " << +p.shift << " flags " << +p.flags << " duplicates "
	    << p.duplicate_acks << " payload " << p.payload_bytes << " in flight " << p.in_flight_max;
}

inline void write(std::ostream &out, const tcpwin_analysis &a)
{
	out << "stalled since " << a.stalled_since_ns << " total " << a.stalled_ns << " longest " << a.longest_ns
	    << " zero windows " << a.zero_windows << " episodes " << a.episodes << " probes " << a.probes << " answers "
	    << a.probe_answers << " updates " << a.window_updates << " shrinks " << a.window_shrinks << " full "
	    << a.window_full << " keep-alives " << a.keep_alives << " retransmitted " << a.retransmitted
	    << " out of order " << a.out_of_order << " rtt " << a.handshake_rtt_ns << " scale " << +a.scale << " ended "
	    << +a.ended << " flags " << +a.flags;
}

inline std::string text(const tcpwin_flow &flow)
{
	std::ostringstream out;
	out << "flow " << flow.id << " continues " << flow.continues_back << " ifindex " << flow.ifindex << " A "
	    << +flow.a_side;
	out << " hooks " << +flow.hooks << " stalled " << +flow.stalled << " active since " << flow.active_since_s
	    << " recent " << flow.recent;
	for (const tcpwin_direction &direction : flow.direction) {
		out << "\n    ";
		write(out, direction);
	}
	for (int i = 0; i < 2; i++) {
		out << "\n    ";
		write(out, flow.progress[i]);
		out << ' ';
		write(out, flow.analysis[i]);
	}
	return out.str();
}

inline std::string text(const tcpwin_record &record)
{
	std::ostringstream out;
	out << "key ";
	write_bytes(out, reinterpret_cast<const __u8 *>(&record.key), sizeof(record.key));
	out << "\n  at " << record.now_ns << " reason " << +record.reason << " zero ";
	write_bytes(out, record.zero, sizeof(record.zero));
	out << "\n  " << text(record.flow);
	return out.str();
}

template <typename T>
::testing::AssertionResult same_bytes(const T &kernel, const T &model)
{
	if (std::memcmp(&kernel, &model, sizeof(T)) == 0)
		return ::testing::AssertionSuccess();
	return ::testing::AssertionFailure() << "kernel: " << text(kernel) << "\nmodel:  " << text(model);
}

// Every byte except the sequence word, which only the kernel uses.
inline ::testing::AssertionResult same(tcpwin_flow kernel, tcpwin_flow model)
{
	kernel.seq = model.seq = 0;
	return same_bytes(kernel, model);
}

inline ::testing::AssertionResult same(tcpwin_record kernel, tcpwin_record model)
{
	kernel.flow.seq = model.flow.seq = 0;
	return same_bytes(kernel, model);
}

} // namespace tcpwin::test
