// SPDX-License-Identifier: Apache-2.0
// The portable engine: the shared headers over a table in user space.
//
// Flows end in the order of their expiry. Each live flow has one valid entry in a heap, at a time that is never later
// than its expiry: a packet that prolongs a flow does not touch the heap, and an entry that is reached too early is put
// back at the flow's current expiry. Only an abort, which shortens a timeout, adds an entry; the entry that it replaces
// no longer matches the slot and is dropped. An ended flow stays in its slot for a while, as in the kernel's table, so
// that the next flow of its key can continue it.
#include "engine/portable.hpp"

#include <algorithm>
#include <deque>
#include <queue>
#include <string>
#include <unordered_map>

#include "capture/link_layer.hpp"
#include "engine/flow_table.hpp"
#include "engine/fragment_table.hpp"
#include "engine/pressure_period.hpp"

namespace tcpwin {
namespace {

struct Due {
	std::uint64_t time_ns;
	std::uint64_t flow_id;
	std::uint32_t slot;

	bool operator>(const Due &other) const
	{
		return time_ns != other.time_ns ? time_ns > other.time_ns : flow_id > other.flow_id;
	}
};

class Schedule : public std::priority_queue<Due, std::vector<Due>, std::greater<>> {
public:
	template <typename Predicate> void erase_if(Predicate predicate)
	{
		std::erase_if(c, predicate);
		std::ranges::make_heap(c, comp);
	}
};

class PortableEngine final : public Engine {
public:
	PortableEngine(const TrackingOptions &options, FlowObserver &observer)
		: config_(options.config), report_packets_(options.report_packets), analyze_(options.analyze_stalls),
		  observer_(observer), max_flows_(options.max_flows)
	{
	}

	Result<void> packet(const Frame &frame) override
	{
		now_ = frame.time_ns;
		end_due_flows();
		if (period_.begins(now_))
			examine_pressure();
		tcpwin_packet packet;
		const tcpwin_reject reject = parse_frame(frame, packet);
		if (reject == TCPWIN_REJECT_LATER_FRAGMENT)
			track_fragment(packet, frame);
		else if (reject != TCPWIN_ACCEPTED)
			counters_.value[TCPWIN_COUNTER_OF_REJECT(reject)]++;
		else
			track(packet, frame);
		return {};
	}

	Result<void> finish() override
	{
		while (!due_.empty())
			end_next(UINT64_MAX);
		return {};
	}

	Result<tcpwin_counters> counters() const override { return counters_; }

private:
	using Slot = FlowTable::Slot;
	struct Numbered {
		std::uint64_t number;
		std::uint32_t slot;
	};

	void end_due_flows()
	{
		while (!due_.empty() && due_.top().time_ns <= now_)
			end_next(now_);
	}

	// Takes the earliest entry up to limit: ends its flow, or puts it back where it belongs.
	void end_next(std::uint64_t limit)
	{
		const Due due = due_.top();
		due_.pop();
		Slot &slot = table_.slot(due.slot);
		if (slot.flow.id != due.flow_id || slot.due_ns != due.time_ns)
			return;
		const std::uint64_t expires = tcpwin_expires_at(&slot.flow, &config_);
		const std::uint64_t next = limit > now_ ? expires : tcpwin_due_at(&slot.flow, &config_);
		if (slot.ended)
			table_.erase(due.slot);
		else if (next > due.time_ns)
			schedule(due.slot, next);
		else if (expires > due.time_ns && expires > now_)
			make_interim_record(due.slot);
		else if (expires > due.time_ns)
			schedule(due.slot, expires);
		else
			end_flow(due.slot,
				 tcpwin_reason_to_end(&slot.flow, &config_, expires <= std::min(limit, now_), 0));
	}

	tcpwin_record make_record(const Slot &slot, tcpwin_end_reason reason) const
	{
		tcpwin_record record;
		tcpwin_fill_record(&record, &slot.key, &slot.flow, now_, reason);
		return record;
	}

	void end_flow(std::uint32_t number, tcpwin_end_reason reason)
	{
		Slot &slot = table_.slot(number);
		const tcpwin_record record = make_record(slot, reason);
		slot.ended = true;
		live_flows_--;
		for (unsigned i : {0, 1})
			if (const int change = tcpwin_stalled_change(slot.flow.stalled, 0, i))
				add_stalled(slot.key, i, change);
		const bool forget = pressure_.since_ns && reason != TCPWIN_END_NEW_CONNECTION; // that reuses the slot
		if (forget || reason == TCPWIN_END_EVICTED)
			table_.erase(number);
		else
			schedule(number, tcpwin_forgotten_at(&slot.flow, &config_, TCPWIN_CONTINUES_NS));
		observer_.on_flow(record);
	}

	void examine_pressure()
	{
		const std::uint64_t mark = tcpwin_pressure_mark(&config_, max_flows_);
		tcpwin_update_pressure(&pressure_, &config_, max_flows_, live_flows_, now_);
		if (pressure_.since_ns || table_.size() >= mark)
			table_.erase_if([](const Slot &slot) { return slot.ended; });
		if (pressure_.since_ns)
			end_unanswered_flows();
		if (!pressure_.since_ns && table_.size() < mark)
			return;
		while (const std::uint64_t number = next_number()) {
			const std::uint32_t slot = find_flow(number);
			if (is_candidate(slot) && !put_aside(slot))
				break;
			oldest_flow_ = number + 1;
		}
	}

	// In the order of their numbers.
	void end_unanswered_flows()
	{
		std::vector<std::pair<std::uint64_t, std::uint32_t>> due;
		table_.for_each([&](const Slot &slot, std::uint32_t number) {
			if (!slot.ended && tcpwin_ends_early(&slot.flow, config_.unanswered_ns, now_))
				due.emplace_back(slot.flow.id, number);
		});
		std::ranges::sort(due);
		for (const auto &[id, number] : due)
			end_flow(number, TCPWIN_END_UNANSWERED_TIMEOUT);
		pressure_.ended_early += due.size();
	}

	// As bpf/evict.bpf.h: the same steps, so that both engines evict the same flows.
	std::uint64_t next_number()
	{
		oldest_flow_ =
			std::max<std::uint64_t>(oldest_flow_, tcpwin_first_remembered(flows_numbered_, max_flows_));
		return oldest_flow_ <= flows_numbered_ ? oldest_flow_ : 0;
	}

	// Its slot, or none. The numbers asked for never go back.
	std::uint32_t find_flow(std::uint64_t number)
	{
		while (!numbered_.empty() && numbered_.front().number < number)
			numbered_.pop_front();
		const bool found =
			!numbered_.empty() && numbered_.front().number == number && is_there(numbered_.front());
		return found ? numbered_.front().slot : FlowTable::none;
	}

	bool is_there(const Numbered &flow) { return table_.slot(flow.slot).flow.id == flow.number; }

	bool is_candidate(std::uint32_t number)
	{
		if (number == FlowTable::none)
			return false;
		const Slot &slot = table_.slot(number);
		return slot.ended || tcpwin_is_unanswered(&slot.flow);
	}

	// Whether it may still be answered.
	bool put_aside(std::uint32_t number)
	{
		const Slot &slot = table_.slot(number);
		if (slot.ended || !tcpwin_is_half_open(&slot.flow))
			return false;
		half_open_.push_back({slot.flow.id, number});
		if (half_open_.size() > tcpwin_max_half_open(max_flows_))
			half_open_.pop_front();
		return true;
	}

	bool evict()
	{
		for (int i = 0; i < TCPWIN_MAX_CANDIDATES; i++) {
			const std::uint64_t number = next_number();
			if (!number)
				break;
			oldest_flow_ = number + 1;
			const std::uint32_t slot = find_flow(number);
			if (is_candidate(slot) && !put_aside(slot))
				return evict_flow(slot);
		}
		for (int i = 0; i < TCPWIN_MAX_CANDIDATES && !half_open_.empty(); i++) {
			const Numbered aside = half_open_.front();
			half_open_.pop_front();
			if (is_there(aside) && is_candidate(aside.slot))
				return evict_flow(aside.slot);
		}
		return false;
	}

	bool evict_flow(std::uint32_t number)
	{
		if (table_.slot(number).ended) {
			counters_.value[TCPWIN_COUNTER_EVICTED_ENDED]++;
			table_.erase(number);
		} else {
			counters_.value[TCPWIN_COUNTER_EVICTED_UNANSWERED]++;
			pressure_.ended_early++;
			end_flow(number, TCPWIN_END_EVICTED);
		}
		return true;
	}

	// Remembers the slot of the flow that was numbered last. Those that are gone are dropped at times, so that memory
	// depends on the flows in the table.
	void remember_number(std::uint32_t slot)
	{
		numbered_.push_back({flows_numbered_, slot});
		if (numbered_.size() <= most_numbered_)
			return;
		std::erase_if(numbered_, [&](const Numbered &flow) { return !is_there(flow); });
		numbered_.shrink_to_fit();
		most_numbered_ = 2 * numbered_.size() + least_numbered;
	}

	void note_untracked(std::uint32_t key_hash)
	{
		counters_.value[TCPWIN_COUNTER_UNTRACKED_FULL]++;
		untracked_.resize(TCPWIN_UNTRACKED_BITS);
		auto bit = untracked_[key_hash % TCPWIN_UNTRACKED_BITS];
		counters_.value[TCPWIN_COUNTER_UNTRACKED_FLOWS] += !bit;
		bit = true;
	}

	// An interim record, unless it would contain nothing new.
	void make_interim_record(std::uint32_t number)
	{
		Slot &slot = table_.slot(number);
		const tcpwin_record record = make_record(slot, TCPWIN_END_ACTIVE_TIMEOUT);
		const bool active = tcpwin_was_active(&slot.flow);
		slot.flow.active_since_s = tcpwin_active_since(&slot.flow, &config_, now_);
		schedule(number, tcpwin_due_at(&slot.flow, &config_));
		if (active)
			observer_.on_flow(record);
	}

	std::int64_t add_stalled(const tcpwin_key &key, unsigned endpoint, int change)
	{
		tcpwin_stalled_host host;
		tcpwin_make_host(&key, endpoint, &host);
		const std::string bytes(reinterpret_cast<const char *>(&host), sizeof(host));
		const std::int64_t flows = stalled_flows_[bytes] += change;
		if (!flows)
			stalled_flows_.erase(bytes);
		return flows;
	}

	// stalled: tcpwin_flow.stalled before the packet that was just counted.
	void note_alarms(Slot &slot, unsigned stalled)
	{
		std::uint32_t stalled_flows = 0;
		for (unsigned i : {0, 1}) {
			const int change = tcpwin_stalled_change(stalled, slot.flow.stalled, i);
			if (!change)
				continue;
			const std::int64_t flows = add_stalled(slot.key, i, change);
			if (change < 0)
				continue;
			stalled_flows = static_cast<std::uint32_t>(flows);
			tcpwin_note_stalled_flows(&slot.flow, i, flows, &config_);
		}
		if (!tcpwin_has_alarms(&slot.flow))
			return;
		tcpwin_alarm alarm;
		tcpwin_take_alarms(&alarm, &slot.key, &slot.flow, stalled_flows, now_);
		observer_.on_alarm(alarm);
	}

	void schedule(std::uint32_t number, std::uint64_t time_ns)
	{
		Slot &slot = table_.slot(number);
		slot.due_ns = time_ns;
		due_.push({time_ns, slot.flow.id, number});
		if (due_.size() > most_due_)
			drop_stale();
	}

	// Evicted flows leave entries behind.
	void drop_stale()
	{
		due_.erase_if([&](const Due &due) {
			const Slot &slot = table_.slot(due.slot);
			return slot.flow.id != due.flow_id || slot.due_ns != due.time_ns;
		});
		most_due_ = std::max(2 * due_.size(), least_due);
	}

	// In a new slot, or in that of an ended flow of the same key.
	std::uint32_t begin_flow(std::uint32_t number, const tcpwin_packet &packet, const tcpwin_key &key,
				 std::uint32_t from, std::uint32_t key_hash)
	{
		const bool succeeds = number != FlowTable::none;
		if (!succeeds)
			number = table_.insert(key, key_hash);
		Slot &slot = table_.slot(number);
		flows_numbered_++;
		if (succeeds)
			tcpwin_succeed_flow(&slot.flow, &config_, flows_numbered_, 0, &packet, from, now_);
		else
			tcpwin_begin_flow(&slot.flow, flows_numbered_, 0, &packet, from, now_);
		remember_number(number);
		slot.flow.seq = 0;
		slot.due_ns = UINT64_MAX;
		slot.ended = false;
		counters_.value[TCPWIN_COUNTER_FLOWS_CREATED]++;
		counters_.peak_flows = std::max(counters_.peak_flows, ++live_flows_);
		return number;
	}

	void track(const tcpwin_packet &packet, const Frame &frame)
	{
		tcpwin_key key;
		const std::uint32_t from = tcpwin_make_key(&packet, &config_, &key);
		const std::uint32_t key_hash = tcpwin_hash_key(&key);
		std::uint32_t number = table_.find(key, key_hash);
		if (number != FlowTable::none && !table_.slot(number).ended &&
		    tcpwin_begins_connection(&table_.slot(number).flow, &config_, &packet, from))
			end_flow(number, TCPWIN_END_NEW_CONNECTION);
		if (number == FlowTable::none && table_.size() >= max_flows_ && !evict()) {
			note_untracked(key_hash);
			return;
		}
		if (number == FlowTable::none || table_.slot(number).ended)
			number = begin_flow(number, packet, key, from, key_hash);

		Slot &slot = table_.slot(number);
		const std::uint64_t previous = slot.flow.direction[from].last_ns;
		if (tcpwin_is_quiet(&slot.flow, &config_, &packet, from, now_, analyze_)) {
			tcpwin_count_packet(&slot.flow, &config_, &packet, from, now_, analyze_);
		} else {
			const unsigned stalled = slot.flow.stalled;
			tcpwin_count_judgement(&counters_, tcpwin_count_packet_slow(&slot.flow, &config_, &packet, from,
										    now_, analyze_));
			note_alarms(slot, stalled);
		}
		if (const std::uint64_t next = tcpwin_due_at(&slot.flow, &config_); next < slot.due_ns)
			schedule(number, next);
		counters_.value[TCPWIN_COUNTER_TRACKED]++;
		if (packet.first_fragment)
			fragments_.remember(packet, config_, {key, slot.flow.id, from, 0});
		report(slot, packet, from, previous, frame, false);
		if (tcpwin_is_terminated(&slot.flow))
			end_due_flows(); // now, because the time of the next frame may be earlier
	}

	void track_fragment(const tcpwin_packet &packet, const Frame &frame)
	{
		const tcpwin_fragment *first = fragments_.find(packet, config_);
		const std::uint32_t number =
			first ? table_.find(first->key, tcpwin_hash_key(&first->key)) : FlowTable::none;
		if (number == FlowTable::none || table_.slot(number).ended ||
		    table_.slot(number).flow.id != first->flow_id) {
			counters_.value[TCPWIN_COUNTER_LATER_FRAGMENT]++;
			return;
		}
		Slot &slot = table_.slot(number);
		const std::uint64_t previous = slot.flow.direction[first->from & 1].last_ns;
		tcpwin_refresh_flow(&slot.flow, &config_, &packet, first->from, now_);
		counters_.value[TCPWIN_COUNTER_TRACKED]++;
		report(slot, packet, first->from, previous, frame, true);
	}

	void report(const Slot &slot, const tcpwin_packet &packet, std::uint32_t from, std::uint64_t previous,
		    const Frame &frame, bool later_fragment)
	{
		if (!report_packets_)
			return;
		tcpwin_packet_event event;
		tcpwin_fill_packet_event(&event, &slot.key, &slot.flow, &packet, from, now_, previous, later_fragment);
		observer_.on_packet(event, frame.number);
	}

	const tcpwin_config config_;
	const bool report_packets_;
	const bool analyze_;
	FlowObserver &observer_;
	FlowTable table_;
	Schedule due_;
	static constexpr std::size_t least_due = 65'536;
	std::size_t most_due_ = least_due; // stale ones are dropped then
	FragmentTable fragments_;
	tcpwin_counters counters_{};
	std::uint64_t flows_numbered_ = 0;
	std::unordered_map<std::string, std::int64_t> stalled_flows_; // by the bytes of tcpwin_stalled_host
	__u64 live_flows_ = 0;                                        // the table also has ended ones
	const std::uint32_t max_flows_;
	PressurePeriod period_;
	tcpwin_pressure pressure_{};
	static constexpr std::size_t least_numbered = 1024;
	std::deque<Numbered> numbered_; // by number
	std::size_t most_numbered_ = least_numbered;
	std::uint64_t oldest_flow_ = 1;  // number of the flow that is evicted next, if it can be
	std::deque<Numbered> half_open_; // put aside, as the queue half_open_flows
	std::vector<bool> untracked_;    // as the map of this name
	std::uint64_t now_ = 0;
};

} // namespace

std::unique_ptr<Engine> make_portable_engine(const TrackingOptions &options, FlowObserver &observer)
{
	return std::make_unique<PortableEngine>(options, observer);
}

} // namespace tcpwin
