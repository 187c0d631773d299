// SPDX-License-Identifier: Apache-2.0
#include "cli/set.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>

#include <fmt/format.h>

#include "handover/deployment.hpp"
#include "bpf/object_info.hpp"
#include "bpf/live_config.hpp"
#include "bpf/pins.hpp"
#include "config/settings.hpp"
#include "base/log.hpp"

namespace tcpwin {
namespace {

// Interfaces that share their maps.
struct Group {
	std::vector<std::string> names;
	OpenMaps maps;
};

struct Target {
	std::vector<std::string> names;
	LiveConfig config;

	std::string describe() const { return fmt::format("{}", fmt::join(names, ", ")); }
};

bool is_asked(const SetOptions &options, const std::string &name)
{
	return options.interfaces.empty() || std::ranges::count(options.interfaces, name);
}

// By their maps, those whose programs are attached, whether an agent runs or will go on with them.
Result<std::vector<Group>> find_groups(const SetOptions &options, const std::string &what)
{
	auto deployments = TRY(find_deployments(options.bpffs, what));
	std::map<std::uint32_t, std::size_t> by_map;
	std::vector<Group> groups;
	for (const Deployment &one : deployments) {
		if (one.programs.empty())
			continue;
		auto maps = TRY(OpenMaps::of_deployment(one));
		const auto [known, is_new] = by_map.emplace(map_id(maps.get().data_fd), groups.size());
		if (is_new)
			groups.push_back({{}, std::move(maps)});
		groups[known->second].names.push_back(one.name);
	}
	return groups;
}

Result<std::vector<Target>> find_targets(const SetOptions &options, const std::string &what)
{
	auto groups = TRY(find_groups(options, what));
	std::vector<Target> targets;
	for (Group &group : groups) {
		if (std::ranges::none_of(group.names, [&](const std::string &name) { return is_asked(options, name); }))
			continue;
		auto config = TRY(LiveConfig::open(group.maps.get()));
		targets.push_back({std::move(group.names), std::move(config)});
	}
	for (const std::string &name : options.interfaces)
		if (std::ranges::none_of(targets,
					 [&](const Target &target) { return std::ranges::count(target.names, name); }))
			return fail(what + " of " + name, "nothing is attached there",
				    "'tcpwin-agent status' shows what is attached");
	if (targets.empty())
		return fail(what, "nothing is attached", "'tcpwin-agent attach' starts an agent");
	return targets;
}

std::string as_text(const std::vector<Target> &targets)
{
	std::string text;
	for (const Target &target : targets) {
		if (targets.size() > 1)
			text += fmt::format("# {}\n", target.describe());
		const tcpwin_config config = target.config.get();
		for (const Setting &setting : all_settings())
			text += fmt::format("{}={}\n", setting.key, setting.get(config));
	}
	return text;
}

void change(Target &target, const SettingValues &values)
{
	const tcpwin_config before = target.config.get(), after = apply_settings(values, before);
	target.config.set(after);
	for (const Setting &setting : all_settings())
		if (const std::string was = setting.get(before), is = setting.get(after); was != is)
			log::info("{}: {}={} (was {})", target.describe(), setting.key, is, was);
}

} // namespace

Result<void> set(const SetOptions &options)
{
	const bool tells = options.settings.empty();
	auto targets = TRY(find_targets(options, tells ? "cannot tell the settings" : "cannot change the settings"));
	if (!tells)
		for (Target &target : targets)
			change(target, options.settings);
	else if (std::fputs(as_text(targets).c_str(), stdout) == EOF || std::fflush(stdout) != 0)
		return fail("cannot write to standard output", describe_errno(errno));
	return {};
}

} // namespace tcpwin
