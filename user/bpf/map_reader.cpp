// SPDX-License-Identifier: Apache-2.0
#include "bpf/map_reader.hpp"

#include <utility>

#include <tcpwin/expiry.h>
#include <tcpwin/flow_lock.h>

#include "base/clocks.hpp"
#include "bpf/map_batches.hpp"
#include "bpf/map_types.hpp"
#include "bpf/ring.hpp"
#include "record/analysis.hpp"

namespace tcpwin {
namespace {

using TakeRecord = std::function<void(const tcpwin_record &)>;

constexpr int most_tries = 16; // an owner holds a flow for a few dozen instructions, unless its thread is preempted

// Layouts up to 3 have no type in their messages: it is read as NONE, and a record is recognized by its size.
Result<void> drain_ring(int records_fd, const MapTypes &types, const TakeRecord &take)
{
	auto reader = TRY(types.reader("tcpwin_record"));
	auto ring = TRY(RingReader::open(records_fd));
	ring.read([&](Bytes bytes) {
		if (bytes.size() != reader.size())
			return;
		tcpwin_record record;
		reader.read(bytes, &record);
		if (const auto type = static_cast<tcpwin_message>(record.type);
		    type != TCPWIN_MESSAGE_RECORD && type != TCPWIN_MESSAGE_NONE)
			return;
		record.type = TCPWIN_MESSAGE_RECORD;
		take(record);
	});
	return {};
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
		record.type = TCPWIN_MESSAGE_RECORD;
		readers.flow.read(flow, &record.flow);
		if (!tcpwin_is_live(record.flow.seq))
			return;
		readers.key.read(key, &record.key);
		record.now_ns = now_ns;
		record.reason = tcpwin_reason_to_end(&record.flow, &config,
						     tcpwin_is_expired(&record.flow, &config, now_ns), 0);
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
	record.type = TCPWIN_MESSAGE_RECORD;
	record.now_ns = boot_clock_ns();
	record.reason = not_ended;
	for (std::size_t i = 0; i < batches.count(); i++) {
		readers.flow.read(batches.value(i), &record.flow);
		for (int tries = 0; tcpwin_mark_of(record.flow.seq) == TCPWIN_MARK_BUSY && tries < most_tries;
		     tries++) {
			if (!batches.read_again(i))
				break;
			readers.flow.read(batches.value(i), &record.flow);
			record.now_ns = boot_clock_ns();
		}
		if (!tcpwin_is_live(record.flow.seq))
			continue;
		readers.key.read(batches.key(i), &record.key);
		take(record);
	}
	return more;
}

} // namespace tcpwin
