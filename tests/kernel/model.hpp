// SPDX-License-Identifier: Apache-2.0
//
// What the kernel's table must contain: the same headers over a std::map, one
// packet after the other, without locks, ring buffer or a full table. Which flows
// end when, for which reason, and the table of stalled hosts come from these
// headers; what is restated here is the order of the steps and the table.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "flows.hpp"

namespace tcpwin::test {

class Model {
public:
	struct Entry {
		tcpwin_flow flow = {};
		bool ended = false;
	};
	using Entries = std::map<tcpwin_key, Entry, KeyLess>;

	void set_config(const tcpwin_config &config) { config_ = config; }
	const tcpwin_config &config() const { return config_; }
	const Entries &entries() const { return entries_; }
	const tcpwin_counters &counters() const { return counters_; }
	uint64_t live_flows() const { return live_; }
	std::vector<tcpwin_record> take_records() { return std::exchange(records_, {}); }
	std::vector<tcpwin_alarm> take_alarms() { return std::exchange(alarms_, {}); }

	uint64_t expires_at(const Entry &entry) const { return tcpwin_expires_at(&entry.flow, &config_); }
	uint64_t forgotten_at(const Entry &entry, uint64_t linger_ns) const
	{
		return tcpwin_forgotten_at(&entry.flow, &config_, linger_ns);
	}

	void packet(const Bytes &frame, uint64_t now)
	{
		Parsed parsed = parse(frame, config_);
		if (parsed.reject == TCPWIN_REJECT_LATER_FRAGMENT && later_fragment(parsed.packet, now))
			return;
		if (parsed.reject != TCPWIN_ACCEPTED) {
			counters_.value[counter_of(parsed.reject)]++;
			return;
		}
		counters_.value[TCPWIN_COUNTER_TRACKED]++;
		Entry &entry = open_entry(parsed, now);
		const unsigned stalled = entry.flow.stalled;
		tcpwin_count_judgement(&counters_, tcpwin_count_packet_slow(&entry.flow, &config_, &parsed.packet,
									    parsed.from, now, 1));
		note_alarms(parsed.key, entry.flow, stalled, now);
		if (parsed.packet.first_fragment)
			fragments_[fragment_key(parsed.packet)] = {parsed.key, entry.flow.id, parsed.from, 0};
	}

	tcpwin_sweep sweep(tcpwin_sweep sweep)
	{
		for (auto next = entries_.begin(); next != entries_.end();) {
			auto at = next++;
			end_if_due(*at, sweep);
			if (is_removable(at->second, sweep)) {
				entries_.erase(at);
				sweep.deleted++;
			} else {
				sweep.remaining++;
			}
		}
		return sweep;
	}

	// due_ns of a sweep at now_ns: when the first of the entries expires or, if it has ended, is forgotten.
	uint64_t due_ns(uint64_t now_ns, uint64_t linger_ns) const
	{
		uint64_t due = never;
		for (const auto &[key, entry] : entries_)
			due = std::min<uint64_t>(
				due, entry.ended ? forgotten_at(entry, linger_ns) :
						   std::min<uint64_t>(live_due(entry.flow, now_ns),
								      tcpwin_active_at(&entry.flow, &config_)));
		return due;
	}

private:
	uint64_t add_stalled(const tcpwin_key &key, unsigned endpoint, int change)
	{
		return stalled_flows_[{std::string(reinterpret_cast<const char *>(&key.address[endpoint]), 16),
				       key.vlan}] += change;
	}

	void note_alarms(const tcpwin_key &key, tcpwin_flow &flow, unsigned stalled, uint64_t now)
	{
		uint64_t stalled_flows = 0;
		for (unsigned i : {0, 1}) {
			const int change = tcpwin_stalled_change(stalled, flow.stalled, i);
			if (!change)
				continue;
			const uint64_t flows = add_stalled(key, i, change);
			if (change < 0)
				continue;
			stalled_flows = flows;
			tcpwin_note_stalled_flows(&flow, i, static_cast<__s64>(flows), &config_);
		}
		if (tcpwin_has_alarms(&flow))
			tcpwin_take_alarms(&alarms_.emplace_back(), &key, &flow, static_cast<__u32>(stalled_flows),
					   now);
	}

	// A sweep computes the exact expiry only if the flow may have expired.
	uint64_t live_due(const tcpwin_flow &flow, uint64_t now_ns) const
	{
		const uint64_t after = tcpwin_expires_after(&flow, &config_);
		return now_ns < after ? after : tcpwin_expires_at(&flow, &config_);
	}

	std::string fragment_key(const tcpwin_packet &packet) const
	{
		tcpwin_fragment_key key = {};
		tcpwin_make_fragment_key(&packet, &config_, &key);
		return {reinterpret_cast<const char *>(&key), sizeof(key)};
	}

	// Whether it was counted in the flow of its first fragment, which must be alive.
	bool later_fragment(const tcpwin_packet &packet, uint64_t now)
	{
		auto first = fragments_.find(fragment_key(packet));
		if (first == fragments_.end())
			return false;
		auto at = entries_.find(first->second.key);
		if (at == entries_.end() || at->second.ended || at->second.flow.id != first->second.flow_id ||
		    tcpwin_is_expired(&at->second.flow, &config_, now))
			return false;
		tcpwin_refresh_flow(&at->second.flow, &config_, &packet, first->second.from, now);
		counters_.value[TCPWIN_COUNTER_TRACKED]++;
		return true;
	}

	// The entry with a living flow, to which the packet belongs.
	Entry &open_entry(const Parsed &parsed, uint64_t now)
	{
		auto [at, fresh] = entries_.try_emplace(parsed.key);
		Entry &entry = at->second;
		if (!fresh && !entry.ended) {
			if (!tcpwin_is_cut(&entry.flow, &config_, &parsed.packet, parsed.from, now))
				return entry;
			add_record(*at, now, tcpwin_cut_reason(&entry.flow, &config_, now));
			counters_.value[TCPWIN_COUNTER_FLOWS_CUT]++;
			live_--;
		}
		entry.ended = false;
		numbered_++;
		if (fresh)
			tcpwin_begin_flow(&entry.flow, numbered_, loopback, &parsed.packet, parsed.from, now);
		else
			tcpwin_succeed_flow(&entry.flow, &config_, numbered_, loopback, &parsed.packet, parsed.from,
					    now);
		counters_.value[TCPWIN_COUNTER_FLOWS_CREATED]++;
		counters_.peak_flows = std::max<uint64_t>(counters_.peak_flows, ++live_);
		return entry;
	}

	void end_if_due(Entries::value_type &keyed, tcpwin_sweep &sweep)
	{
		Entry &entry = keyed.second;
		bool expired = sweep.now_ns >= expires_at(entry);
		if (entry.ended)
			return;
		if (!expired && !sweep.shutdown) {
			go_on_if_due(keyed, sweep);
			return;
		}
		add_record(keyed, sweep.now_ns, tcpwin_reason_to_end(&entry.flow, &config_, expired, 0));
		entry.ended = true;
		live_--;
		sweep.exported++;
	}

	void go_on_if_due(Entries::value_type &keyed, tcpwin_sweep &sweep)
	{
		tcpwin_flow &flow = keyed.second.flow;
		if (sweep.now_ns < tcpwin_active_at(&flow, &config_))
			return;
		if (tcpwin_was_active(&flow)) {
			add_record(keyed, sweep.now_ns, TCPWIN_END_ACTIVE_TIMEOUT);
			sweep.interim++;
		}
		flow.active_since_s = tcpwin_active_since(&flow, &config_, sweep.now_ns);
	}

	bool is_removable(const Entry &entry, const tcpwin_sweep &sweep) const
	{
		return entry.ended && (sweep.shutdown || sweep.now_ns >= forgotten_at(entry, sweep.linger_ns));
	}

	void add_record(const Entries::value_type &keyed, uint64_t now, tcpwin_end_reason reason)
	{
		const tcpwin_flow &flow = keyed.second.flow;
		tcpwin_fill_record(&records_.emplace_back(), &keyed.first, &flow, now, reason);
		if (reason == TCPWIN_END_ACTIVE_TIMEOUT)
			return;
		for (unsigned i : {0, 1})
			add_stalled(keyed.first, i, tcpwin_stalled_change(flow.stalled, 0, i));
	}

	tcpwin_config config_ = TCPWIN_DEFAULT_CONFIG;
	std::map<std::pair<std::string, __u16>, uint64_t> stalled_flows_; // by address and VLAN
	std::vector<tcpwin_alarm> alarms_;
	Entries entries_;
	std::map<std::string, tcpwin_fragment> fragments_;
	tcpwin_counters counters_ = {};
	std::vector<tcpwin_record> records_;
	uint64_t numbered_ = 0;
	uint64_t live_ = 0;
};

} // namespace tcpwin::test
