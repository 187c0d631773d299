// SPDX-License-Identifier: Apache-2.0
#include "bpf/map_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <tcpwin/expiry.h>
#include <tcpwin/flow_lock.h>

#include "record/analysis.hpp"
#include "base/boot_clock.hpp"
#include "bpf/counters.hpp"
#include "bpf/layout.hpp"
#include "bpf/ring.hpp"

namespace tcpwin {
namespace {

using Bytes = std::span<const std::uint8_t>;
using TakeRecord = std::function<void(const tcpwin_record &)>;

constexpr std::uint32_t batch_entries = 4096; // no bucket of the table, handed over whole, comes near it

constexpr int most_tries = 16; // an owner takes some dozen instructions, unless its processor was taken away from it

struct Types {
	BtfPtr theirs;
	BtfPtr ours;

	static Result<Types> of_map(int map_fd, bool own_layout)
	{
		auto theirs = TRY(own_layout ? own_btf() : map_btf(map_fd));
		auto ours = TRY(own_btf());
		return Types{std::move(theirs), std::move(ours)};
	}

	Result<StructReader> reader(const char *struct_name, const char *index_enum = "") const
	{
		return StructReader::create(theirs.get(), ours.get(), struct_name, index_enum);
	}
};

// Error: its entries are of other sizes.
Result<bpf_map_info> map_info(int map_fd, std::size_t key_size, std::size_t value_size)
{
	bpf_map_info info{};
	__u32 info_size = sizeof(info);
	if (bpf_obj_get_info_by_fd(map_fd, &info, &info_size) != 0)
		return fail("cannot read the maps of the last agent", describe_errno(errno));
	if (info.key_size != key_size || info.value_size != value_size)
		return fail("cannot read the maps of the last agent",
			    "their types are of another size than their entries");
	return info;
}

// The entries of a table, a batch at a time.
class Batches {
public:
	Batches(int map_fd, std::size_t key_size, std::size_t value_size)
		: map_fd_(map_fd), key_size_(key_size), value_size_(value_size), keys_(batch_entries * key_size),
		  values_(batch_entries * value_size), place_(std::max(key_size, sizeof(std::uint32_t)))
	{
	}

	// Whether more may come; after the last, the next begins anew.
	Result<bool> next()
	{
		count_ = batch_entries;
		const int error = bpf_map_lookup_batch(map_fd_, begun_ ? place_.data() : nullptr, place_.data(),
						       keys_.data(), values_.data(), &count_, nullptr);
		begun_ = !error;
		if (error && error != -ENOENT) // which is the end, with the last entries
			return fail("cannot read the flow table of the last agent", describe_errno(error));
		return begun_;
	}

	std::size_t count() const { return count_; }
	Bytes key(std::size_t i) const { return {&keys_[i * key_size_], key_size_}; }
	Bytes value(std::size_t i) const { return {&values_[i * value_size_], value_size_}; }
	// The value as it is now; false: there is none any more.
	bool read_again(std::size_t i)
	{
		return bpf_map_lookup_elem(map_fd_, &keys_[i * key_size_], &values_[i * value_size_]) == 0;
	}

private:
	int map_fd_;
	std::size_t key_size_, value_size_;
	std::vector<std::uint8_t> keys_, values_, place_;
	std::uint32_t count_ = 0;
	bool begun_ = false;
};

Result<void> for_each_entry(int map_fd, std::size_t key_size, std::size_t value_size, const auto &take)
{
	Batches batches(map_fd, key_size, value_size);
	for (bool more = true; more;) {
		auto read = TRY(batches.next());
		more = read;
		for (std::size_t i = 0; i < batches.count(); i++)
			take(batches.key(i), batches.value(i));
	}
	return {};
}

// Layouts up to 3 have no type in their messages: it is read as NONE, and a record is recognized by its size.
Result<void> drain_ring(int records_fd, const Types &types, const TakeRecord &take)
{
	auto reader = TRY(types.reader("tcpwin_record"));
	auto ring = TRY(RingReader::open(records_fd));
	ring.read([&](Bytes bytes) {
		if (bytes.size() != reader.size())
			return;
		tcpwin_record record;
		reader.read(bytes, &record);
		if (record.type != TCPWIN_MESSAGE_RECORD && record.type != TCPWIN_MESSAGE_NONE)
			return;
		record.type = TCPWIN_MESSAGE_RECORD;
		take(record);
	});
	return {};
}

struct FlowReaders {
	StructReader key;
	StructReader flow;

	static Result<FlowReaders> of_table(int flows_fd, const Types &types)
	{
		auto key = types.reader("tcpwin_key");
		auto flow = types.reader("tcpwin_flow");
		if (!key || !flow)
			return tl::unexpected(key ? flow.error() : key.error());
		TRY(map_info(flows_fd, key->size(), flow->size()));
		return FlowReaders{std::move(*key), std::move(*flow)};
	}
};

Result<void> drain_table(int flows_fd, const Types &types, const tcpwin_config &config, std::uint64_t now_ns,
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

// The bytes of a global variable, and what follows it in its map.
Result<std::vector<std::uint8_t>> read_variable(int map_fd, const Types &types, const std::string &name,
						std::size_t size)
{
	constexpr auto what = "cannot read the variables of the last agent";
	auto offset = TRY(variable_offset(types.theirs.get(), name));
	bpf_map_info info{};
	__u32 info_size = sizeof(info);
	if (bpf_obj_get_info_by_fd(map_fd, &info, &info_size) != 0)
		return fail(what, describe_errno(errno));
	if (offset + size > info.value_size)
		return fail(what, "their map is too small");
	std::vector<std::uint8_t> value(info.value_size);
	const std::uint32_t only = 0;
	if (int error = bpf_map_lookup_elem(map_fd, &only, value.data()))
		return fail(what, describe_errno(error));
	value.erase(value.begin(), value.begin() + static_cast<std::ptrdiff_t>(offset));
	return value;
}

template <typename Struct>
Result<Struct> read_struct(int map_fd, bool own_layout, const std::string &type, const std::string &variable)
{
	auto types = TRY(Types::of_map(map_fd, own_layout));
	auto reader = TRY(types.reader(type.c_str()));
	auto bytes = TRY(read_variable(map_fd, types, variable, reader.size()));
	Struct value;
	reader.read(bytes, &value);
	return value;
}

} // namespace

Result<void> drain_leftovers(const Leftovers &leftovers, const tcpwin_config &config, std::uint64_t now_ns,
			     const TakeRecord &take)
{
	auto types = TRY(Types::of_map(leftovers.flows_fd, leftovers.own_layout));
	TRY(drain_ring(leftovers.records_fd, types, take));
	return drain_table(leftovers.flows_fd, types, config, now_ns, take);
}

struct LiveFlows::Reading {
	FlowReaders readers;
	Batches batches;
};

LiveFlows::LiveFlows(std::unique_ptr<Reading> reading) : reading_(std::move(reading)) {}
LiveFlows::LiveFlows(LiveFlows &&) noexcept = default;
LiveFlows &LiveFlows::operator=(LiveFlows &&) noexcept = default;
LiveFlows::~LiveFlows() = default;

Result<LiveFlows> LiveFlows::open(const Leftovers &leftovers)
{
	auto types = TRY(Types::of_map(leftovers.flows_fd, leftovers.own_layout));
	auto readers = TRY(FlowReaders::of_table(leftovers.flows_fd, types));
	Batches batches(leftovers.flows_fd, readers.key.size(), readers.flow.size());
	return LiveFlows(std::make_unique<Reading>(Reading{std::move(readers), std::move(batches)}));
}

// A busy entry may be half of a flow that ended and half of the one in its place, so it is read again. One that turned
// busy while it was copied is taken as it is: the copy is at most some packets ahead of itself, and the next one whole.
Result<bool> LiveFlows::read_some(const TakeRecord &take)
{
	auto &[readers, batches] = *reading_;
	auto more = batches.next();
	if (!more)
		return more;
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

Result<tcpwin_counters> read_counters(const Leftovers &leftovers)
{
	constexpr auto what = "cannot read the counters of the last agent";
	auto types = TRY(Types::of_map(leftovers.counters_fd, leftovers.own_layout));
	auto reader = TRY(types.reader("tcpwin_counters", "tcpwin_counter"));
	auto info = TRY(map_info(leftovers.counters_fd, sizeof(std::uint32_t), reader.size()));
	const int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return fail(what, describe_errno(cpus));

	const std::size_t stride = (reader.size() + 7) / 8 * 8;
	std::vector<std::uint8_t> each(static_cast<std::size_t>(cpus) * stride);
	tcpwin_counters sum{};
	for (std::uint32_t entry = 0; entry < info.max_entries; entry++) {
		if (int error = bpf_map_lookup_elem(leftovers.counters_fd, &entry, each.data()))
			return fail(what, describe_errno(error));
		for (std::size_t i = 0; i < each.size(); i += stride) {
			tcpwin_counters cpu;
			reader.read(Bytes(&each[i], reader.size()), &cpu);
			add_counters(sum, cpu);
		}
	}
	return sum;
}

Result<std::map<unsigned, tcpwin_interface>> read_interfaces(const Leftovers &leftovers)
{
	auto types = TRY(Types::of_map(leftovers.interfaces_fd, leftovers.own_layout));
	auto reader = TRY(types.reader("tcpwin_interface"));
	TRY(map_info(leftovers.interfaces_fd, sizeof(unsigned), reader.size()));
	std::map<unsigned, tcpwin_interface> all;
	auto read =
		for_each_entry(leftovers.interfaces_fd, sizeof(unsigned), reader.size(), [&](Bytes key, Bytes value) {
			unsigned ifindex = 0;
			std::memcpy(&ifindex, key.data(), sizeof(ifindex));
			tcpwin_interface &interface = all[ifindex];
			reader.read(value, &interface);
			interface.name[sizeof(interface.name) - 1] = '\0';
		});
	if (!read)
		return tl::unexpected(read.error());
	return all;
}

Result<tcpwin_config> read_config(const Leftovers &leftovers)
{
	return read_struct<tcpwin_config>(leftovers.data_fd, leftovers.own_layout, "tcpwin_config", "config");
}

Result<tcpwin_batch> read_batch(const Leftovers &leftovers)
{
	return read_struct<tcpwin_batch>(leftovers.bss_fd, leftovers.own_layout, "tcpwin_batch", "batch");
}

Result<std::uint64_t> read_live_flows(const Leftovers &leftovers)
{
	auto types = TRY(Types::of_map(leftovers.bss_fd, leftovers.own_layout));
	std::uint64_t flows = 0;
	auto bytes = TRY(read_variable(leftovers.bss_fd, types, "live_flows", sizeof(flows)));
	std::memcpy(&flows, bytes.data(), sizeof(flows));
	return flows;
}

} // namespace tcpwin
