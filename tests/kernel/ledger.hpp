// SPDX-License-Identifier: Apache-2.0
//
// The accounts of a stress test: packets sent, and packets in records.
//
// The packets that one endpoint of a flow sends are a stream. Each has a separate
// packet length and window, so that a record in which the packets of two streams were mixed, or
// which was copied while it changed, is detected.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernel.hpp"

namespace tcpwin::test {

struct Stream {
	tcpwin_key key = {};
	uint32_t from = 0;
	uint64_t bytes = 0; // of each packet
	uint16_t window = 0;
	std::vector<Bytes> frames; // frames that differ in flags only; none if they are made elsewhere
};

using PerStream = std::vector<uint64_t>; // packets of each stream

inline uint64_t sum(const PerStream &packets)
{
	uint64_t sum = 0;
	for (uint64_t each : packets)
		sum += each;
	return sum;
}

enum class Threshold {
	one,     // the default: packets whose window is zero are counted
	changes, // while packets come
};

// The sum of all records.
class Ledger {
public:
	explicit Ledger(const std::vector<Stream> &streams, Threshold threshold = Threshold::one)
		: streams_(streams), threshold_(threshold), packets_(streams.size())
	{
		for (size_t i = 0; i < streams.size(); i++)
			places_.try_emplace(streams[i].key, nothing).first->second[streams[i].from & 1] = i;
	}

	void add(const Drained &drained)
	{
		for (const tcpwin_record &record : drained.records)
			add(record);
		alarms_ += drained.alarms.size();
		notices_ += drained.notices.size();
		strangers_ += drained.strangers;
	}

	const PerStream &packets() const { return packets_; }
	uint64_t records() const { return records_; }
	uint64_t interim() const { return interim_; }
	uint64_t alarms() const { return alarms_; }
	uint64_t notices() const { return notices_; }
	uint64_t strangers() const { return strangers_; }
	uint64_t inconsistent() const { return inconsistent_; }
	const std::string &first_inconsistent() const { return first_inconsistent_; }

	// Whether the flows of all records are numbered 1, 2, 3 ..., each once, except so many that have no record.
	bool is_gapless(uint64_t unrecorded = 0) const
	{
		uint64_t missing = 0;
		for (uint64_t id = 1; id <= records_ + unrecorded; id++) {
			const int seen = id < seen_.size() ? seen_[id] : 0;
			missing += seen == 0;
			if (seen > 1)
				return false;
		}
		return missing == unrecorded;
	}

	// Adds the flow's counts to the packets of its streams. False if it cannot be a flow of them.
	bool count(const tcpwin_key &key, const tcpwin_flow &flow, PerStream &packets) const
	{
		const auto place = places_.find(key);
		bool consistent = place != places_.end() && test::packets(flow) > 0;
		for (int sender = 0; consistent && sender < 2; sender++) {
			const tcpwin_direction &direction = flow.direction[sender];
			const size_t stream = place->second[sender];
			if (stream == none) {
				consistent = direction.packets == 0;
				continue;
			}
			consistent = is_consistent(streams_[stream], direction);
			packets[stream] += direction.packets;
		}
		return consistent;
	}

private:
	static constexpr size_t none = SIZE_MAX;
	static constexpr std::array<size_t, 2> nothing = {none, none};

	struct Hash {
		size_t operator()(const tcpwin_key &key) const { return tcpwin_hash_key(&key); }
	};
	struct Equal {
		bool operator()(const tcpwin_key &left, const tcpwin_key &right) const
		{
			return std::memcmp(&left, &right, sizeof(left)) == 0;
		}
	};

	void add(const tcpwin_record &record)
	{
		if (record.reason == TCPWIN_END_ACTIVE_TIMEOUT) {
			add_interim(record);
			return;
		}
		uint64_t id = record.flow.id;
		records_++;
		if (id >= seen_.size())
			seen_.resize(2 * id + 1);
		seen_[id]++;
		if (!count(record.key, record.flow, packets_) && inconsistent_++ == 0)
			first_inconsistent_ = text(record);
	}

	// The flow continues, and its packets are in a later record again.
	void add_interim(const tcpwin_record &record)
	{
		PerStream aside(streams_.size());
		interim_++;
		if (!count(record.key, record.flow, aside) && inconsistent_++ == 0)
			first_inconsistent_ = text(record);
	}

	bool is_consistent(const Stream &stream, const tcpwin_direction &direction) const
	{
		uint64_t packets = direction.packets;
		uint16_t window = packets ? stream.window : 0;
		bool windows = threshold_ == Threshold::one ?
				       direction.zero_window_count == (stream.window == 0 ? packets : 0) :
				       direction.zero_window_count <= packets;
		return windows && direction.bytes == packets * stream.bytes && direction.window_min == window &&
		       direction.window_max == window && direction.window_last == window &&
		       direction.first_ns <= direction.last_ns && (packets > 0) == (direction.last_ns > 0);
	}

	const std::vector<Stream> &streams_;
	Threshold threshold_;
	std::unordered_map<tcpwin_key, std::array<size_t, 2>, Hash, Equal>
		places_; // streams of a key, by sending endpoint
	PerStream packets_;
	std::vector<uint8_t> seen_;
	uint64_t records_ = 0;
	uint64_t interim_ = 0;
	uint64_t alarms_ = 0;
	uint64_t notices_ = 0;
	uint64_t strangers_ = 0;
	uint64_t inconsistent_ = 0;
	std::string first_inconsistent_;
};

struct Sweeps {
	uint64_t count = 0;
	uint64_t exported = 0;
	uint64_t interim = 0;
	uint64_t deleted = 0;
	uint64_t ring_full = 0;

	void add(const tcpwin_sweep &sweep)
	{
		count++;
		exported += sweep.exported;
		interim += sweep.interim;
		deleted += sweep.deleted;
		ring_full += sweep.ring_full;
	}
};

// After the end of all flows: each has one record, or is counted as a flow without one.
inline void expect_every_flow_once(const Kernel &kernel, const Ledger &ledger, const Sweeps &sweeps)
{
	const tcpwin_counters counters = kernel.counters();
	const uint64_t unrecorded = counters.value[TCPWIN_COUNTER_UNRECORDED_FLOWS];
	const uint64_t flows = ledger.records() + unrecorded;
	EXPECT_EQ(flows, counters.value[TCPWIN_COUNTER_FLOWS_CREATED]);
	EXPECT_EQ(flows, counters.value[TCPWIN_COUNTER_FLOWS_CUT] + sweeps.exported +
				 counters.value[TCPWIN_COUNTER_EVICTED_UNANSWERED]);
	EXPECT_EQ(flows, kernel.flows_numbered());
	EXPECT_TRUE(ledger.is_gapless(unrecorded)) << "a flow ID is missing or duplicated";
	EXPECT_EQ(ledger.inconsistent(), 0u) << ledger.first_inconsistent();
	EXPECT_EQ(ledger.strangers(), 0u);
	EXPECT_TRUE(kernel.flows().empty());
	EXPECT_EQ(kernel.live_flows(), 0u);
}

} // namespace tcpwin::test
