// SPDX-License-Identifier: Apache-2.0
#include "handover/persistence.hpp"

#include <algorithm>
#include <cerrno>
#include <set>

#include <bpf/bpf.h>
#include <fmt/format.h>

#include "base/boot_clock.hpp"
#include "bpf/counters.hpp"

namespace tcpwin {
namespace {

const Interface *find(const std::vector<Interface> &all, unsigned ifindex)
{
	const auto found = std::ranges::find(all, ifindex, &Interface::index);
	return found == all.end() ? nullptr : &*found;
}

bool is_left(const std::vector<PinnedInterface> &pinned, unsigned ifindex)
{
	return std::ranges::any_of(
		pinned, [&](const PinnedInterface &one) { return one.ifindex() == ifindex && one.is_complete(); });
}

tl::unexpected<Error> shared_with(const Interface &other)
{
	return fail("cannot take over what was left attached",
		    fmt::format("{} belongs to it and was not named", other.name),
		    fmt::format("name {0} as well, or remove it: tcpwin-agent detach {0}", other.name));
}

} // namespace

std::string pin_name(Attachment attachment, Direction direction)
{
	if (attachment == Attachment::tcx)
		return direction == Direction::ingress ? "link_tcx_ingress" : "link_tcx_egress";
	if (direction == Direction::egress || attachment == Attachment::clsact) // a filter stays by itself
		return {};
	return attachment == Attachment::xdp_native ? "link_xdp_native" : "link_xdp_generic";
}

Result<Persistence> Persistence::open(const std::string &bpffs, const std::vector<Interface> &all,
				      const IsWanted &is_wanted)
{
	auto directory = TRY(PinDirectory::open(bpffs));
	Persistence persistence(std::move(directory));
	TRY(persistence.sort(all, is_wanted));
	return persistence;
}

// A flow table with an interface that is wanted is taken over as a whole.
Result<void> Persistence::sort(const std::vector<Interface> &all, const IsWanted &is_wanted)
{
	const std::vector<PinnedInterface> pinned = directory_.list();
	const auto wanted = [&](const PinnedInterface &one) {
		const Interface *interface = find(all, one.ifindex());
		return interface && is_wanted(*interface);
	};
	std::set<std::uint32_t> tables;
	for (const PinnedInterface &one : pinned)
		if (one.is_complete() && wanted(one))
			tables.insert(one.table_id());
	for (const PinnedInterface &one : pinned) {
		if (!one.is_complete() || !tables.contains(one.table_id()))
			continue;
		const Interface *interface = find(all, one.ifindex());
		if (interface && !is_wanted(*interface))
			return shared_with(*interface);
		(one.layout() != TCPWIN_LAYOUT_VERSION ? others_ : interface ? own_ : gone_).push_back(one);
	}
	for (const PinnedInterface &one : own_)
		if (one.table_id() != own_.front().table_id())
			return fail("cannot take over what was left attached",
				    fmt::format("{} and {} have no flow table in common",
						find(all, own_.front().ifindex())->name,
						find(all, one.ifindex())->name),
				    "remove one of them: tcpwin-agent detach IFACE");
	return {};
}

bool Persistence::is_pinned(unsigned ifindex) const
{
	return std::ranges::count(own_, ifindex, &PinnedInterface::ifindex) +
		       std::ranges::count(others_, ifindex, &PinnedInterface::ifindex) >
	       0;
}

// An agent may have come and gone since this one started; what it left is not to be written over.
Result<PinnedInterface> Persistence::prepare(const Program &program, unsigned ifindex) const
{
	if (!is_pinned(ifindex) && is_left(directory_.list(), ifindex))
		return fail("cannot pin", "an agent that is gone has left its programs attached",
			    "start this one again, it goes on with them then");
	auto made = directory_.make(ifindex);
	if (!made)
		return made;
	TRY(program.pin_to(*made));
	return made;
}

UniqueFd Persistence::find_link(unsigned ifindex, Attachment attachment, Direction direction) const
{
	const std::string name = pin_name(attachment, direction);
	for (const auto *some : {&own_, &others_})
		for (const PinnedInterface &one : *some)
			if (one.ifindex() == ifindex)
				if (UniqueFd link = one.open(name))
					return link;
	return {};
}

void Persistence::drop_link(unsigned ifindex, Attachment attachment, Direction direction) const
{
	const std::string name = pin_name(attachment, direction);
	for (const auto *some : {&own_, &others_})
		for (const PinnedInterface &one : *some)
			if (one.ifindex() == ifindex)
				if (const UniqueFd link = one.open(name)) {
					bpf_link_detach(link.get());
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
	return fail("cannot attach to " + interface.name, "an agent that is gone has left its programs attached",
		    fmt::format("'attach --persistent {0}' goes on with them, 'detach {0}' ends them", interface.name));
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

Result<PinnedLeftovers> PinnedLeftovers::open(const PinnedInterface &pinned)
{
	PinnedLeftovers leftovers;
	leftovers.own_layout_ = pinned.layout() == TCPWIN_LAYOUT_VERSION;
	for (auto [name, fd] :
	     {std::pair("flows", &leftovers.flows_), std::pair("records", &leftovers.records_),
	      std::pair("counters", &leftovers.counters_), std::pair("interfaces", &leftovers.interfaces_),
	      std::pair("data", &leftovers.data_), std::pair("bss", &leftovers.bss_)}) {
		*fd = pinned.open(name);
		if (!*fd)
			return fail("cannot open " + (pinned.directory() / name).string(), describe_errno(errno));
	}
	return leftovers;
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

void settle(const Leftovers &leftovers, Output &output)
{
	const auto batch = read_batch(leftovers);
	auto records = RingReader::open(leftovers.records_fd);
	if (batch && records) // versions before did not note it
		settle(*batch, *records, output);
}

Result<void> Persistence::drain_others(Program &program, const tcpwin_config &config, Output &output,
				       const std::function<void(const tcpwin_record &)> &take) const
{
	tcpwin_counters carried{};
	const auto tables = one_of_each_table(others_);
	for (const PinnedInterface &one : tables) {
		auto leftovers = TRY(PinnedLeftovers::open(one));
		settle(leftovers.get(), output);
		TRY(drain_leftovers(leftovers.get(), config, boot_clock_ns(), take));
		auto counters = TRY(read_counters(leftovers.get()));
		add_counters(carried, counters);
	}
	return tables.empty() ? Result<void>{} : program.carry(carried);
}

void Persistence::remove_others() const
{
	for (const PinnedInterface &one : others_)
		static_cast<void>(one.remove()); // what stays is drained again by the next agent
}

} // namespace tcpwin
