// SPDX-License-Identifier: Apache-2.0
// The configuration of attached programs, read and changed in their maps while packets use it.
#pragma once

#include <cstddef>
#include <cstdint>

#include <tcpwin/types.h>

#include "base/error.hpp"
#include "bpf/agent_maps.hpp"

namespace tcpwin {

// at: the programs' variable. Each field is read atomically.
tcpwin_config load_config(const tcpwin_config *at);
// Writes only the fields that differ. due_ns: the programs' variable, cleared to trigger a sweep, because more flows
// may be due now.
void store_config(tcpwin_config *at, std::uint64_t *due_ns, const tcpwin_config &config);

// The configuration of any agent of this layout, mapped into memory.
class LiveConfig {
public:
	// Error: the agent has another layout of the configuration, or permission is missing.
	static Result<LiveConfig> open(const AgentMaps &maps);
	LiveConfig(LiveConfig &&other) noexcept = default;

	tcpwin_config get() const { return load_config(config()); }
	void set(const tcpwin_config &value) { store_config(config(), due_ns(), value); }

private:
	// The value of a map of one entry.
	class Mapping {
	public:
		Mapping() = default;
		static Result<Mapping> of_map(int fd);
		Mapping(Mapping &&other) noexcept;
		Mapping &operator=(Mapping &&other) noexcept;
		~Mapping();
		std::uint8_t *at(std::size_t offset) const { return static_cast<std::uint8_t *>(address_) + offset; }
		std::size_t size() const { return size_; }

	private:
		void *address_ = nullptr;
		std::size_t size_ = 0;
	};

	LiveConfig() = default;
	tcpwin_config *config() const { return reinterpret_cast<tcpwin_config *>(data_.at(config_offset_)); }
	std::uint64_t *due_ns() const { return reinterpret_cast<std::uint64_t *>(bss_.at(due_offset_)); }

	Mapping data_;
	Mapping bss_;
	std::size_t config_offset_ = 0;
	std::size_t due_offset_ = 0;
};

} // namespace tcpwin
