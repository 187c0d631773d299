// SPDX-License-Identifier: Apache-2.0
#include "config/settings.hpp"

#include <algorithm>
#include <vector>

#include <tcpwin/limits.h>

#include "base/words.hpp"
#include "config/setting_kinds.hpp"

namespace tcpwin {
namespace {

using namespace setting_kinds;

constexpr tcpwin_config tutorial = TCPWIN_TUTORIAL_CONFIG;
constexpr tcpwin_config monitor = TCPWIN_MONITOR_CONFIG;

struct Profile {
	std::string_view name;
	const tcpwin_config &config;
};
constexpr Profile profiles[] = {{"tutorial", tutorial}, {"monitor", monitor}};

constexpr Choice on_threshold_choices[] = {
#define X(name, text) {text, TCPWIN_ON_THRESHOLD_##name},
	TCPWIN_ON_THRESHOLD(X)
#undef X
};
#define X(name, text) "|" text
constexpr std::string_view on_threshold_type = &TCPWIN_ON_THRESHOLD(X)[1];
#undef X

constexpr std::string_view unanswered_choices[] = {"each", "summary"};
constexpr std::string_view unanswered_type = "each|summary";

using Config = tcpwin_config;

constexpr Setting table[] = {
	{"win-threshold", number<&Config::window_threshold, 0, 65'536>, "1",
	 "Count packets whose raw window is below this value"},
	{"abort-count", number<&Config::abort_count, 1>, "2", "After N such packets, apply --on-threshold"},
	{"on-threshold", choice<&Config::on_threshold, on_threshold_choices, on_threshold_type>, "abort",
	 "abort: --timeout-abrt becomes the timeout of the flow and its reverse flow; terminate: the packet is their "
	 "last; count: only count"},
	{"abort-alarm", yes_or_no<TCPWIN_RULE_ABORT_ALARM>, "no",
	 "Raise an alarm after --abort-count packets below the threshold"},
	{"timeout-new", duration<Timeout<TCPWIN_TIMEOUT_NEW>{}>, "10s", "Timeout until a SYN or ACK is seen"},
	{"timeout-bgn", duration<Timeout<TCPWIN_TIMEOUT_BGN>{}>, "30s", "Timeout after a SYN"},
	{"timeout-est", duration<Timeout<TCPWIN_TIMEOUT_EST>{}>, "300s", "Timeout of an established flow"},
	{"timeout-abrt", duration<Timeout<TCPWIN_TIMEOUT_ABRT>{}>, "1ms", "Timeout of an aborted flow"},
	{"timeout-fin", duration_of_rule<Timeout<TCPWIN_TIMEOUT_FIN>{}, TCPWIN_RULE_FIN_TIMEOUT>, "5s",
	 "Timeout after FIN or RST; none: FIN and RST do not change the timeout"},
	{"timeout-stalled", duration_or_none<&Config::stalled_ns>, "300s",
	 "Minimum timeout of a flow with a closed window"},
	{"active-timeout", seconds_or_none<&Config::active_s>, "300s",
	 "Write interim records of active flows at about this interval, in whole seconds"},
	{"promote-established", yes_or_no<TCPWIN_RULE_PROMOTE_ESTABLISHED>, "yes",
	 "A flow that began with a SYN is established with its next packet"},
	{"split-connections", yes_or_no<TCPWIN_RULE_SPLIT_CONNECTIONS>, "yes",
	 "A new connection of the same endpoints begins a new flow; needs the stall analysis"},
	{"count-syn-rst", yes_or_no<TCPWIN_RULE_SKIP_SYN_RST_WINDOWS, false>, "no",
	 "Also count windows of segments with SYN or RST"},
	{"vlan-tracking", yes_or_no<TCPWIN_RULE_IGNORE_VLAN, false>, "yes",
	 "Packets with different VLAN IDs belong to different flows; no: VLAN IDs do not matter, a record lists them"},
	{"stall-alarm", duration_or_none<&Config::stall_alarm_ns>, "5s",
	 "Raise an alarm when a window has been closed for this long"},
	{"limited-alarm", duration_or_none<&Config::limited_alarm_ns, TCPWIN_MAX_LIMITED_ALARM_NS>, "10s",
	 "Raise an alarm when a receiver has held up the sender for this long without a break, zero window or not"},
	{"source-alarm", number_or_none<&Config::source_alarm>, "20",
	 "Raise an alarm when an address keeps its window closed, or at a few bytes, in more than N flows at once"},
	{"pressure", percent<&Config::pressure>, "80%",
	 "When the flow table is filled to this share of --max-flows, unanswered flows end after --timeout-unanswered"},
	{"timeout-unanswered", duration<&Config::unanswered_ns>, "1s",
	 "Timeout, under pressure, of a flow in which not both sides have sent a segment with ACK"},
	{"unanswered-records", rule_choice<TCPWIN_RULE_SUMMARIZE_UNANSWERED, unanswered_choices, unanswered_type>,
	 "summary",
	 "Flows of one packet that end under pressure: each: a record for each; summary: one line per second for all"},
	{"syn-flood-alarm", number_or_none<&Config::syn_flood_alarm>, "1000",
	 "Raise an alarm when more than N connections per second to a receiver end unanswered"},
	{"reattach", yes_or_no<TCPWIN_RULE_STAY_DETACHED, false>, "yes",
	 "Live: attach programs again that other software detached or put its own before"},
	{"max-clock-jump", duration_or_none<&Config::max_clock_jump_ns>, "1h",
	 "Captures: correct a single time that is off by more than this, and a clock that is set back; none: take times "
	 "as they are. Live it has no effect"},
};

const Profile *find_profile(std::string_view name)
{
	const auto found = std::ranges::find(profiles, name, &Profile::name);
	return found == std::end(profiles) ? nullptr : &*found;
}

} // namespace

std::span<const Setting> all_settings()
{
	return table;
}

const Setting *find_setting(std::string_view key)
{
	const auto found = std::ranges::find(table, key, &Setting::key);
	return found == std::end(table) ? nullptr : &*found;
}

ParsedSetting check_setting(std::string_view key, std::string_view value)
{
	if (key == profile_key)
		return find_profile(value) ? ParsedSetting() : must_be_one_of(profiles);
	const Setting *setting = find_setting(key);
	if (!setting)
		return tl::unexpected(std::string("there is no such setting"));
	tcpwin_config ignored = tutorial;
	return setting->set(ignored, value);
}

std::string_view closest_key(std::string_view key)
{
	std::vector<std::string_view> keys{profile_key};
	for (const Setting &setting : table)
		keys.push_back(setting.key);
	return closest_word(key, keys);
}

SettingValues merge_settings(SettingValues weaker, const SettingValues &stronger)
{
	for (const auto &[key, value] : stronger)
		weaker.insert_or_assign(key, value);
	return weaker;
}

tcpwin_config apply_settings(const SettingValues &values, const tcpwin_config &base)
{
	const auto profile = values.find(profile_key);
	const Profile *found = profile == values.end() ? nullptr : find_profile(profile->second);
	tcpwin_config config = found ? found->config : base;
	for (const auto &[key, value] : values)
		if (const Setting *setting = find_setting(key))
			static_cast<void>(setting->set(config, value)); // was checked before
	return config;
}

} // namespace tcpwin
