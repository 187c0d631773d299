// SPDX-License-Identifier: Apache-2.0
// The stall analysis of one endpoint of a flow, as users see it. A value that cannot be known is absent.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include <tcpwin/types.h>

#include "record/analysis_fields.hpp"

namespace tcpwin {

// Nanoseconds since 1970, UTC.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

// Reason in a record of a flow that has not ended.
inline constexpr auto not_ended = TCPWIN_END_COUNT;

// How an episode ended: a name of TCPWIN_STALL_ENDS, or timeout.
struct StallEnd : std::string_view {
	using std::string_view::string_view;
	explicit StallEnd(std::string_view name) : std::string_view(name) {}
};

// Either unknown, or known: a shift, or no shift because windows are not scaled.
struct WindowScale {
	bool is_known;
	std::optional<std::uint8_t> shift;
};

// A scaled window.
struct WindowBytes {
	std::uint32_t bytes;

	operator std::uint32_t() const { return bytes; }
};

#define X(type, name, ...) type name;
struct StallFacts {
	TCPWIN_STALL_FIELDS(X)
};

struct WindowFacts {
	TCPWIN_WINDOW_FIELDS(X)
};

struct LimitsFacts {
	TCPWIN_LIMITS_FIELDS(X)
};

struct TcpFacts {
	TCPWIN_TCP_FIELDS(X)
};
#undef X

// The names in JSON, for readers of records: a name that does not exist does not compile.
#define X(type, name, ...) static constexpr const char *name = #name;
struct StallNames {
	TCPWIN_STALL_FIELDS(X)
};

struct WindowNames {
	TCPWIN_WINDOW_FIELDS(X)
};

struct LimitsNames {
	TCPWIN_LIMITS_FIELDS(X)
};
#undef X

struct Analysis {
	StallFacts stall;
	WindowFacts window;
	std::optional<LimitsFacts> limits; // nothing if the other endpoint was not seen
	TcpFacts tcp;
};

// What held a sender up most.
enum class Limit : std::uint8_t { none, receiver, network, application };

struct Verdict {
	Limit limit = Limit::none; // none: too little was sent to say
	unsigned percent = 0;      // of the time in which data was under way or could have been
};

// The three are those of LimitsFacts.
Verdict judge_limits(std::chrono::nanoseconds receiver, std::chrono::nanoseconds network,
		     std::chrono::nanoseconds application);

// endpoint: index in the key. Nothing if the flow was not analyzed.
// wall_offset: what to add to the record's clock to get wall-clock time.
std::optional<Analysis> make_analysis(const tcpwin_record &record, unsigned endpoint,
				      std::chrono::nanoseconds wall_offset);

} // namespace tcpwin
