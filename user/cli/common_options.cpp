// SPDX-License-Identifier: Apache-2.0
#include "cli/common_options.hpp"

#include <fmt/format.h>

namespace tcpwin {
namespace {

void add_setting(OptionList &list, SettingValues &values, const std::string &key, std::string_view type,
		 const std::string &initial, std::string_view help)
{
	list.value("--" + key, std::string(type), initial, std::string(help),
		   [key, &values](const std::string &value) -> Result<void, std::string> {
			   TRY(check_setting(key, value));
			   values.insert_or_assign(key, value);
			   return {};
		   });
}

void add_setting(OptionList &list, SettingValues &values, const Setting &setting, const tcpwin_config &config)
{
	add_setting(list, values, std::string(setting.key), setting.type(), setting.get(config), setting.text);
}

void add_settings(OptionList &list, SettingSources &sources, TrackingOptions &tracking)
{
	add_setting(list, sources.command_line, std::string(profile_key), profile_type, std::string(default_profile),
		    fmt::format("{}; the defaults shown are the tutorial's", profile_text));
	add_config_file(list, sources.file);
	for (const Setting &setting : all_settings())
		add_setting(list, sources.command_line, setting, tracking.config);
	list.after_parsing([&]() -> Result<void> {
		const SettingValues values = TRY(read_settings(sources));
		const auto profile = values.find(profile_key);
		tracking.profile = profile == values.end() ? default_profile : profile->second;
		tracking.config = apply_settings(values);
		return {};
	});
}

} // namespace

void add_setting(OptionList &list, SettingValues &values, std::string_view key)
{
	if (const Setting *setting = find_setting(key))
		add_setting(list, values, *setting, TCPWIN_DEFAULT_CONFIG);
}

void add_bpffs(OptionList &list, std::string &bpffs)
{
	list.text("--bpffs", "DIR", bpffs, "A mounted bpffs, where 'attach --persistent' pins its programs and maps");
}

void add_verbosity(OptionList &list, Verbosity &verbosity, const std::string &more)
{
	list.flag("-q,--quiet", "Only errors on stderr, no end report", [&] { verbosity = Verbosity::quiet; });
	list.flag("-v,--verbose", more, [&] { verbosity = Verbosity::verbose; });
	list.exclude("--verbose", "--quiet");
}

void add_community_id(OptionList &list, std::optional<std::uint16_t> &seed)
{
	list.number("--community-id-seed", seed, 0, 65'535,
		    "Seed of community_id; must be the same in all tools whose IDs are compared");
	list.flag("--no-community-id", "Leave community_id out of JSON flow records", [&] { seed.reset(); });
	list.exclude("--community-id-seed", "--no-community-id");
}

void add_flow_output(OptionList &list, FlowOutputOptions &options)
{
	list.text("-o,--output", "FILE", options.path, "File for the flow records, - for standard output");
	list.choice<Format>("--format", "FORMAT", options.format, {{"json", Format::json}, {"t2", Format::t2}},
			    "json: one object per line; t2: Tranalyzer2's columns");
	add_community_id(list, options.community_id_seed);
}

void add_config_file(OptionList &list, std::string &file)
{
	list.text(
		"--config", "FILE", file,
		"File of settings (TOML), for instance timeout-est = \"300s\". Precedence: command line, file, profile");
}

void add_max_flows(OptionList &list, std::uint32_t &max_flows)
{
	list.number("--max-flows", max_flows, 1, 100'000'000,
		    "Size of the kernel's flow table (about 530 bytes of kernel memory per entry)");
}

void add_live_selection(OptionList &list, LiveSelection &selection)
{
	list.arguments("IFACE", selection.source.interfaces, "Only flows that were first seen on these interfaces");
	std::vector<std::pair<std::string, SortKey>> keys;
	keys.reserve(sort_names.size());
	for (std::size_t i = 0; i < sort_names.size(); i++)
		keys.emplace_back(sort_names[i], static_cast<SortKey>(i));
	list.choice<SortKey>("--sort", "KEY", selection.sort, keys, "Sort key, descending");
	list.pattern("--filter", "TEXT", selection.filter,
		     "Only flows with this text in an endpoint (ADDRESS:PORT or [ADDRESS]:PORT)");
	add_bpffs(list, selection.source.bpffs);
}

void add_recording(OptionList &list, OutputOptions &output, SettingSources &settings, TrackingOptions &tracking)
{
	add_flow_output(list, output.flows);
	list.text("--packets", "FILE", output.packets,
		  "Packet mode: file for one record per TCP packet, - for standard output");
	list.text("--summary", "FILE", output.summary,
		  "File for the end report as one JSON object, - for standard output");
	add_settings(list, settings, tracking);
	list.flag("--no-analysis", tracking.analyze_stalls,
		  "No stall analysis: lower cost per packet, but stall, window and tcp of a record are null", false);
	list.flag("--alarms-only", output.alarms_only, "Write only the records of flows that raised an alarm");
	list.after_parsing([&]() -> Result<void> {
		tracking.report_packets = !output.packets.empty();
		return {};
	});
}

} // namespace tcpwin
