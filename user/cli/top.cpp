// SPDX-License-Identifier: Apache-2.0
// One thread: tables are read in parts, and keys are handled between the parts.
#include "cli/top.hpp"

#include <cerrno>
#include <csignal>
#include <memory>

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clocks.hpp"
#include "live/screen.hpp"
#include "live/programs.hpp"
#include "live/tables.hpp"
#include "live/view.hpp"
#include "base/signals.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {
namespace {

using std::chrono::steady_clock;

constexpr auto examples =
	R"(Keys: q quit, p flows or peers, s next sort key, f filter, space pause, arrows scroll, h help.

Examples:
  # Which flows are stalled now, and by which endpoint
  sudo tcpwin-agent top

  # One interface, every five seconds
  sudo tcpwin-agent top eth0 --interval 5s

Exit codes: 0 done, 1 no agent was found, its flows cannot be read or the terminal cannot be used,
2 wrong usage, 77 no permission.)";

constexpr auto what = "cannot show the flows";

// Reads the tables repeatedly, in parts.
class TableReader {
public:
	TableReader(LiveSource source, LiveTables tables) : source_(std::move(source)), tables_(std::move(tables)) {}

	// Agents may have started or ended since the last reading.
	Result<void> begin()
	{
		next_ = {};
		next_.flows.reserve(last_count_ + last_count_ / 8);
		auto outdated = TRY(tables_ ? tables_->is_outdated() : Result<bool>(true));
		if (outdated) {
			tables_.reset();
			rates_.forget();
			auto opened = TRY(LiveTables::open(source_, what));
			tables_ = std::move(opened);
		}
		tables_->rewind();
		return {};
	}

	// Whether there is more to read.
	Result<bool> read_more()
	{
		auto more = tables_->read_some([this](const tcpwin_record &record, const LiveTable &table) {
			next_.flows.push_back(make_live_flow(record, table.id));
		});
		if (!more)
			tables_.reset();
		return more;
	}

	Result<Snapshot> end()
	{
		auto packets = TRY(tables_->tracked_packets());
		last_count_ = next_.flows.size();
		next_.totals = count_flows(next_.flows);
		next_.rates = rates_.update(next_.flows, packets, boot_clock_ns());
		next_.interfaces = tables_->interfaces();
		next_.names = tables_->names();
		next_.programs = [this](const LiveFlow &flow) { return programs_.text(flow); };
		return std::move(next_);
	}

private:
	LiveSource source_;
	std::optional<LiveTables> tables_;
	Rates rates_;
	Programs programs_;
	Snapshot next_;
	std::size_t last_count_ = 0;
};

class Top {
public:
	Top(const TopOptions &options, LiveTables tables, Screen screen, UniqueFd signals)
		: interval_(options.interval), reader_(options.selection.source, std::move(tables)),
		  view_(options.selection.sort, options.selection.filter, is_utf8_locale()), screen_(std::move(screen)),
		  signals_(std::move(signals))
	{
	}

	// Runs until the user quits or a signal arrives.
	void run()
	{
		draw();
		while (!done_) {
			wait();
			take_signals();
			take_keys();
			if (!view_.paused() && !done_)
				refresh();
			if (changed_)
				draw();
		}
	}

private:
	// Waits for keys and signals, but not in the middle of a reading.
	void wait()
	{
		using std::chrono::milliseconds;
		auto left = std::chrono::ceil<milliseconds>(due_ - steady_clock::now());
		int timeout =
			reading_ ? 0 :
				   static_cast<int>(std::clamp(left, milliseconds(0), milliseconds(1 << 30)).count());
		pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {signals_.get(), POLLIN, 0}};
		poll(ready, std::size(ready), view_.paused() ? -1 : timeout);
		if (ready[0].revents & (POLLHUP | POLLERR | POLLNVAL)) // the terminal is gone
			done_ = true;
	}

	void take_signals()
	{
		signalfd_siginfo info;
		while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo != SIGWINCH)
				done_ = true;
			screen_.resize();
			changed_ = true;
		}
	}

	void take_keys()
	{
		while (auto key = screen_.key()) {
			changed_ = true;
			if (!view_.press(*key))
				done_ = true;
		}
	}

	void refresh()
	{
		if (!reading_) {
			if (steady_clock::now() < due_)
				return;
			due_ = steady_clock::now() + interval_;
			if (auto begun = reader_.begin(); !begun)
				return take(tl::unexpected(begun.error()));
			reading_ = true;
		}
		auto more = reader_.read_more();
		if (more && *more)
			return;
		reading_ = false;
		take(more ? reader_.end() : tl::unexpected(more.error()));
	}

	// An error is not final: agents may exit and others may start.
	void take(Result<Snapshot> snapshot)
	{
		shown_ = snapshot ? std::move(*snapshot) : Snapshot{};
		if (!snapshot)
			shown_.trouble = snapshot.error().sentence();
		view_.note_stalled(shown_.totals.stalled);
		changed_ = true;
	}

	void draw()
	{
		screen_.show(view_.draw(shown_, screen_.size()));
		changed_ = false;
	}

	std::chrono::nanoseconds interval_;
	TableReader reader_;
	View view_;
	Screen screen_;
	UniqueFd signals_;
	Snapshot shown_;
	steady_clock::time_point due_{};
	bool reading_ = false, changed_ = false, done_ = false;
};

} // namespace

void define_top(OptionList &list, TopOptions &options)
{
	add_live_selection(list, options.selection);
	list.duration("--interval", options.interval, std::chrono::milliseconds(100), "Interval between updates");
	list.footer(examples);
}

Result<Exit> top(const TopOptions &options)
{
	auto tables = TRY(LiveTables::open(options.selection.source, what));
	// Signals that end top, and SIGWINCH for a new terminal size.
	UniqueFd signals = watch_signals({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH});
	if (!signals)
		return fail("cannot watch for signals", describe_errno(errno));
	auto screen = TRY(Screen::open());
	Top(options, std::move(tables), std::move(screen), std::move(signals)).run();
	return Exit::success;
}

} // namespace tcpwin
