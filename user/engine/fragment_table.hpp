// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <string>
#include <unordered_map>

#include <tcpwin/key.h>

namespace tcpwin {

// First fragments by the key that they share with the later ones; the oldest are evicted first.
class FragmentTable {
public:
	void remember(const tcpwin_packet &packet, const tcpwin_config &config, const tcpwin_fragment &fragment)
	{
		const Key key = make_key(packet, config);
		if (fragments_.insert_or_assign(key, fragment).second)
			order_.push_back(key);
		if (order_.size() > TCPWIN_MAX_FRAGMENTED_PACKETS) {
			fragments_.erase(order_.front());
			order_.pop_front();
		}
	}

	const tcpwin_fragment *find(const tcpwin_packet &packet, const tcpwin_config &config) const
	{
		auto found = fragments_.find(make_key(packet, config));
		return found == fragments_.end() ? nullptr : &found->second;
	}

private:
	using Key = std::string; // the bytes of tcpwin_fragment_key

	static Key make_key(const tcpwin_packet &packet, const tcpwin_config &config)
	{
		tcpwin_fragment_key key;
		tcpwin_make_fragment_key(&packet, &config, &key);
		return {reinterpret_cast<const char *>(&key), sizeof(key)};
	}

	std::unordered_map<Key, tcpwin_fragment> fragments_;
	std::deque<Key> order_;
};

} // namespace tcpwin
