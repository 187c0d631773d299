// SPDX-License-Identifier: Apache-2.0
#include "config/settings.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/duration.hpp"

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::string_view none = "none";

constexpr tcpwin_config tutorial = TCPWIN_TUTORIAL_CONFIG;
constexpr tcpwin_config monitor = TCPWIN_MONITOR_CONFIG;

struct Profile {
	std::string_view name;
	const tcpwin_config &config;
};
constexpr Profile profiles[] = {{"tutorial", tutorial}, {"monitor", monitor}};

struct Choice {
	std::string_view name;
	std::uint8_t value;
};
constexpr Choice on_threshold_choices[] = {
#define X(name, text) {text, TCPWIN_ON_THRESHOLD_##name},
	TCPWIN_ON_THRESHOLD(X)
#undef X
};

template <typename T> ParsedSetting parse_number(T &target, std::string_view text, std::uint64_t least,
						 std::uint64_t most)
{
	std::uint64_t number = 0;
	const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
	if (error != std::errc() || end != text.data() + text.size() || number < least || number > most)
		return tl::unexpected(fmt::format("it must be a number from {} to {}", least, most));
	target = static_cast<T>(number);
	return {};
}

ParsedSetting parse_nanoseconds(__u64 &target, std::string_view text)
{
	auto duration = TRY(parse_duration(text));
	target = static_cast<__u64>(duration.count());
	return {};
}

// "1min30s": one word, so that KEY=VALUE is one, too.
std::string format_nanoseconds(std::uint64_t value)
{
	std::string text = format_duration(nanoseconds(static_cast<std::int64_t>(value)));
	std::erase(text, ' ');
	return text;
}

std::string format_or_none(std::uint64_t value)
{
	return value ? format_nanoseconds(value) : std::string(none);
}

template <tcpwin_timeout timeout> ParsedSetting set_timeout(tcpwin_config &config, std::string_view text)
{
	return parse_nanoseconds(config.timeout_ns[timeout], text);
}

template <tcpwin_timeout timeout> std::string get_timeout(const tcpwin_config &config)
{
	return format_nanoseconds(config.timeout_ns[timeout]);
}

template <__u64 tcpwin_config::*field> ParsedSetting set_duration_or_none(tcpwin_config &config, std::string_view text)
{
	if (text != none)
		return parse_nanoseconds(config.*field, text);
	config.*field = 0;
	return {};
}

template <__u64 tcpwin_config::*field> std::string get_duration_or_none(const tcpwin_config &config)
{
	return format_or_none(config.*field);
}

template <tcpwin_rule rule> void set_rule(tcpwin_config &config, bool on)
{
	config.rules = static_cast<__u8>(on ? config.rules | rule : config.rules & ~rule);
}

// yes: the value with which the rule is on.
template <tcpwin_rule rule, bool yes = true> ParsedSetting set_yes_or_no(tcpwin_config &config, std::string_view text)
{
	if (text != "yes" && text != "no")
		return tl::unexpected(std::string("it must be yes or no"));
	set_rule<rule>(config, (text == "yes") == yes);
	return {};
}

template <tcpwin_rule rule, bool yes = true> std::string get_yes_or_no(const tcpwin_config &config)
{
	return static_cast<bool>(config.rules & rule) == yes ? "yes" : "no";
}

// None: FIN and RST change no timeout.
ParsedSetting set_fin_timeout(tcpwin_config &config, std::string_view text)
{
	if (text != none)
		TRY(parse_nanoseconds(config.timeout_ns[TCPWIN_TIMEOUT_FIN], text));
	set_rule<TCPWIN_RULE_FIN_TIMEOUT>(config, text != none);
	return {};
}

std::string get_fin_timeout(const tcpwin_config &config)
{
	return config.rules & TCPWIN_RULE_FIN_TIMEOUT ? get_timeout<TCPWIN_TIMEOUT_FIN>(config) : std::string(none);
}

ParsedSetting set_active_timeout(tcpwin_config &config, std::string_view text)
{
	__u64 duration = 0;
	if (text != none)
		TRY(parse_nanoseconds(duration, text));
	if (duration % second)
		return tl::unexpected(std::string("it must be in whole seconds"));
	config.active_s = static_cast<__u32>(duration / second);
	return {};
}

std::string get_active_timeout(const tcpwin_config &config)
{
	return format_or_none(config.active_s * second);
}

ParsedSetting set_on_threshold(tcpwin_config &config, std::string_view text)
{
	const auto choice = std::ranges::find(on_threshold_choices, text, &Choice::name);
	if (choice == std::end(on_threshold_choices))
		return tl::unexpected(std::string("it must be abort, terminate or count"));
	config.on_threshold = choice->value;
	return {};
}

std::string get_on_threshold(const tcpwin_config &config)
{
	const auto choice = std::ranges::find(on_threshold_choices, config.on_threshold, &Choice::value);
	return choice == std::end(on_threshold_choices) ? "?" : std::string(choice->name);
}

ParsedSetting set_source_alarm(tcpwin_config &config, std::string_view text)
{
	config.source_alarm = 0;
	if (text == none)
		return {};
	if (auto parsed = parse_number(config.source_alarm, text, 1, std::numeric_limits<__u32>::max()); !parsed)
		return tl::unexpected(parsed.error() + ", or none");
	return {};
}

constexpr Setting table[] = {
	{"win-threshold", "N", "Count packets whose raw window is below this", "1",
	 [](tcpwin_config &config, std::string_view text) {
		 return parse_number(config.window_threshold, text, 0, 65'536);
	 },
	 [](const tcpwin_config &config) { return fmt::format("{}", config.window_threshold); }},
	{"abort-count", "N", "At so many packets below the threshold happens what --on-threshold says", "2",
	 [](tcpwin_config &config, std::string_view text) {
		 return parse_number(config.abort_count, text, 1, std::numeric_limits<__u32>::max());
	 },
	 [](const tcpwin_config &config) { return fmt::format("{}", config.abort_count); }},
	{"on-threshold", "abort|terminate|count",
	 "abort: the timeout of the flow and its reverse flow becomes --timeout-abrt; terminate: the packet is their last; count: "
	 "nothing",
	 "abort", set_on_threshold, get_on_threshold},
	{"abort-alarm", "yes|no", "Raise an alarm at --abort-count packets below the threshold", "no",
	 set_yes_or_no<TCPWIN_RULE_ABORT_ALARM>, get_yes_or_no<TCPWIN_RULE_ABORT_ALARM>},
	{"timeout-new", "DURATION", "Timeout before SYN or ACK was seen", "10s", set_timeout<TCPWIN_TIMEOUT_NEW>,
	 get_timeout<TCPWIN_TIMEOUT_NEW>},
	{"timeout-bgn", "DURATION", "Timeout after a SYN", "30s", set_timeout<TCPWIN_TIMEOUT_BGN>,
	 get_timeout<TCPWIN_TIMEOUT_BGN>},
	{"timeout-est", "DURATION", "Timeout of an established flow", "300s", set_timeout<TCPWIN_TIMEOUT_EST>,
	 get_timeout<TCPWIN_TIMEOUT_EST>},
	{"timeout-abrt", "DURATION", "Timeout of an aborted flow", "1ms", set_timeout<TCPWIN_TIMEOUT_ABRT>,
	 get_timeout<TCPWIN_TIMEOUT_ABRT>},
	{"timeout-fin", "DURATION|none", "Timeout after FIN or RST; none: they change no timeout", "5s",
	 set_fin_timeout, get_fin_timeout},
	{"timeout-stalled", "DURATION|none", "A flow with a closed window lives at least so long after its last packet",
	 "300s", set_duration_or_none<&tcpwin_config::stalled_ns>, get_duration_or_none<&tcpwin_config::stalled_ns>},
	{"active-timeout", "DURATION|none", "A record of flows that go on, about so often, in whole seconds", "300s",
	 set_active_timeout, get_active_timeout},
	{"promote-established", "yes|no", "A flow that began with a SYN is established with its next packet", "yes",
	 set_yes_or_no<TCPWIN_RULE_PROMOTE_ESTABLISHED>, get_yes_or_no<TCPWIN_RULE_PROMOTE_ESTABLISHED>},
	{"count-syn-rst", "yes|no", "Windows of segments with SYN or RST count as well", "no",
	 set_yes_or_no<TCPWIN_RULE_SKIP_SYN_RST_WINDOWS, false>,
	 get_yes_or_no<TCPWIN_RULE_SKIP_SYN_RST_WINDOWS, false>},
	{"stall-alarm", "DURATION|none", "Raise an alarm at a window that is closed so long", "5s",
	 set_duration_or_none<&tcpwin_config::stall_alarm_ns>, get_duration_or_none<&tcpwin_config::stall_alarm_ns>},
	{"source-alarm", "N|none",
	 "Raise an alarm at an address with a closed window in more than so many flows at once", "20", set_source_alarm,
	 [](const tcpwin_config &config) {
		 return config.source_alarm ? fmt::format("{}", config.source_alarm) : std::string(none);
	 }},
};

const Profile *find_profile(std::string_view name)
{
	const auto found = std::ranges::find(profiles, name, &Profile::name);
	return found == std::end(profiles) ? nullptr : &*found;
}

// Characters to be changed, left out or put in (Levenshtein).
std::size_t distance(std::string_view left, std::string_view right)
{
	std::vector<std::size_t> row(right.size() + 1);
	std::iota(row.begin(), row.end(), std::size_t{0});
	for (std::size_t i = 0; i < left.size(); i++) {
		std::size_t diagonal = std::exchange(row[0], i + 1);
		for (std::size_t j = 0; j < right.size(); j++) {
			const std::size_t changed = diagonal + (left[i] != right[j]);
			diagonal = row[j + 1];
			row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
		}
	}
	return row.back();
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
		return find_profile(value) ? ParsedSetting{} :
					     tl::unexpected(std::string("it must be tutorial or monitor"));
	const Setting *setting = find_setting(key);
	if (!setting)
		return tl::unexpected(std::string("there is no such setting"));
	tcpwin_config ignored = tutorial;
	return setting->set(ignored, value);
}

std::string_view closest_key(std::string_view key)
{
	std::string_view closest = profile_key;
	for (const Setting &setting : table)
		if (distance(key, setting.key) < distance(key, closest))
			closest = setting.key;
	return distance(key, closest) <= 2 ? closest : std::string_view();
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
			static_cast<void>(setting->set(config, value)); // it was checked
	return config;
}

} // namespace tcpwin
