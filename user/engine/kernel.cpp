// SPDX-License-Identifier: Apache-2.0
// The kernel engine: every frame through the real XDP program.
//
// It produces the portable engine's records in the portable engine's order. A flow ends at the first frame of any flow
// whose time reaches its expiry; the program cuts a flow only at the flow's own packets, and the sweep finds the
// others. The results are the same as long as time does not go back, so the sweep runs before each step back (and at
// intervals, to free entries). The set of flows that have ended by then is complete, and is passed on in order of
// expiry.
#include "engine/kernel.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>
#include <variant>
#include <vector>

#include <linux/if_ether.h>
#include <tcpwin/flow.h>

#include "bpf/program.hpp"
#include "capture/link_layer.hpp"
#include "engine/pressure_period.hpp"

namespace tcpwin {
namespace {

constexpr std::uint64_t sweep_every = 16384; // frames
constexpr std::uint32_t linear_bytes = 3072; // the linear part of a frame that XDP sees
constexpr std::size_t drain_at = 8192;       // records in the ring buffer, which holds about 39,000

class KernelEngine final : public Engine {
public:
	KernelEngine(const TrackingOptions &options, FlowObserver &observer, Program program)
		: config_(options.config), exact_(config_.active_s || config_.source_alarm),
		  report_packets_(options.report_packets), observer_(observer), program_(std::move(program))
	{
	}

	Result<void> packet(const Frame &frame) override
	{
		if (frame.time_ns < now_ || since_sweep_ >= sweep_every)
			TRY(sweep(false));
		now_ = frame.time_ns;
		if ((exact_ || program_.pressure().since_ns || is_full()) && program_.is_due(now_))
			TRY(sweep(false));
		if (period_.begins(now_) && program_.fills())
			TRY(examine_pressure());
		since_sweep_++;
		if (!make_ethernet(frame)) {
			too_short_++;
			return {};
		}
		const std::size_t linear = std::min<std::size_t>(bytes_.size(), linear_bytes);
		TRY(program_.run_at({bytes_.data(), linear}, wire_length_, now_));
		if (report_packets_) {
			program_.drain_packets(
				[&](const tcpwin_packet_event &event) { observer_.on_packet(event, frame.number); });
			program_.commit();
		}
		if (since_sweep_ % drain_at == 0)
			drain();
		return {};
	}

	Result<void> finish() override
	{
		return sweep(false).and_then([&] { return sweep(true); });
	}

	Result<tcpwin_counters> counters() const override
	{
		auto counters = program_.counters();
		if (counters)
			counters->value[TCPWIN_COUNTER_ETHERNET_TRUNCATED] += too_short_;
		return counters;
	}

private:
	// The frame as the program expects it; false: it ends before its network layer.
	bool make_ethernet(const Frame &frame)
	{
		const NetworkLayer network = find_network_layer(frame);
		if (network.offset > frame.captured)
			return false;
		if (frame.link == LinkType::ethernet) {
			bytes_.assign(frame.data, frame.data + frame.captured);
			wire_length_ = frame.wire;
			return true;
		}
		bytes_.assign(ETH_HLEN, 0);
		bytes_[12] = static_cast<std::uint8_t>(network.ethertype >> 8);
		bytes_[13] = static_cast<std::uint8_t>(network.ethertype & 0xff);
		bytes_.insert(bytes_.end(), frame.data + network.offset, frame.data + frame.captured);
		wire_length_ = frame.wire - network.offset + ETH_HLEN;
		return true;
	}

	void drain()
	{
		program_.drain([&](const tcpwin_record &record) { events_.push_back(record); },
			       [&](const tcpwin_alarm &alarm) { events_.push_back(alarm); });
		program_.commit();
	}

	// Expired flows must not take the place of others.
	bool is_full() const { return program_.most_entries() >= program_.max_flows(); }

	// Ends the flows that have expired by now_, or all (shutdown), and passes on their records.
	Result<void> sweep(bool shutdown)
	{
		tcpwin_sweep request{};
		request.shutdown = shutdown;
		request.linger_ns = TCPWIN_CONTINUES_NS;
		TRY(sweep(request));
		pass_on();
		return {};
	}

	Result<void> examine_pressure()
	{
		TRY(sweep(false)); // most_entries() is their number then
		if (!program_.fills())
			return {};
		tcpwin_sweep request{};
		request.examine = 1;
		request.linger_ns = program_.is_above_mark() ? 0 : TCPWIN_CONTINUES_NS;
		TRY(sweep(request));
		pass_on();
		return {};
	}

	Result<void> sweep(tcpwin_sweep request)
	{
		since_sweep_ = 0;
		request.now_ns = now_;
		while (true) {
			auto swept = TRY(program_.sweep(request));
			drain();
			if (!swept.ring_full && (!request.shutdown || swept.remaining == 0))
				return {};
		}
	}

	void pass_on()
	{
		const auto order = [&](const Event &event) {
			if (const auto *alarm = std::get_if<tcpwin_alarm>(&event))
				return std::tuple(alarm->now_ns, true, __u64{0});
			const auto &record = std::get<tcpwin_record>(event);
			if (record.reason == TCPWIN_END_NEW_CONNECTION || record.reason == TCPWIN_END_EVICTED)
				return std::tuple(record.now_ns, true, __u64{0}); // at a packet, after what has expired
			if (record.reason == TCPWIN_END_UNANSWERED_TIMEOUT)
				return std::tuple(record.now_ns, true, record.flow.id);
			return std::tuple(record.reason == TCPWIN_END_ACTIVE_TIMEOUT ?
						  tcpwin_active_at(&record.flow, &config_) :
						  tcpwin_expires_at(&record.flow, &config_),
					  false, record.flow.id);
		};
		std::stable_sort(events_.begin(), events_.end(),
				 [&](const Event &l, const Event &r) { return order(l) < order(r); });
		for (const Event &event : events_)
			if (const auto *alarm = std::get_if<tcpwin_alarm>(&event))
				observer_.on_alarm(*alarm);
			else
				observer_.on_flow(std::get<tcpwin_record>(event));
		events_.clear();
	}

	using Event = std::variant<tcpwin_record, tcpwin_alarm>;

	const tcpwin_config config_;
	const bool exact_; // alarms depend on which flows have ended, interim records on when the sweep runs
	const bool report_packets_;
	FlowObserver &observer_;
	Program program_;
	std::vector<Event> events_; // since the last sweep
	std::vector<std::uint8_t> bytes_;
	std::uint32_t wire_length_ = 0;
	std::uint64_t now_ = 0;
	std::uint64_t since_sweep_ = 0; // frames
	PressurePeriod period_;
	std::uint64_t too_short_ = 0;
};

} // namespace

Result<std::unique_ptr<Engine>> make_kernel_engine(const TrackingOptions &options, FlowObserver &observer)
{
	auto program = TRY(Program::load({.tracking = options, .test_runs = true}));
	return std::make_unique<KernelEngine>(options, observer, std::move(program));
}

} // namespace tcpwin
