// SPDX-License-Identifier: Apache-2.0
#include "live/tables.hpp"
#include "bpf/object_info.hpp"

#include <algorithm>

#include <net/if.h>

namespace tcpwin {
namespace {

Result<LiveTable> open_table(OpenMaps maps, std::uint32_t id)
{
	auto flows = LiveFlows::open(maps.get());
	auto config = read_config(maps.get());
	auto interfaces = read_interfaces(maps.get());
	if (!flows || !config || !interfaces)
		return tl::unexpected(!flows ? flows.error() : !config ? config.error() : interfaces.error());
	LiveTable table{.maps = std::move(maps),
			.flows = std::move(*flows),
			.id = id,
			.config = *config,
			.names = {},
			.asked = {}};
	for (const auto &[ifindex, interface] : *interfaces)
		table.names[ifindex] = interface.name;
	return table;
}

bool is_same(const Deployment &one, const Deployment &other)
{
	const auto directory = [](const Deployment &deployment) {
		return deployment.pinned ? deployment.pinned->directory() : std::filesystem::path();
	};
	return one.ifindex == other.ifindex && one.name == other.name && directory(one) == directory(other) &&
	       std::ranges::equal(one.programs, other.programs, {}, &AttachedProgram::id, &AttachedProgram::id);
}

} // namespace

Result<LiveTables> LiveTables::open(const LiveSource &source, const std::string &what)
{
	LiveTables tables;
	tables.source_ = source;
	tables.what_ = what;
	auto deployments = TRY(find_deployments(source.bpffs, what));
	tables.deployments_ = std::move(deployments);
	for (const Deployment &one : tables.deployments_)
		TRY(tables.add(one));
	std::erase_if(tables.tables_, [](const LiveTable &table) { return table.asked.empty(); });
	for (const std::string &name : source.interfaces) {
		if (std::ranges::count(tables.interfaces_, name))
			continue;
		if (!if_nametoindex(name.c_str()))
			return fail(what, "there is no interface " + name, "'ip link' lists them");
		return fail(what, "no agent watches " + name, "start one: tcpwin-agent attach " + name);
	}
	if (tables.tables_.empty())
		return fail(what, "no agent watches an interface here", "start one: tcpwin-agent attach IFACE");
	return tables;
}

Result<void> LiveTables::add(const Deployment &deployment)
{
	auto maps = TRY(OpenMaps::of_deployment(deployment));
	const std::uint32_t id = map_id(maps.get().flows_fd);
	auto table = std::ranges::find(tables_, id, &LiveTable::id);
	if (table == tables_.end()) {
		auto opened = TRY(open_table(std::move(maps), id));
		table = tables_.insert(tables_.end(), std::move(opened));
		names_.insert(table->names.begin(), table->names.end());
	}
	// A renamed interface has its new name.
	const std::string name = !deployment.name.empty() ? deployment.name : table->names[deployment.ifindex];
	if (!source_.interfaces.empty() && !std::ranges::count(source_.interfaces, name))
		return {};
	table->names[deployment.ifindex] = names_[deployment.ifindex] = name;
	table->asked.insert(deployment.ifindex);
	interfaces_.push_back(name);
	return {};
}

Result<bool> LiveTables::is_outdated() const
{
	auto now = TRY(find_deployments(source_.bpffs, what_));
	return !std::ranges::equal(now, deployments_, is_same);
}

Result<bool> LiveTables::read_some(const std::function<void(const tcpwin_record &, const LiveTable &)> &take)
{
	if (at_ == tables_.size())
		return false;
	LiveTable &table = tables_[at_];
	const bool all = source_.interfaces.empty(); // including interfaces that are no longer watched
	auto more = table.flows.read_some([&](const tcpwin_record &record) {
		if (all || table.asked.contains(record.flow.ifindex))
			take(record, table);
	});
	if (!more)
		return more;
	if (!*more)
		at_++;
	return at_ != tables_.size();
}

Result<std::uint64_t> LiveTables::tracked_packets() const
{
	std::uint64_t packets = 0;
	for (const LiveTable &table : tables_) {
		auto counters = TRY(read_counters(table.maps.get()));
		packets += counters.value[TCPWIN_COUNTER_TRACKED];
	}
	return packets;
}

} // namespace tcpwin
