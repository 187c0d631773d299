// SPDX-License-Identifier: Apache-2.0
#include "cli/attach.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include <sys/stat.h>

#include "agent/reopen_helper.hpp"
#include "agent/session.hpp"
#include "base/log.hpp"

namespace tcpwin {
namespace {

// Without --persistent: nothing.
Result<std::optional<Persistence>> find_earlier(const AttachOptions &options, const std::vector<Interface> &all,
						const Claims &claims)
{
	if (!options.persistent)
		return std::nullopt;
	return TRY(Persistence::open(options.bpffs, all,
				     [&](const Interface &interface) { return claims.contains(interface.index); }));
}

// Before anything is loaded or opened.
Result<void> find_all(const AttachOptions &options, const std::vector<Interface> &all)
{
	if (options.any())
		return {};
	for (const std::string &name : options.interfaces) {
		const auto same = [&](const Interface &interface) { return interface.name == name; };
		if (std::none_of(all.begin(), all.end(), same))
			return fail("cannot attach to " + name, "there is no such interface", "'ip link' lists them");
	}
	return {};
}

// By name, so that SIGHUP can have them opened again; not what is there and is no regular file.
std::vector<FileOpener::File> files_to_reopen(const AttachOptions &options)
{
	std::vector<FileOpener::File> files;
	for (const std::string &path : {options.output, options.packets}) {
		struct stat status{};
		const bool other = stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
		if (!path.empty() && path != "-" && !other)
			files.push_back({.path = path, .for_appending = true});
	}
	struct stat status{};
	if (stat(options.config_file.c_str(), &status) == 0 && S_ISREG(status.st_mode))
		files.push_back({.path = options.config_file, .for_appending = false});
	return files;
}

} // namespace

Result<void> attach(const AttachOptions &options)
{
	auto opener = TRY(FileOpener::start(files_to_reopen(options)));
	// The output comes last: a mistake elsewhere must not have emptied a file.
	auto monitor = TRY(InterfaceMonitor::open());
	auto all = TRY(monitor.changed());
	TRY(find_all(options, all));
	auto signals = TRY(Signals::create(Signals::Taken::all));
	auto claims = TRY(claim_all(options, all));
	auto persistence = TRY(find_earlier(options, all, claims));
	auto program = TRY(Program::load({.tracking = {.config = options.config,
						       .report_packets = !options.packets.empty(),
						       .analyze_stalls = options.analyze_stalls,
						       .max_flows = options.max_flows},
					  .per_interface = options.per_interface,
					  .adopted = persistence ? persistence->adopted() : nullptr}));
	auto writers = TRY(RecordWriters::open(options));

	if (program.max_flows() != options.max_flows)
		log::warning("the flow table that is taken over keeps its {} entries", program.max_flows());
	Session session(options, std::move(signals), std::move(monitor), std::move(claims), std::move(writers),
			std::move(program), std::move(persistence), std::move(opener));
	TRY(session.attach_all());
	session.drop_privileges();
	auto result = session.watch();
	auto finished = session.finish();
	if (options.verbosity != Verbosity::quiet)
		std::fputs(session.report().c_str(), stderr); // may fail: stderr is nobody's data
	return result ? finished : result;
}

} // namespace tcpwin
