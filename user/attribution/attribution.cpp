// SPDX-License-Identifier: Apache-2.0
#include "attribution/attribution.hpp"

namespace tcpwin {
namespace {

using namespace std::chrono_literals;

// Bounds of memory. What is forgotten is asked again.
constexpr std::size_t most_cgroups = 16'384, most_sockets = 16'384;
// Going through the files of all processes may take this part of the time.
constexpr int least_rest = 10; // times as long as the last time
constexpr auto owners_are_old_after = 1s;
constexpr auto cgroup_is_asked_again_after = 1s;

template <typename T> Result<T> note_missing(std::vector<std::string> &missing, Result<T> opened)
{
	if (!opened)
		missing.push_back(opened.error().sentence());
	return opened;
}

} // namespace

bool is_held_up(const tcpwin_flow &flow)
{
	return flow.analysis[0].episodes || flow.analysis[1].episodes ||
	       ((flow.direction[0].alarms | flow.direction[1].alarms) & TCPWIN_ALARM_ALL);
}

Attribution::Attribution(FindCgroup find_cgroup) : find_cgroup_(std::move(find_cgroup))
{
	if (auto diag = note_missing(missing_, SocketDiag::open()))
		diag_ = std::move(*diag);
	if (auto owners = note_missing(missing_, SocketOwners::open()))
		owners_ = std::move(*owners);
}

std::shared_ptr<const Cgroup> Attribution::cgroup(std::uint64_t id)
{
	if (!id)
		return nullptr;
	const auto now = Clock::now();
	const auto known = cgroups_.find(id);
	if (known != cgroups_.end() &&
	    (known->second.cgroup || now - known->second.asked < cgroup_is_asked_again_after))
		return known->second.cgroup;
	if (cgroups_.size() >= most_cgroups)
		cgroups_.clear();
	const auto path = find_cgroup_(id);
	auto found = path ? std::make_shared<const Cgroup>(parse_cgroup(*path)) : nullptr;
	cgroups_[id] = {found, now};
	return found;
}

void Attribution::read_owners()
{
	const auto begin = Clock::now();
	auto read = owners_->read();
	by_cookie_ = read ? std::move(*read) : SocketOwners::ByCookie();
	read_at_ = Clock::now();
	reading_ = read_at_ - begin;
}

const SocketOwner *Attribution::owner(std::uint64_t cookie)
{
	if (!owners_)
		return nullptr;
	auto found = by_cookie_.find(cookie);
	const auto age = Clock::now() - read_at_;
	const bool old = found == by_cookie_.end() || age > owners_are_old_after;
	if (old && age >= reading_ * least_rest) {
		read_owners();
		found = by_cookie_.find(cookie);
	}
	return found == by_cookie_.end() ? nullptr : &found->second;
}

Local Attribution::recall(const tcpwin_socket &socket)
{
	if (!socket.cookie)
		return nullptr;
	if (const auto asked = asked_.find(socket.cookie); asked != asked_.end())
		return asked->second;
	return std::make_shared<const LocalProgram>(LocalProgram{
		.uid = socket.uid, .pids = {}, .command = {}, .cgroup = cgroup(socket.cgroup), .socket = {}});
}

// What is known of the socket, with its present processes, if it has any.
Local Attribution::remember(std::uint64_t cookie, LocalProgram program)
{
	if (const SocketOwner *owner = this->owner(cookie)) {
		program.pids = owner->pids;
		program.command = owner->command;
	}
	if (asked_.size() >= most_sockets)
		asked_.clear();
	return asked_[cookie] = std::make_shared<const LocalProgram>(std::move(program));
}

Local Attribution::name(const tcpwin_socket &socket)
{
	const Local known = recall(socket);
	return known ? remember(socket.cookie, *known) : nullptr;
}

Local Attribution::ask(const tcpwin_key &key, unsigned endpoint, const tcpwin_socket &socket)
{
	const auto state = diag_ ? diag_->find(key, endpoint, socket.cookie) : std::nullopt;
	if (!state)
		return name(socket);
	const tcpwin_socket found{.cookie = state->cookie,
				  .cgroup = socket.cookie ? socket.cgroup : state->cgroup,
				  .uid = socket.cookie ? socket.uid : state->uid};
	LocalProgram program = *recall(found);
	program.socket = state;
	return remember(state->cookie, std::move(program));
}

} // namespace tcpwin
