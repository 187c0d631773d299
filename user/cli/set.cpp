// SPDX-License-Identifier: Apache-2.0
#include "cli/set.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>

#include <fmt/format.h>

#include "base/log.hpp"
#include "base/printable.hpp"
#include "base/words.hpp"
#include "bpf/live_config.hpp"
#include "bpf/object_info.hpp"
#include "cli/common_options.hpp"
#include "handover/deployment.hpp"

namespace tcpwin {
namespace {

// Includes a list of the settings, which are the arguments.
std::string make_footer()
{
	constexpr std::size_t width = 100 - 6; // the first line begins after the indent
	constexpr std::string_view indent = "      ";
	std::string text = fmt::format("Settings:\n  {}={}\n      {}\n", profile_key, profile_type,
				       wrap(profile_text, width, indent));
	for (const Setting &setting : all_settings())
		text += fmt::format("  {}={}\n      {}\n", setting.key, setting.type(),
				    wrap(setting.text, width, indent));
	return text + R"(
They take effect at once, also for flows that are already tracked, until the agent ends (with
--persistent: until the next one starts) or reads its --config file again (SIGHUP).

Examples:
  # Print the current settings
  sudo tcpwin-agent set

  # From now on, established flows end after five minutes without a packet
  sudo tcpwin-agent set timeout-est=5min abort-count=10

  # On one interface, the settings for operation, but without stall alarms
  sudo tcpwin-agent set --iface eth0 profile=monitor stall-alarm=none

Exit codes: 0 done, 1 no agent was found or one is of another version, 2 wrong usage,
77 no permission, 78 the --config file is invalid.)";
}

// If a key is repeated, the last value counts.
Result<void, std::string> take_assignment(SettingValues &values, const std::string &word)
{
	const std::size_t equals = word.find('=');
	if (equals == std::string::npos)
		return tl::unexpected(fmt::format("'{}': it is not KEY=VALUE, for instance timeout-est=300s", word));
	const std::string key = word.substr(0, equals), value = word.substr(equals + 1);
	if (key != profile_key && !find_setting(key)) {
		const std::string_view closest = closest_key(key);
		return tl::unexpected(
			fmt::format("'{}': there is no such setting{}", key,
				    closest.empty() ? "" : fmt::format(", perhaps you mean {}", closest)));
	}
	if (auto checked = check_setting(key, value); !checked)
		return tl::unexpected(fmt::format("{}: '{}': {}", key, value, checked.error()));
	values.insert_or_assign(key, value);
	return {};
}

// Interfaces that share their maps.
struct Group {
	std::vector<std::string> names;
	OpenMaps maps;
};

struct Target {
	std::vector<std::string> names;
	LiveConfig config;

	std::string describe() const { return printable(fmt::format("{}", fmt::join(names, ", "))); }
};

bool is_asked(const SetOptions &options, const std::string &name)
{
	return options.interfaces.empty() || std::ranges::count(options.interfaces, name);
}

// One per set of maps whose programs are attached, whether or not an agent is running.
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
			return fail(fmt::format("{} of {}", what, name), "nothing is attached there",
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

void define_set(OptionList &list, SetOptions &options)
{
	list.arguments("KEY=VALUE", "Settings to change; none: print the current ones",
		       [&](const std::string &word) { return take_assignment(options.sources.command_line, word); });
	list.texts("--iface", "IFACE", options.interfaces,
		   "Only the agents of these interfaces (default: all); may be repeated");
	add_config_file(list, options.sources.file);
	add_bpffs(list, options.bpffs);
	list.after_parsing([&]() -> Result<void> {
		options.settings = TRY(read_settings(options.sources));
		return {};
	});
	list.footer(make_footer());
}

Result<Exit> set(const SetOptions &options)
{
	const bool print = options.settings.empty();
	auto targets = TRY(find_targets(options, print ? "cannot print the settings" : "cannot change the settings"));
	if (!print)
		for (Target &target : targets)
			change(target, options.settings);
	else if (std::fputs(as_text(targets).c_str(), stdout) == EOF || std::fflush(stdout) != 0)
		return fail("cannot write to standard output", describe_errno(errno));
	return Exit::success;
}

} // namespace tcpwin
