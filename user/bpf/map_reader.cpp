// SPDX-License-Identifier: Apache-2.0
#include "bpf/map_reader.hpp"

#include <utility>

#include <tcpwin/flow.h>

#include "base/clocks.hpp"
#include "bpf/map_batches.hpp"
#include "bpf/map_types.hpp"
#include "bpf/ring.hpp"
#include "record/analysis.hpp"

namespace tcpwin {
namespace {

using TakeRecord = std::function<void(const tcpwin_record &)>;

// The low bits of tcpwin_flow.word, see bpf/ownership.bpf.h.
constexpr std::uint64_t mark_mask = 3;
constexpr std::uint64_t mark_busy = 1; // above: ended or dying

constexpr int most_tries = 16; // an owner holds a flow for some dozen instructions, unless its thread was preempted

Result<void> drain_ring(int records_fd, const MapTypes &types, const TakeRecord &take)
{
	auto reader = TRY(types.reader("tcpwin_record"));
	auto ring = TRY(RingReader::open(records_fd));
	ring.read([&](Bytes bytes) {
		if (bytes.size() != reader.size()) // a notice
			return;
		tcpwin_record record;
		reader.read(bytes, &record);
		take(record);
	});
	return {};
}

tcpwin_end_reason end_reason(const tcpwin_flow &flow, const tcpwin_config &config, std::uint64_t now_ns)
{
	return tcpwin_is_expired(&flow, &config, now_ns) ? tcpwin_expiry_reason(&flow, &config) : TCPWIN_END_SHUTDOWN;
}

struct FlowReaders {
	StructReader key;
	StructReader flow;

	static Result<FlowReaders> of_table(int flows_fd, const MapTypes &types)
	{
		auto key = TRY(types.reader("tcpwin_key"));
		auto flow = TRY(types.reader("tcpwin_flow"));
		TRY(sized_map_info(flows_fd, key.size(), flow.size()));
		return FlowReaders{std::move(key), std::move(flow)};
	}
};

Result<void> drain_table(int flows_fd, const MapTypes &types, const tcpwin_config &config, std::uint64_t now_ns,
			 const TakeRecord &take)
{
	auto readers = TRY(FlowReaders::of_table(flows_fd, types));

	return for_each_entry(flows_fd, readers.key.size(), readers.flow.size(), [&](Bytes key, Bytes flow) {
		tcpwin_record record{};
		readers.flow.read(flow, &record.flow);
		if ((record.flow.word & mark_mask) > mark_busy)
			return;
		readers.key.read(key, &record.key);
		record.now_ns = now_ns;
		record.reason = end_reason(record.flow, config, now_ns);
		take(record);
	});
}

} // namespace

Result<void> drain_maps(const AgentMaps &maps, const tcpwin_config &config, std::uint64_t now_ns,
			const TakeRecord &take)
{
	auto types = TRY(MapTypes::of_map(maps.flows_fd, maps.own_layout));
	TRY(drain_ring(maps.records_fd, types, take));
	return drain_table(maps.flows_fd, types, config, now_ns, take);
}

struct LiveFlows::Reading {
	FlowReaders readers;
	Batches batches;
};

LiveFlows::LiveFlows(std::unique_ptr<Reading> reading) : reading_(std::move(reading)) {}
LiveFlows::LiveFlows(LiveFlows &&) noexcept = default;
LiveFlows &LiveFlows::operator=(LiveFlows &&) noexcept = default;
LiveFlows::~LiveFlows() = default;

Result<LiveFlows> LiveFlows::open(const AgentMaps &maps)
{
	auto types = TRY(MapTypes::of_map(maps.flows_fd, maps.own_layout));
	auto readers = TRY(FlowReaders::of_table(maps.flows_fd, types));
	Batches batches(maps.flows_fd, readers.key.size(), readers.flow.size());
	return LiveFlows(std::make_unique<Reading>(Reading{std::move(readers), std::move(batches)}));
}

// A busy entry may be half of a flow that ended and half of the flow that replaces it, so it is read again. An entry that
// became busy while it was copied is used as it is: parts of the copy may be a few packets newer than others, and the
// next copy is consistent again.
Result<bool> LiveFlows::read_some(const TakeRecord &take)
{
	auto &[readers, batches] = *reading_;
	const bool more = TRY(batches.next());
	tcpwin_record record{};
	record.now_ns = boot_clock_ns();
	record.reason = not_ended;
	for (std::size_t i = 0; i < batches.count(); i++) {
		readers.flow.read(batches.value(i), &record.flow);
		for (int tries = 0; (record.flow.word & mark_mask) == mark_busy && tries < most_tries; tries++) {
			if (!batches.read_again(i))
				break;
			readers.flow.read(batches.value(i), &record.flow);
			record.now_ns = boot_clock_ns();
		}
		if ((record.flow.word & mark_mask) > mark_busy)
			continue;
		readers.key.read(batches.key(i), &record.key);
		take(record);
	}
	return more;
}

} // namespace tcpwin
