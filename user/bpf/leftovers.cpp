// SPDX-License-Identifier: Apache-2.0
#include "bpf/leftovers.hpp"

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/layout.hpp"
#include "bpf/ring.hpp"

namespace tcpwin {
namespace {

using Bytes = std::span<const std::uint8_t>;
using TakeRecord = std::function<void(const tcpwin_record &)>;

// The low bits of tcpwin_flow.word, see bpf/ownership.bpf.h.
constexpr std::uint64_t mark_mask = 3;
constexpr std::uint64_t mark_busy = 1; // above: ended or dying

constexpr std::uint32_t batch_entries = 4096; // no bucket of the table, handed over whole, comes near it

struct Types {
	BtfPtr theirs;
	BtfPtr ours;

	static Result<Types> of_map(int map_fd)
	{
		auto theirs = map_btf(map_fd);
		if (!theirs)
			return tl::unexpected(theirs.error());
		auto ours = own_btf();
		if (!ours)
			return tl::unexpected(ours.error());
		return Types{std::move(*theirs), std::move(*ours)};
	}

	Result<StructReader> reader(const char *struct_name, const char *index_enum = "") const
	{
		return StructReader::create(theirs.get(), ours.get(), struct_name, index_enum);
	}
};

Result<void> check_size(int map_fd, std::size_t key_size, std::size_t value_size)
{
	bpf_map_info info{};
	__u32 info_size = sizeof(info);
	if (bpf_obj_get_info_by_fd(map_fd, &info, &info_size) != 0)
		return fail("cannot read the maps of the last agent", describe_errno(errno));
	if (info.key_size != key_size || info.value_size != value_size)
		return fail("cannot read the maps of the last agent",
			    "their types are of another size than their entries");
	return {};
}

Result<void> for_each_entry(int map_fd, std::size_t key_size, std::size_t value_size, const auto &take)
{
	std::vector<std::uint8_t> keys(batch_entries * key_size), values(batch_entries * value_size);
	std::vector<std::uint8_t> place(std::max(key_size, sizeof(std::uint32_t)));
	void *from = nullptr;
	for (int error = 0; !error; from = place.data()) {
		std::uint32_t count = batch_entries;
		error = bpf_map_lookup_batch(map_fd, from, place.data(), keys.data(), values.data(), &count, nullptr);
		if (error && error != -ENOENT) // which is the end, with the last entries
			return fail("cannot read the flow table of the last agent", describe_errno(error));
		for (std::size_t i = 0; i < count; i++)
			take(Bytes(&keys[i * key_size], key_size), Bytes(&values[i * value_size], value_size));
	}
	return {};
}

Result<void> drain_ring(int records_fd, const Types &types, const TakeRecord &take)
{
	auto reader = types.reader("tcpwin_record");
	if (!reader)
		return tl::unexpected(reader.error());
	auto ring = RingReader::open(records_fd);
	if (!ring)
		return tl::unexpected(ring.error());
	ring->read([&](Bytes bytes) {
		if (bytes.size() != reader->size()) // a notice
			return;
		tcpwin_record record;
		reader->read(bytes, &record);
		take(record);
	});
	return {};
}

Result<void> drain_table(int flows_fd, const Types &types, std::uint64_t now_ns, const TakeRecord &take)
{
	auto key_reader = types.reader("tcpwin_key");
	auto flow_reader = types.reader("tcpwin_flow");
	if (!key_reader || !flow_reader)
		return tl::unexpected(key_reader ? flow_reader.error() : key_reader.error());
	if (auto checked = check_size(flows_fd, key_reader->size(), flow_reader->size()); !checked)
		return checked;

	return for_each_entry(flows_fd, key_reader->size(), flow_reader->size(), [&](Bytes key, Bytes flow) {
		tcpwin_record record{};
		flow_reader->read(flow, &record.flow);
		if ((record.flow.word & mark_mask) > mark_busy)
			return;
		key_reader->read(key, &record.key);
		record.now_ns = now_ns;
		record.reason = TCPWIN_END_SHUTDOWN;
		take(record);
	});
}

} // namespace

Result<void> drain_leftovers(const Leftovers &leftovers, std::uint64_t now_ns, const TakeRecord &take)
{
	auto types = Types::of_map(leftovers.flows_fd);
	if (!types)
		return tl::unexpected(types.error());
	if (auto drained = drain_ring(leftovers.records_fd, *types, take); !drained)
		return drained;
	return drain_table(leftovers.flows_fd, *types, now_ns, take);
}

Result<tcpwin_counters> read_counters(int counters_fd)
{
	auto types = Types::of_map(counters_fd);
	if (!types)
		return tl::unexpected(types.error());
	auto reader = types->reader("tcpwin_counters", "tcpwin_counter");
	if (!reader)
		return tl::unexpected(reader.error());
	const std::uint32_t only = 0;
	if (auto checked = check_size(counters_fd, sizeof(only), reader->size()); !checked)
		return tl::unexpected(checked.error());
	const int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return fail("cannot read the counters of the last agent", describe_errno(cpus));

	const std::size_t stride = (reader->size() + 7) / 8 * 8;
	std::vector<std::uint8_t> each(static_cast<std::size_t>(cpus) * stride);
	if (int error = bpf_map_lookup_elem(counters_fd, &only, each.data()))
		return fail("cannot read the counters of the last agent", describe_errno(error));
	tcpwin_counters sum{};
	for (std::size_t i = 0; i < each.size(); i += stride) {
		tcpwin_counters cpu;
		reader->read(Bytes(&each[i], reader->size()), &cpu);
		for (int counter = 0; counter < TCPWIN_COUNTER_COUNT; counter++)
			sum.value[counter] += cpu.value[counter];
		sum.peak_flows = std::max(sum.peak_flows, cpu.peak_flows);
	}
	return sum;
}

} // namespace tcpwin
