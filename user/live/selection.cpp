// SPDX-License-Identifier: Apache-2.0
#include "live/selection.hpp"

#include <algorithm>
#include <cstring>

namespace tcpwin {
namespace {

struct HashAddress {
	std::size_t operator()(const tcpwin_address &address) const
	{
		return std::hash<std::string_view>{}(
			{reinterpret_cast<const char *>(address.byte), sizeof(address.byte)});
	}
};

struct SameAddress {
	bool operator()(const tcpwin_address &one, const tcpwin_address &other) const
	{
		return std::memcmp(&one, &other, sizeof(one)) == 0;
	}
};

// Sorts the best and erases the others.
void keep_best(auto &all, std::size_t limit, const auto &is_better)
{
	const auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(limit, all.size()));
	std::partial_sort(all.begin(), end, all.end(), is_better);
	all.erase(end, all.end());
}

bool has_stalled(const LiveSide &side)
{
	return side.closed || side.stalled_ns || side.zero_windows;
}

void add_flow(Peer &peer, const LiveFlow &flow, const LiveSide &side)
{
	const auto add = [&](SortKey key, std::uint64_t value) { amount(peer.amounts, key) += value; };
	add(SortKey::stalled, side.stalled_ns);
	add(SortKey::limited, side.limited_ns);
	add(SortKey::zero_windows, side.zero_windows);
	for (SortKey key : {SortKey::bytes, SortKey::packets, SortKey::retransmitted})
		add(key, amount(flow.amounts, key));
	std::uint64_t &duration = amount(peer.amounts, SortKey::duration), &idle = amount(peer.amounts, SortKey::idle);
	duration = std::max(duration, amount(flow.amounts, SortKey::duration));
	idle = peer.flows ? std::min(idle, amount(flow.amounts, SortKey::idle)) : amount(flow.amounts, SortKey::idle);
	peer.longest_ns = std::max(peer.longest_ns, side.longest_ns);
	peer.flows++;
	peer.closed += side.closed;
}

// Unique, since tables are few and flow IDs count up from 1.
std::uint64_t number_of(const LiveFlow &flow)
{
	return std::uint64_t{flow.table} << 48 ^ flow.id;
}

} // namespace

bool matches(const LiveFlow &flow, std::string_view filter)
{
	return filter.empty() || endpoint_text(flow, 0).find(filter) != std::string::npos ||
	       endpoint_text(flow, 1).find(filter) != std::string::npos;
}

Selected select_flows(const std::vector<LiveFlow> &flows, SortKey sort, std::string_view filter, std::size_t limit)
{
	Selected selected;
	for (std::uint32_t i = 0; i < flows.size(); i++)
		if (matches(flows[i], filter))
			selected.best.push_back(i);
	selected.matching = selected.best.size();
	keep_best(selected.best, limit, [&](std::uint32_t left, std::uint32_t right) {
		const LiveFlow &one = flows[left], &other = flows[right];
		const std::uint64_t l = amount(one.amounts, sort), r = amount(other.amounts, sort);
		return l != r ? l > r : std::pair(one.table, one.id) < std::pair(other.table, other.id);
	});
	return selected;
}

SelectedPeers select_peers(const std::vector<LiveFlow> &flows, SortKey sort, std::string_view filter, std::size_t limit)
{
	std::unordered_map<tcpwin_address, Peer, HashAddress, SameAddress> peers;
	for (const LiveFlow &flow : flows) {
		if (!(has_stalled(flow.side[0]) || has_stalled(flow.side[1])) || !matches(flow, filter))
			continue;
		for (unsigned i = 0; i < 2; i++)
			if (has_stalled(flow.side[i]))
				add_flow(peers[flow.key.address[flow.a ^ i]], flow, flow.side[i]);
	}
	SelectedPeers selected;
	selected.matching = peers.size();
	for (auto &[address, peer] : peers) {
		peer.address = address;
		selected.best.push_back(peer);
	}
	keep_best(selected.best, limit, [&](const Peer &one, const Peer &other) {
		const std::uint64_t l = amount(one.amounts, sort), r = amount(other.amounts, sort);
		return l != r ? l > r : std::memcmp(&one.address, &other.address, sizeof(one.address)) < 0;
	});
	return selected;
}

LiveTotals count_flows(const std::vector<LiveFlow> &flows)
{
	return {.flows = flows.size(),
		.stalled = static_cast<std::uint64_t>(std::ranges::count_if(flows, &LiveFlow::stalled))};
}

std::optional<Rates::PerSecond> Rates::update(const std::vector<LiveFlow> &flows, std::uint64_t packets,
					      std::uint64_t now_ns)
{
	Reading now{.packets = packets, .now_ns = now_ns, .zero_windows = {}};
	std::uint64_t more = 0;
	for (const LiveFlow &flow : flows) {
		const std::uint64_t count = amount(flow.amounts, SortKey::zero_windows);
		if (!count)
			continue;
		now.zero_windows[number_of(flow)] = count;
		const auto known = before_ ? before_->zero_windows.find(number_of(flow)) : now.zero_windows.end();
		const std::uint64_t before = before_ && known != before_->zero_windows.end() ? known->second : 0;
		more += count - std::min(count, before);
	}
	std::optional<PerSecond> rates;
	if (before_ && now_ns > before_->now_ns && packets >= before_->packets) {
		const double seconds = static_cast<double>(now_ns - before_->now_ns) / 1e9;
		rates = {static_cast<double>(packets - before_->packets) / seconds,
			 static_cast<double>(more) / seconds};
	}
	before_ = std::move(now);
	return rates;
}

} // namespace tcpwin
