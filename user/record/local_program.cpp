// SPDX-License-Identifier: Apache-2.0
#include "record/local_program.hpp"

#include <algorithm>
#include <array>

namespace tcpwin {
namespace {

constexpr std::size_t container_id_length = 64; // hexadecimal digits
constexpr std::size_t uuid_length = 36;

bool is_hexadecimal(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool is_slice(std::string_view name)
{
	return name.ends_with(".slice");
}

// The units that have processes of their own (systemd.unit(5)).
bool is_unit(std::string_view name)
{
	constexpr std::array<std::string_view, 5> kinds{".service", ".scope", ".socket", ".mount", ".swap"};
	return std::ranges::any_of(kinds, [&](std::string_view kind) { return name.ends_with(kind); });
}

// systemd puts '_' before a name that cgroupfs would take for a file of its own.
std::string_view unescape(std::string_view name)
{
	return name.starts_with('_') ? name.substr(1) : name;
}

// "docker-ID.scope", "cri-containerd-ID.scope", "kubepods-...slice:cri-containerd:ID", "ID", "ID.scope": 64 digits that
// no other digit or letter is next to. A monitor ("crio-conmon-ID.scope") is not its container.
std::string_view container_in(std::string_view name)
{
	if (name.find("conmon") != std::string_view::npos)
		return {};
	for (std::size_t begin = 0; begin < name.size();) {
		if (!is_hexadecimal(name[begin])) {
			begin++;
			continue;
		}
		std::size_t end = begin;
		while (end < name.size() && is_hexadecimal(name[end]))
			end++;
		const bool bounded =
			(!begin || std::string_view("-:_.").find(name[begin - 1]) != std::string_view::npos) &&
			(end == name.size() || name[end] == '.');
		if (bounded && end - begin == container_id_length)
			return name.substr(begin, end - begin);
		begin = end;
	}
	return {};
}

bool is_uuid(std::string_view text)
{
	if (text.size() != uuid_length)
		return false;
	for (std::size_t i = 0; i < text.size(); i++) {
		const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text[i] != '-' : !is_hexadecimal(text[i]))
			return false;
	}
	return true;
}

// "pod12345678-...", "kubepods-burstable-pod12345678_....slice". Static pods have 32 digits without dashes.
std::string pod_in(std::string_view name)
{
	const std::size_t place = name.rfind("pod");
	if (place == std::string_view::npos || (place && name[place - 1] != '-'))
		return {};
	std::string uid(name.substr(place + 3));
	uid.resize(std::min(uid.find('.'), uid.size()));
	std::ranges::replace(uid, '_', '-');
	const bool digits = uid.size() == 32 && std::ranges::all_of(uid, is_hexadecimal);
	return digits || is_uuid(uid) ? uid : std::string();
}

} // namespace

Cgroup parse_cgroup(std::string_view path)
{
	Cgroup cgroup{.path = std::string(path), .unit = {}, .container = {}, .pod = {}};
	bool below_slices = true; // so far
	while (!path.empty()) {
		const std::size_t end = std::min(path.find('/'), path.size());
		const std::string_view name = path.substr(0, end);
		path.remove_prefix(std::min(end + 1, path.size()));
		if (name.empty())
			continue;
		if (below_slices && is_unit(name))
			cgroup.unit = unescape(name);
		below_slices = below_slices && is_slice(name);
		if (std::string pod = pod_in(name); !pod.empty())
			cgroup.pod = std::move(pod);
		if (const std::string_view id = container_in(name); !id.empty())
			cgroup.container = id;
	}
	return cgroup;
}

} // namespace tcpwin
