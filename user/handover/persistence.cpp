// SPDX-License-Identifier: Apache-2.0
#include "handover/persistence.hpp"

#include <algorithm>
#include <cstdint>
#include <set>

#include <bpf/bpf.h>
#include <fmt/format.h>

#include "base/clocks.hpp"
#include "bpf/counters.hpp"
#include "bpf/map_reader.hpp"
#include "handover/open_maps.hpp"

namespace tcpwin {
namespace {

bool is_left(const std::vector<PinnedInterface> &pinned, unsigned ifindex)
{
	return std::ranges::any_of(
		pinned, [&](const PinnedInterface &one) { return one.ifindex() == ifindex && one.is_complete(); });
}

tl::unexpected<Error> shared_with(const Interface &other)
{
	return fail("cannot take over what an earlier agent left",
		    fmt::format("{} belongs to it and was not named", other.name),
		    fmt::format("name {0} as well, or remove it: tcpwin-agent detach {0}", other.name));
}

} // namespace

std::string pin_name(HookKind kind, Direction direction)
{
	if (kind == HookKind::tcx)
		return direction == Direction::ingress ? "link_tcx_ingress" : "link_tcx_egress";
	if (direction == Direction::egress || kind == HookKind::clsact) // a filter stays without a pin
		return {};
	return kind == HookKind::xdp_native ? "link_xdp_native" : "link_xdp_generic";
}

Result<Persistence> Persistence::open(const std::string &bpffs, const std::vector<Interface> &all,
				      const IsWanted &is_wanted)
{
	Persistence persistence(TRY(PinDirectory::open(bpffs)));
	TRY(persistence.sort(all, is_wanted));
	return persistence;
}

// If one interface of a flow table is wanted, the table is taken over as a whole.
Result<void> Persistence::sort(const std::vector<Interface> &all, const IsWanted &is_wanted)
{
	const std::vector<PinnedInterface> pinned = directory_.list();
	const auto wanted = [&](const PinnedInterface &one) {
		const Interface *interface = find_interface(all, one.ifindex());
		return interface && is_wanted(*interface);
	};
	std::set<std::uint32_t> tables;
	for (const PinnedInterface &one : pinned)
		if (one.is_complete() && wanted(one))
			tables.insert(one.table_id());
	for (const PinnedInterface &one : pinned) {
		if (!one.is_complete() || !tables.contains(one.table_id()))
			continue;
		const Interface *interface = find_interface(all, one.ifindex());
		if (interface && !is_wanted(*interface))
			return shared_with(*interface);
		(one.layout() != TCPWIN_LAYOUT_VERSION ? others_ : interface ? own_ : gone_).push_back(one);
	}
	for (const PinnedInterface &one : own_)
		if (one.table_id() != own_.front().table_id())
			return fail("cannot take over what an earlier agent left",
				    fmt::format("{} and {} have no flow table in common",
						find_interface(all, own_.front().ifindex())->name,
						find_interface(all, one.ifindex())->name),
				    "remove one of them: tcpwin-agent detach IFACE");
	return {};
}

bool Persistence::is_pinned(unsigned ifindex) const
{
	return std::ranges::count(own_, ifindex, &PinnedInterface::ifindex) +
		       std::ranges::count(others_, ifindex, &PinnedInterface::ifindex) >
	       0;
}

// Another agent may have started and ended since this one started; its pins must not be overwritten.
Result<PinnedInterface> Persistence::prepare(const Program &program, unsigned ifindex) const
{
	if (!is_pinned(ifindex) && is_left(directory_.list(), ifindex))
		return fail("cannot pin", "an earlier agent left its programs attached",
			    "restart this agent, which then takes them over");
	auto made = directory_.make(ifindex);
	if (!made)
		return made;
	TRY(program.pin_to(*made));
	return made;
}

UniqueFd Persistence::find_link(unsigned ifindex, HookKind kind, Direction direction) const
{
	const std::string name = pin_name(kind, direction);
	for (const auto *some : {&own_, &others_})
		for (const PinnedInterface &one : *some)
			if (one.ifindex() == ifindex)
				if (UniqueFd link = one.open(name))
					return link;
	return {};
}

void Persistence::drop_link(unsigned ifindex, HookKind kind, Direction direction) const
{
	const std::string name = pin_name(kind, direction);
	for (const auto *some : {&own_, &others_})
		for (const PinnedInterface &one : *some)
			if (one.ifindex() == ifindex)
				if (const UniqueFd link = one.open(name)) {
					bpf_link_detach(link.get()); // fails if the interface was deleted
					one.unpin(name);
				}
}

Result<void> refuse_if_pinned(const std::string &bpffs, const Interface &interface)
{
	const auto directory = PinDirectory::open(bpffs);
	if (!directory)
		return {};
	if (!is_left(directory->list(), interface.index))
		return {};
	return fail(
		"cannot attach to " + interface.name, "an earlier agent left its programs attached",
		fmt::format("'attach --persistent {0}' takes them over, 'detach {0}' removes them", interface.name));
}

std::vector<PinnedInterface> one_of_each_table(const std::vector<PinnedInterface> &pinned)
{
	std::vector<PinnedInterface> firsts;
	std::set<std::uint32_t> tables;
	for (const PinnedInterface &one : pinned)
		if (one.is_complete() && tables.insert(one.table_id()).second)
			firsts.push_back(one);
	return firsts;
}

std::vector<PinnedInterface> orphans(const PinDirectory &directory)
{
	std::vector<PinnedInterface> elsewhere = directory.list_elsewhere();
	std::set<std::uint32_t> in_use;
	for (const auto &some : {directory.list(), elsewhere})
		for (const PinnedInterface &one : some)
			if (one.is_attached() || !one.has_links())
				in_use.insert(one.table_id());
	std::erase_if(elsewhere, [&](const PinnedInterface &one) { return in_use.contains(one.table_id()); });
	return elsewhere;
}

void settle(const tcpwin_batch &batch, RingReader &records, Output &output)
{
	const auto place = output.place();
	const bool same = place && batch.length && place->device == batch.device && place->inode == batch.inode;
	if (!same || place->offset <= batch.offset || batch.position == records.position())
		return;
	if (place->offset < batch.offset + batch.length)
		output.cut(batch.offset);
	else
		records.skip_to(batch.position);
}

void settle(const AgentMaps &maps, Output &output)
{
	const auto batch = read_batch(maps);
	auto records = RingReader::open(maps.records_fd);
	if (batch && records) // earlier versions do not note a batch
		settle(*batch, *records, output);
}

Result<void> Persistence::drain_others(Program &program, const tcpwin_config &config, Output &output,
				       const std::function<void(const tcpwin_record &)> &take) const
{
	tcpwin_counters carried{};
	const auto tables = one_of_each_table(others_);
	for (const PinnedInterface &one : tables) {
		const auto opened = TRY(OpenMaps::of_pins(one));
		const AgentMaps maps = opened.get();
		settle(maps, output);
		TRY(drain_maps(maps, config, boot_clock_ns(), take));
		add_counters(carried, TRY(read_counters(maps)));
	}
	return tables.empty() ? Result<void>{} : program.carry(carried);
}

void Persistence::remove_others() const
{
	for (const PinnedInterface &one : others_)
		static_cast<void>(one.remove()); // what is left is drained again by the next agent
}

} // namespace tcpwin
