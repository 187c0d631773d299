// SPDX-License-Identifier: Apache-2.0
#include "config/file.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <toml++/toml.h>
#include <unistd.h>

#include "base/unique_fd.hpp"

namespace tcpwin {
namespace {

constexpr std::size_t largest = 64 * 1024; // far more than settings need; another kind of file is not read to its end

tl::unexpected<Error> wrong(const std::string &name, const toml::source_region &where, std::string_view what,
			    std::string advice)
{
	return fail("cannot use " + name, fmt::format("line {}: {}", where.begin.line, what), std::move(advice),
		    Exit::configuration);
}

std::string advise(std::string_view key)
{
	if (key == profile_key)
		return "write for instance profile = \"monitor\"";
	const Setting *setting = find_setting(key);
	if (!setting) {
		const std::string_view closest = closest_key(key);
		return closest.empty() ? "'tcpwin-agent attach --help' lists the settings" :
					 fmt::format("perhaps you mean {}", closest);
	}
	const bool number = setting->type().starts_with("N");
	return fmt::format("write for instance {0} = {1}{2}{1}", key, number ? "" : "\"", setting->example);
}

// The value as an option would take it; nothing if the type is wrong.
std::optional<std::string> as_text(const toml::node &node)
{
	if (const auto *text = node.as_string())
		return text->get();
	if (const auto *number = node.as_integer())
		return fmt::format("{}", number->get());
	if (const auto *boolean = node.as_boolean())
		return boolean->get() ? "yes" : "no";
	return std::nullopt;
}

// A value of the file on one line.
std::string shown(std::string_view value)
{
	std::string text(value.substr(0, 60));
	for (char &c : text)
		if (static_cast<unsigned char>(c) < ' ')
			c = '?';
	return text;
}

} // namespace

Result<SettingValues> parse_config_file(std::string_view text, const std::string &name)
try {
	const toml::table table = toml::parse(text, name);
	SettingValues values;
	for (const auto &[key_node, node] : table) {
		const std::string key(key_node.str());
		const auto value = as_text(node);
		if (key != profile_key && !find_setting(key))
			return wrong(name, key_node.source(), fmt::format("there is no setting '{}'", shown(key)),
				     advise(key));
		if (!value)
			return wrong(
				name, node.source(),
				fmt::format("the value of {} must be a string, a whole number, true or false", key),
				advise(key));
		if (auto checked = check_setting(key, *value); !checked)
			return wrong(name, node.source(),
				     fmt::format("{} is '{}': {}", key, shown(*value), checked.error()), advise(key));
		values.emplace(key, *value);
	}
	return values;
} catch (const toml::parse_error &error) {
	return wrong(name, error.source(), fmt::format("it is not TOML: {}", error.description()),
		     "write lines such as timeout-est = \"300s\"");
}

Result<SettingValues> read_config_file(int fd, const std::string &name)
{
	std::string text(largest + 1, '\0');
	std::size_t size = 0;
	while (size < text.size()) {
		const ssize_t got = read(fd, text.data() + size, text.size() - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail("cannot read " + name, describe_errno(errno), "", Exit::configuration);
		if (got == 0)
			break;
		size += static_cast<std::size_t>(got);
	}
	if (size > largest)
		return fail("cannot use " + name, fmt::format("it is larger than {} KiB", largest / 1024),
			    "--config takes a file of settings", Exit::configuration);
	text.resize(size);
	return parse_config_file(text, name);
}

Result<SettingValues> read_config_file(const std::string &path)
{
	const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
	if (!fd)
		return fail("cannot read " + path, describe_errno(errno), "--config takes a file of settings",
			    Exit::configuration);
	return read_config_file(fd.get(), path);
}

Result<SettingValues> read_settings(const SettingSources &sources)
{
	if (sources.file.empty())
		return sources.command_line;
	return merge_settings(TRY(read_config_file(sources.file)), sources.command_line);
}

} // namespace tcpwin
