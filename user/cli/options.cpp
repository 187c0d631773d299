// SPDX-License-Identifier: Apache-2.0
#include "cli/options.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "config/file.hpp"
#include "base/duration.hpp"

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

constexpr auto replay_examples = R"(Durations take a unit: 10s, 2.2s, 1ms, 5min, 1h30min.

Examples:
  # Flow records of a capture as JSON lines, the end report on stderr
  tcpwin-agent replay capture.pcapng

  # As Tranalyzer2 prints them, flows and packets
  tcpwin-agent replay capture.pcap --format t2 --timeout-new 182s --output flows.txt --packets packets.txt

  # What tcpdump writes, of one host
  tcpdump -r capture.pcap.zst -w - | tcpwin-agent replay - --filter 'host 192.0.2.1'

Exit codes: 0 done, 1 a file could not be read (to its end), 2 wrong usage, 78 the file of --config is wrong;
with --engine kernel also 69 not supported by this kernel, 77 no permission.)";

constexpr nanoseconds shortest_poll_interval = std::chrono::milliseconds(1);
constexpr nanoseconds shortest_stats_interval = std::chrono::milliseconds(100);
constexpr nanoseconds shortest_interval = std::chrono::milliseconds(100); // of top

constexpr auto description = "Watches TCP flows in the kernel and reports those whose receiver stops reading.";

constexpr auto attach_examples = R"(Durations take a unit: 10s, 2.2s, 1ms, 5min, 1h30min.

Examples:
  # Flow records as JSON lines until Ctrl-C, the end report on stderr
  tcpwin-agent attach eth0

  # All interfaces that are up, and those that come
  tcpwin-agent attach any

  # Two interfaces for ten minutes into a file
  tcpwin-agent attach eth0 eth1 --duration 10min --output flows.json

  # So that nothing is lost when the agent ends, is killed or upgraded: the next one goes on with it
  tcpwin-agent attach eth0 --persistent --output flows.json

  # Which sender's window was closed, as it happens
  tcpwin-agent attach eth0 | jq -c '.a, .b | select(. and .zero_window_count > 0) | [.ip, .zero_window_count]'

  # Tranalyzer2's columns, with the timeouts of its tutorial's exercise
  tcpwin-agent attach eth0 --format t2 --timeout-est 4s --abort-count 3

Exit codes: 0 done, 1 failed while running, 2 wrong usage, 69 not supported by this kernel
or device, 77 no permission, 78 the file of --config is wrong.)";

constexpr auto check_examples = R"(Nothing is attached. One line each: yes, no or ? (not known, and why), and a verdict.

Examples:
  # What kernel and user allow
  tcpwin-agent check

  # And whether this interface can be watched, and how
  sudo tcpwin-agent check eth0

Exit codes: 0 attach would work, 1 could not be told, 2 wrong usage, 69 it would fail.)";

constexpr auto status_examples = R"(Examples:
  # What is attached in this network namespace, by agents that run or that left it
  sudo tcpwin-agent status

  # Of one interface, for programs: one JSON object an interface
  sudo tcpwin-agent status --json eth0

Exit codes: 0 done, 1 something cannot be read, 2 wrong usage, 77 no permission.)";

// With a list of the settings, which are its arguments.
std::string set_examples()
{
	std::string text = "Settings:\n";
	fmt::format_to(std::back_inserter(text), "  {:<20} {}\n", fmt::format("{}={}", profile_key, profile_type),
		       profile_text);
	for (const Setting &setting : all_settings())
		fmt::format_to(std::back_inserter(text), "  {}={}\n      {}\n", setting.key, setting.type,
			       setting.text);
	return text + R"(
They hold at once, for flows that are alive, too, until the agent ends (with --persistent: until the next one starts)
or reads its own --config again (SIGHUP).

Examples:
  # What holds now
  sudo tcpwin-agent set

  # For what is to come, flows of five minutes without a packet end
  sudo tcpwin-agent set timeout-est=5min abort-count=10

  # As for operation, but for one of them
  sudo tcpwin-agent set --iface eth0 profile=monitor stall-alarm=none

Exit codes: 0 done, 1 no agent is there or one is of another version, 2 wrong usage, 77 no permission, 78 the file is wrong.)";
}

constexpr auto explain_examples =
	R"(FILE holds flow records as JSON lines, as attach and replay write them, or is a capture (also compressed): its
content tells. A capture is read with timeouts of ten minutes and no abort, so that a stall is one flow; records
are as good as the timeouts that they were made with.

Examples:
  # Who stopped reading in a capture, for how long, and how it ended
  tcpwin-agent explain capture.pcapng

  # In what was recorded so far, the worst three
  sudo tcpwin-agent attach eth0 --profile monitor --output flows.json
  tcpwin-agent explain --top 3 flows.json

  # Of one host only
  jq -c 'select(.a.ip == "192.0.2.1" or .b.ip == "192.0.2.1")' flows.json | tcpwin-agent explain -

Exit codes: 0 done (also where nothing stalled), 1 the file could not be read (to its end), 2 wrong usage.)";

constexpr auto flows_examples =
	R"(Flows that have not ended, of agents that run and of what persistent agents left, the largest first. CLOSED says
whose window is closed now; a stall that is open counts up to now. With --json one object a flow, with the fields
of a flow record.

Examples:
  # The ten flows that were stalled longest
  sudo tcpwin-agent flows --limit 10

  # Those of one server port
  sudo tcpwin-agent flows --filter :443

  # Whose window is closed now
  sudo tcpwin-agent flows --json | jq -c '.a, .b | select(. and .stall.open) | [.ip, .port, .stall.total]'

Exit codes: 0 done, 1 no agent is there or its flows cannot be read, 2 wrong usage, 77 no permission.)";

constexpr auto top_examples =
	R"(Keys: q quit, p flows or peers, s next sort key, f filter, space pause, arrows scroll, h help.

Examples:
  # What is stalled now, and by whom
  sudo tcpwin-agent top

  # One interface, every five seconds
  sudo tcpwin-agent top eth0 --interval 5s

Exit codes: 0 done, 1 no agent is there, its flows cannot be read or the terminal cannot be used, 2 wrong usage,
77 no permission.)";

constexpr auto detach_examples =
	R"(For what 'attach --persistent' left attached. An agent that runs has to be ended first (kill PID):
then what it has attached stays, and this command detaches it and appends the flows that are left to FILE.

Examples:
  # Detach from all interfaces, and write what was left
  sudo tcpwin-agent detach --output flows.json

  # From one of them
  sudo tcpwin-agent detach eth0

Exit codes: 0 done, 1 something is still left, 2 wrong usage, 77 no permission.)";

// No type of its own: it would stand in the help of each option that has it.
const CLI::Validator not_empty([](const std::string &text) { return std::string(text.empty() ? "it is empty" : ""); },
			       "");

void add_duration(CLI::App &app, const std::string &name, nanoseconds initial, const std::string &text,
		  std::function<void(nanoseconds)> set)
{
	auto *option = app.add_option_function<std::string>(
		name,
		[name, set](const std::string &value) {
			auto duration = parse_duration(value);
			if (!duration)
				throw CLI::ValidationError(name, fmt::format("'{}': {}", value, duration.error()));
			set(*duration);
		},
		text);
	option->type_name("DURATION");
	if (initial.count())
		option->default_str(format_duration(initial));
}

void add_config_file(CLI::App &app, std::string &file)
{
	app.add_option("--config", file,
		       "File of settings (TOML), by the names of the options without dashes; options come before it")
		->check(not_empty)
		->type_name("FILE");
}

// The same value as an option, in a file and of `set`.
void add_setting(CLI::App &app, SettingValues &values, const std::string &key, std::string_view type,
		 std::string_view text, const std::string &initial)
{
	const std::string name = "--" + key;
	app.add_option_function<std::string>(
		   name,
		   [name, key, &values](const std::string &value) {
			   if (auto checked = check_setting(key, value); !checked)
				   throw CLI::ValidationError(name, fmt::format("'{}': {}", value, checked.error()));
			   values.insert_or_assign(key, value);
		   },
		   std::string(text))
		->type_name(std::string(type))
		->default_str(initial);
}

void add_settings(CLI::App &app, CommonOptions &options)
{
	add_setting(app, options.settings, std::string(profile_key), profile_type,
		    fmt::format("{}; the defaults shown are the tutorial's", profile_text), "tutorial");
	add_config_file(app, options.config_file);
	for (const Setting &setting : all_settings())
		add_setting(app, options.settings, std::string(setting.key), setting.type, setting.text,
			    setting.get(options.config));
}

// "attach eth0 eth0" watches it once.
void remove_repeated(std::vector<std::string> &names)
{
	auto end = names.end();
	for (auto name = names.begin(); name != end; ++name)
		end = std::remove(std::next(name), end, *name);
	names.erase(end, names.end());
}

template <typename T>
void add_choice(CLI::App &app, const std::string &name, T &target, const std::map<std::string, T> &choices,
		const std::string &text, const std::string &type)
{
	std::vector<std::string> names;
	for (const auto &[choice, value] : choices) {
		names.push_back(choice);
		if (value == target)
			names.front().swap(names.back());
	}
	const std::string initial = names.front();
	app.add_option_function<std::string>(
		   name, [&target, choices](const std::string &choice) { target = choices.at(choice); }, text)
		->check(CLI::IsMember(names))
		->type_name(type)
		->default_str(initial);
}

void add_bpffs(CLI::App &app, std::string &bpffs)
{
	app.add_option("--bpffs", bpffs, "A mounted bpffs: where --persistent keeps what outlives the agent")
		->check(not_empty)
		->type_name("DIR")
		->capture_default_str();
}

void add_verbosity(CLI::App &app, Verbosity &verbosity,
		   const std::string &more = "More on stderr, the kernel verifier's log included")
{
	auto *quiet = app.add_flag_callback(
		"-q,--quiet", [&] { verbosity = Verbosity::quiet; }, "Only errors on stderr, no end report");
	app.add_flag_callback("-v,--verbose", [&] { verbosity = Verbosity::verbose; }, more)->excludes(quiet);
}

void add_community_id(CLI::App &app, std::optional<std::uint16_t> &seed)
{
	auto *without = app.add_flag_callback(
		"--no-community-id", [&] { seed.reset(); }, "JSON flow records without community_id");
	app.add_option_function<std::uint16_t>(
		   "--community-id-seed", [&](std::uint16_t value) { seed = value; },
		   "Seed of community_id, the same at all who compare it")
		->check(CLI::Range(0, 65'535))
		->default_str("0")
		->excludes(without);
}

void add_flow_output(CLI::App &app, CommonOptions &options)
{
	app.add_option("-o,--output", options.output, "File for the flow records, - for standard output")
		->check(not_empty)
		->type_name("FILE")
		->capture_default_str();
	add_choice<Format>(app, "--format", options.format, {{"json", Format::json}, {"t2", Format::t2}},
			   "json: one object a line; t2: Tranalyzer2's columns", "FORMAT");
	add_community_id(app, options.community_id_seed);
}

void add_common(CLI::App &app, CommonOptions &options)
{
	add_flow_output(app, options);
	app.add_option("--packets", options.packets,
		       "Packet mode: file for one record a TCP packet, - for standard output")
		->check(not_empty)
		->type_name("FILE");
	add_settings(app, options);
	app.add_flag_callback(
		"--no-analysis", [&] { options.analyze_stalls = false; },
		"Without stall analysis: a packet costs less, and stall, window and tcp of a record are null");
	app.add_flag("--alarms-only", options.alarms_only, "Only records of flows that raised an alarm");
	add_verbosity(app, options.verbosity);
}

void add_max_flows(CLI::App &app, std::uint32_t &max_flows)
{
	app.add_option("--max-flows", max_flows,
		       "Size of the kernel's flow table (about 460 bytes of kernel memory each)")
		->check(CLI::Range(1U, 100'000'000U))
		->capture_default_str();
}

void add_attach(CLI::App &app, AttachOptions &options)
{
	app.add_option("IFACE", options.interfaces,
		       "Network interfaces to watch; any: all that are up, as they come and go")
		->required()
		->check(not_empty);
	add_choice<IngressMode>(
		app, "--mode", options.mode,
		{{"auto", IngressMode::automatic},
		 {"native", IngressMode::native},
		 {"generic", IngressMode::generic},
		 {"tc", IngressMode::tc}},
		"What sees incoming packets: XDP in the driver (native) or on any device (generic), tc, "
		"or the first of these that can be had",
		"MODE");
	add_choice<Directions>(
		app, "--direction", options.directions,
		{{"both", Directions::both}, {"ingress", Directions::ingress}, {"egress", Directions::egress}},
		"Packets that come in, that go out (tc), or both", "DIRECTION");
	add_choice<TcHook>(app, "--tc-hook", options.tc_hook,
			   {{"auto", TcHook::automatic}, {"tcx", TcHook::tcx}, {"clsact", TcHook::clsact}},
			   "How tc programs are attached: TCX (Linux 6.6), clsact (any), or TCX if it can be had",
			   "HOOK");
	app.add_flag("--per-interface", options.per_interface,
		     "Keep the flows of each interface apart (with address translation, for instance)");
	app.add_flag("--persistent", options.persistent,
		     "What is attached and counted outlives the agent, and the next 'attach --persistent' goes on with "
		     "it; files are appended to");
	add_bpffs(app, options.bpffs);
	add_duration(app, "--duration", nanoseconds(0), "End after this time (default: never)",
		     [&](nanoseconds value) { options.duration = value; });
	add_duration(app, "--poll-interval", options.poll_interval, "How often to look for idle flows",
		     [&](nanoseconds value) {
			     if (value < shortest_poll_interval)
				     throw CLI::ValidationError(
					     "--poll-interval",
					     fmt::format("'{}': it must be at least 1ms", format_duration(value)));
			     options.poll_interval = value;
		     });
	add_duration(app, "--stats-interval", nanoseconds(0),
		     "Write what was counted into the flow output about so often (default: never)",
		     [&](nanoseconds value) {
			     if (value < shortest_stats_interval)
				     throw CLI::ValidationError("--stats-interval",
								fmt::format("'{}': it must be at least {}",
									    format_duration(value),
									    format_duration(shortest_stats_interval)));
			     options.stats_interval = value;
		     });
	add_max_flows(app, options.max_flows);
	add_common(app, options);
	app.footer(attach_examples);
}

void add_replay(CLI::App &app, ReplayOptions &options)
{
	app.add_option("FILE", options.files, "pcap or pcapng files, also compressed, in order; - for standard input")
		->required()
		->check(not_empty);
	app.add_option("--filter", options.filter, "Only frames that match, as pcap-filter(7) and tcpdump have it")
		->type_name("EXPRESSION");
	add_choice<EngineKind>(
		app, "--engine", options.engine, {{"portable", EngineKind::portable}, {"kernel", EngineKind::kernel}},
		"portable: in user space; kernel: every frame through the XDP program (root, slower)", "ENGINE");
	add_max_flows(app, options.max_flows);
	add_common(app, options);
	app.footer(replay_examples);
}

void add_check(CLI::App &app, CheckOptions &options)
{
	app.add_option("IFACE", options.interface, "Network interface to ask about")->check(not_empty);
	app.footer(check_examples);
}

void add_explain(CLI::App &app, ExplainOptions &options)
{
	app.add_option("FILE", options.file, "Flow records (JSON lines) or a capture; - for standard input")
		->required()
		->check(not_empty);
	app.add_option("--top", options.top, "How many to tell, the worst first")
		->check(CLI::Range(1U, UINT32_MAX))
		->capture_default_str();
	app.footer(explain_examples);
}

void add_status(CLI::App &app, StatusOptions &options)
{
	app.add_option("IFACE", options.interfaces, "Only these interfaces")->check(not_empty);
	app.add_flag("--json", options.json, "One JSON object an interface");
	add_bpffs(app, options.bpffs);
	app.footer(status_examples);
}

// The last of the same key holds.
void add_assignment(SettingValues &values, const std::string &word)
{
	const std::size_t equals = word.find('=');
	const std::string key = word.substr(0, equals);
	if (equals == std::string::npos)
		throw CLI::ValidationError(fmt::format("'{}'", word),
					   "it is not KEY=VALUE, for instance timeout-est=300s");
	const std::string value = word.substr(equals + 1);
	if (key != profile_key && !find_setting(key)) {
		const std::string_view closest = closest_key(key);
		throw CLI::ValidationError(
			fmt::format("'{}'", key),
			closest.empty() ? "there is no such setting" :
					  fmt::format("there is no such setting, perhaps {} is meant", closest));
	}
	if (auto checked = check_setting(key, value); !checked)
		throw CLI::ValidationError(key, fmt::format("'{}': {}", value, checked.error()));
	values.insert_or_assign(key, value);
}

void add_set(CLI::App &app, SetOptions &options, std::string &config_file)
{
	app.add_option_function<std::vector<std::string>>(
		   "KEY=VALUE",
		   [&](const std::vector<std::string> &words) {
			   for (const std::string &word : words)
				   add_assignment(options.settings, word);
		   },
		   "What to change; none: tell what holds")
		->type_name("");
	app.add_option("--iface", options.interfaces,
		       "Only the agents of these interfaces (default: all); may be repeated")
		->check(not_empty)
		->allow_extra_args(false)
		->type_name("IFACE");
	add_config_file(app, config_file);
	add_bpffs(app, options.bpffs);
	app.footer(set_examples());
}

void add_live(CLI::App &app, LiveSource &source, SortKey &sort, std::string &filter)
{
	app.add_option("IFACE", source.interfaces, "Only flows that were first seen on these interfaces")
		->check(not_empty);
	std::map<std::string, SortKey> keys;
	for (std::size_t i = 0; i < sort_names.size(); i++)
		keys[std::string(sort_names[i])] = static_cast<SortKey>(i);
	add_choice<SortKey>(app, "--sort", sort, keys, "What the largest of comes first", "KEY");
	app.add_option("--filter", filter,
		       "Only flows that have this text in an endpoint (ADDRESS:PORT, [ADDRESS]:PORT)")
		->type_name("TEXT");
	add_bpffs(app, source.bpffs);
}

void add_flows(CLI::App &app, FlowsOptions &options)
{
	add_live(app, options.source, options.sort, options.filter);
	app.add_option("--limit", options.limit, "At most so many (default: all)")
		->check(CLI::Range(1U, UINT32_MAX))
		->type_name("N");
	app.add_flag("--json", options.json, "One JSON object a flow");
	add_community_id(app, options.community_id_seed);
	app.footer(flows_examples);
}

void add_top(CLI::App &app, TopOptions &options)
{
	add_live(app, options.source, options.sort, options.filter);
	add_duration(app, "--interval", options.interval, "How often to look", [&](nanoseconds value) {
		if (value < shortest_interval)
			throw CLI::ValidationError(
				"--interval", fmt::format("'{}': it must be at least 100ms", format_duration(value)));
		options.interval = value;
	});
	app.footer(top_examples);
}

void add_detach(CLI::App &app, DetachOptions &options)
{
	app.add_option("IFACE", options.interfaces, "Only these interfaces (default: all)")->check(not_empty);
	add_flow_output(app, options);
	add_bpffs(app, options.bpffs);
	add_verbosity(app, options.verbosity, "More on stderr");
	options.append = true;
	app.footer(detach_examples);
}

// The file, and the command line on top of it.
Result<void> complete_settings(CommonOptions &options)
{
	SettingValues in_file;
	if (!options.config_file.empty()) {
		auto values = TRY(read_config_file(options.config_file));
		in_file = std::move(values);
	}
	options.config = apply_settings(merge_settings(std::move(in_file), options.settings));
	return {};
}

} // namespace

Result<Command> parse_options(int argc, const char *const *argv)
{
	AttachOptions attach_options;
	ReplayOptions replay_options;
	ExplainOptions explain_options;
	CheckOptions check_options;
	StatusOptions status_options;
	DetachOptions detach_options;
	SetOptions set_options;
	std::string set_config_file;
	FlowsOptions flows_options;
	TopOptions top_options;
	CLI::App app(description, "tcpwin-agent");
	const std::string version = "tcpwin-agent " TCPWIN_VERSION;
	app.set_version_flag("--version", version);
	app.require_subcommand(1);
	app.footer("'tcpwin-agent COMMAND --help' shows the options and examples of a command, for instance:\n"
		   "  sudo tcpwin-agent attach eth0\n"
		   "  tcpwin-agent replay capture.pcap");
	CLI::App *attach = app.add_subcommand("attach", "Watch interfaces and write flow records");
	CLI::App *replay = app.add_subcommand("replay", "Read captures and write the records that attach would have");
	CLI::App *explain = app.add_subcommand("explain", "Tell the worst stalls of flow records or of a capture");
	CLI::App *check = app.add_subcommand("check", "Say what kernel, user and interface allow");
	CLI::App *status = app.add_subcommand("status", "Show what is attached, and what it has counted");
	CLI::App *flows = app.add_subcommand("flows", "List the flows that have not ended");
	CLI::App *top = app.add_subcommand("top", "Show flows and peers on the whole screen, as they change");
	CLI::App *set = app.add_subcommand("set", "Change the settings of agents that run, or tell them");
	CLI::App *detach = app.add_subcommand("detach", "Detach what persistent agents left, and write its flows");
	for (CLI::App *command : {attach, replay, explain, check, status, set, flows, top, detach})
		command->set_version_flag("--version", version);
	add_attach(*attach, attach_options);
	add_replay(*replay, replay_options);
	add_explain(*explain, explain_options);
	add_check(*check, check_options);
	add_status(*status, status_options);
	add_set(*set, set_options, set_config_file);
	add_flows(*flows, flows_options);
	add_top(*top, top_options);
	add_detach(*detach, detach_options);

	try {
		app.parse(argc, argv);
	} catch (const CLI::ParseError &error) {
		if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
			std::ostringstream text, ignored;
			app.exit(error, text, ignored);
			return Information{text.str()};
		}
		for (const CLI::App *command : {attach, replay, explain, check, status, set, flows, top, detach})
			if (command->parsed())
				return fail("wrong usage", error.what(),
					    "see tcpwin-agent " + command->get_name() + " --help", Exit::usage);
		return fail("wrong usage",
			    argc > 1 ? fmt::format("there is no command '{}'", argv[1]) : "a command is missing",
			    "see tcpwin-agent --help", Exit::usage);
	}
	if (replay->parsed()) {
		TRY(complete_settings(replay_options));
		return replay_options;
	}
	if (set->parsed()) {
		if (set_config_file.empty())
			return set_options;
		auto values = TRY(read_config_file(set_config_file));
		set_options.settings = merge_settings(std::move(values), set_options.settings);
		return set_options;
	}
	if (explain->parsed())
		return explain_options;
	if (check->parsed())
		return check_options;
	if (status->parsed())
		return status_options;
	if (flows->parsed())
		return flows_options;
	if (top->parsed())
		return top_options;
	if (detach->parsed())
		return detach_options;
	attach_options.append = attach_options.persistent;
	remove_repeated(attach_options.interfaces);
	if (attach_options.any() && attach_options.interfaces.size() > 1)
		return fail("wrong usage", "'any' stands for all interfaces", "name either 'any' or interfaces",
			    Exit::usage);
	if (attach_options.stats_interval && attach_options.format == Format::t2)
		return fail("wrong usage",
			    "--stats-interval writes JSON lines, for which the columns of --format t2 have no place",
			    "take --format json", Exit::usage);
	TRY(complete_settings(attach_options));
	return attach_options;
}

} // namespace tcpwin
