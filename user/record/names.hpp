// SPDX-License-Identifier: Apache-2.0
// The names of the shared enumerations, generated from the lists that define them.
#pragma once

#include <cstdint>
#include <string_view>

#include <tcpwin/types.h>

namespace tcpwin {

constexpr std::string_view name_of(tcpwin_state state)
{
	switch (state) {
#define X(name, code)             \
	case TCPWIN_STATE_##name: \
		return #name;
		TCPWIN_STATES(X)
#undef X
	}
	return "?";
}

constexpr std::string_view name_of(tcpwin_end_reason reason)
{
	switch (reason) {
#define X(name, text)           \
	case TCPWIN_END_##name: \
		return text;
		TCPWIN_END_REASONS(X)
#undef X
	case TCPWIN_END_COUNT:
		break;
	}
	return "?";
}

constexpr std::string_view name_of(tcpwin_stall_end end)
{
	switch (end) {
#define X(name, text)                 \
	case TCPWIN_STALL_END_##name: \
		return text;
		TCPWIN_STALL_ENDS(X)
#undef X
	case TCPWIN_STALL_END_NONE:
		break;
	}
	return "?";
}

constexpr std::string_view name_of(tcpwin_alarm_kind kind)
{
	switch (kind) {
#define X(name, bit, text)        \
	case TCPWIN_ALARM_##name: \
		return text;
		TCPWIN_ALARMS(X)
#undef X
	case TCPWIN_ALARM_ALL:
		break;
	}
	return "?";
}

struct BitName {
	std::uint8_t bit;
	std::string_view name;
};

inline constexpr BitName flag_names[] = {
#define X(name, bit) {bit, #name},
	TCPWIN_FLAGS(X)
#undef X
};

inline constexpr BitName hook_names[] = {
#define X(name, bit, text) {bit, text},
	TCPWIN_HOOKS(X)
#undef X
};

inline constexpr BitName alarm_names[] = {
#define X(name, bit, text) {bit, text},
	TCPWIN_ALARMS(X)
#undef X
};

struct CounterName {
	tcpwin_counter counter;
	std::string_view name;
	std::string_view explanation;
	std::string_view report =
		{}; // text in the end report; empty: not reported, or reported by name and explanation
};

#define X(name, text, ...) {TCPWIN_COUNTER_##name, text, __VA_ARGS__},
inline constexpr CounterName reject_names[] = {TCPWIN_REJECTS(X)};
inline constexpr CounterName verdict_names[] = {TCPWIN_VERDICTS(X)};
inline constexpr CounterName event_names[] = {TCPWIN_EVENTS(X)};
// All of them, in the order of records.
inline constexpr CounterName counter_names[] = {TCPWIN_VERDICTS(X) TCPWIN_EVENTS(X) TCPWIN_REJECTS(X)};
#undef X

} // namespace tcpwin
