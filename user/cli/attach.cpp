// SPDX-License-Identifier: Apache-2.0
#include "cli/attach.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include <sys/stat.h>

#include "agent/cgroup_helper.hpp"
#include "agent/session.hpp"
#include "base/log.hpp"
#include "cli/common_options.hpp"
#include "cli/files.hpp"

namespace tcpwin {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr auto examples = R"(Durations have a unit: 10s, 2.2s, 1ms, 5min, 1h30min.

Examples:
  # Flow records as JSON lines until Ctrl-C, the end report on stderr
  sudo tcpwin-agent attach eth0

  # All interfaces that are up, including those that come up later
  sudo tcpwin-agent attach any

  # Two interfaces for ten minutes, into a file
  sudo tcpwin-agent attach eth0 eth1 --duration 10min --output flows.json

  # Lose nothing if the agent exits, is killed or is upgraded: the next one continues
  sudo tcpwin-agent attach eth0 --persistent --output flows.json

  # Endpoints that closed their window, as flows end
  sudo tcpwin-agent attach eth0 |
    jq -c '.a, .b | select(. and .zero_window_count > 0) | [.ip, .zero_window_count]'

  # Tranalyzer2's columns, with the timeouts of its tutorial's exercise
  sudo tcpwin-agent attach eth0 --format t2 --timeout-est 4s --abort-count 3

Exit codes: 0 done, 1 failed while running, 2 wrong usage, 69 not supported by this kernel
or device, 77 no permission, 78 the --config file is invalid.)";

// "attach eth0 eth0" watches it once.
void remove_repeated(std::vector<std::string> &names)
{
	auto end = names.end();
	for (auto name = names.begin(); name != end; ++name)
		end = std::remove(std::next(name), end, *name);
	names.erase(end, names.end());
}

Result<void> complete(AttachOptions &options)
{
	WatchOptions &watch = options.session.watch;
	options.output.append = watch.persistent;
	remove_repeated(watch.interfaces);
	if (watch.any() && watch.interfaces.size() > 1)
		return fail("wrong usage", "'any' stands for all interfaces", "name either 'any' or interfaces",
			    Exit::usage);
	if (options.session.stats_interval && options.output.flows.format == Format::t2)
		return fail("wrong usage",
			    "--stats-interval writes JSON lines, which do not fit the columns of --format t2",
			    "use --format json", Exit::usage);
	return check_outputs(options.output, {options.session.settings.file});
}

void define_watching(OptionList &list, WatchOptions &options)
{
	list.arguments("IFACE", options.interfaces, "Network interfaces to watch; any: all that are up, now or later",
		       OptionList::Needed::required);
	list.choice<IngressMode>("--mode", "MODE", options.mode,
				 {{"auto", IngressMode::automatic},
				  {"native", IngressMode::native},
				  {"generic", IngressMode::generic},
				  {"tc", IngressMode::tc}},
				 "Hook for incoming packets: XDP in the driver (native) or on any device "
				 "(generic), tc, or the first of these that works (auto)");
	list.choice<Directions>(
		"--direction", "DIRECTION", options.directions,
		{{"both", Directions::both}, {"ingress", Directions::ingress}, {"egress", Directions::egress}},
		"Watch incoming packets, outgoing packets (tc), or both");
	list.choice<TcHook>(
		"--tc-hook", "HOOK", options.tc_hook,
		{{"auto", TcHook::automatic}, {"tcx", TcHook::tcx}, {"clsact", TcHook::clsact}},
		"How tc programs are attached: TCX (Linux 6.6), clsact (any kernel), or TCX where possible (auto)");
	list.flag("--per-interface", options.per_interface,
		  "Track flows separately per interface (for instance on both sides of address translation)");
	list.flag("--persistent", options.persistent,
		  "Programs, flows and counters outlive the agent, and the next 'attach --persistent' takes "
		  "them over; output files are appended to");
	add_bpffs(list, options.bpffs);
}

// Nothing without --persistent.
Result<std::optional<Persistence>> find_earlier(const WatchOptions &options, const std::vector<Interface> &all,
						const Claims &claims)
{
	if (!options.persistent)
		return std::nullopt;
	return TRY(Persistence::open(options.bpffs, all,
				     [&](const Interface &interface) { return claims.contains(interface.index); }));
}

// Called before anything is loaded or opened.
Result<void> check_existence(const WatchOptions &options, const std::vector<Interface> &all)
{
	if (options.any())
		return {};
	for (const std::string &name : options.interfaces)
		if (!std::ranges::count(all, name, &Interface::name))
			return fail("cannot attach to " + name, "there is no such interface", "'ip link' lists them");
	return {};
}

// By name, so that SIGHUP can reopen them. An output that exists and is not a regular file is left out.
std::vector<ReopenHelper::File> files_to_reopen(const AttachOptions &options)
{
	std::vector<ReopenHelper::File> files;
	for (const std::string &path : {options.output.flows.path, options.output.packets}) {
		struct stat status{};
		const bool other = stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
		if (!path.empty() && path != "-" && !other)
			files.push_back({.path = path, .for_appending = true});
	}
	const std::string &settings = options.session.settings.file;
	struct stat status{};
	if (stat(settings.c_str(), &status) == 0 && S_ISREG(status.st_mode))
		files.push_back({.path = settings, .for_appending = false});
	return files;
}

// Null without attribution.
Result<std::shared_ptr<CgroupHelper>> start_cgroup_helper(const SessionOptions &options)
{
	if (!options.attribution)
		return nullptr;
	return std::make_shared<CgroupHelper>(TRY(CgroupHelper::start()));
}

std::unique_ptr<Attribution> open_attribution(const std::shared_ptr<CgroupHelper> &cgroups)
{
	if (!cgroups)
		return nullptr;
	auto attribution = std::make_unique<Attribution>([cgroups](std::uint64_t id) { return cgroups->find(id); });
	for (const std::string &sentence : attribution->missing())
		log::warning("{}; records do not name them", sentence);
	return attribution;
}

// The outputs are opened last, so that an earlier error does not truncate a file.
Result<Session::Parts> prepare(const AttachOptions &options)
{
	const WatchOptions &watch = options.session.watch;
	auto helper = TRY(ReopenHelper::start(files_to_reopen(options)));
	auto cgroups = TRY(start_cgroup_helper(options.session));
	auto monitor = TRY(InterfaceMonitor::open());
	const auto all = TRY(monitor.changed());
	TRY(check_existence(watch, all));
	auto signals = TRY(Signals::create(Signals::Taken::all));
	auto claims = TRY(claim_all(watch, all));
	auto persistence = TRY(find_earlier(watch, all, claims));
	auto program = TRY(Program::load({.tracking = options.tracking,
					  .per_interface = watch.per_interface,
					  .attribute = options.session.attribution,
					  .adopted = persistence ? persistence->adopted() : nullptr}));
	auto attribution = open_attribution(cgroups);
	auto writers = TRY(RecordWriters::open(options.output));
	return Session::Parts{.signals = std::move(signals),
			      .monitor = std::move(monitor),
			      .claims = std::move(claims),
			      .writers = std::move(writers),
			      .program = std::move(program),
			      .persistence = std::move(persistence),
			      .helper = std::move(helper),
			      .attribution = std::move(attribution)};
}

} // namespace

void define_attach(OptionList &list, AttachOptions &options)
{
	SessionOptions &session = options.session;
	define_watching(list, session.watch);
	list.duration("--duration", session.duration, 1ns, "End after this time (default: never)");
	list.duration("--poll-interval", session.poll_interval, 1ms, "Interval between checks for expired flows");
	list.duration("--stats-interval", session.stats_interval, 100ms,
		      "Write the counters into the flow output at about this interval (default: never)");
	list.flag("--no-attribution", session.attribution,
		  "Do not look for the programs of this host that own the endpoints of flows", false);
	add_max_flows(list, options.tracking.max_flows);
	add_recording(list, options.output, session.settings, options.tracking);
	add_verbosity(list, options.verbosity, "More messages on stderr, including the kernel verifier's log");
	list.after_parsing([&] { return complete(options); });
	list.footer(examples);
}

Result<Exit> attach(const AttachOptions &options)
{
	log::set_verbosity(options.verbosity);
	auto parts = TRY(prepare(options));
	if (parts.program.max_flows() != options.tracking.max_flows)
		log::warning("the flow table taken over keeps its size of {} entries", parts.program.max_flows());
	Session session(options.session, std::move(parts));
	TRY(session.attach_all());
	session.drop_privileges();
	auto watched = session.watch();
	auto finished = session.finish();
	if (options.verbosity != Verbosity::quiet)
		std::fputs(session.report().c_str(), stderr); // may fail: stderr carries no data
	auto summarized = session.write_summary(options.tracking.profile);
	TRY(std::move(watched));
	TRY(std::move(finished));
	TRY(std::move(summarized));
	return Exit::success;
}

} // namespace tcpwin
