// SPDX-License-Identifier: Apache-2.0
#include "bpf/live_config.hpp"

#include <cerrno>
#include <utility>

#include <linux/bpf.h>
#include <sys/mman.h>

#include "bpf/btf.hpp"
#include "bpf/object_info.hpp"

namespace tcpwin {
namespace {

// No field crosses a word boundary, so writing whole words atomically writes each field atomically.
using Word = std::uint64_t __attribute__((may_alias));
constexpr std::size_t words = sizeof(tcpwin_config) / sizeof(Word);
static_assert(sizeof(tcpwin_config) % sizeof(Word) == 0);

constexpr auto what = "cannot change the settings of a running agent";

} // namespace

tcpwin_config load_config(const tcpwin_config *at)
{
	tcpwin_config config;
	const auto *from = reinterpret_cast<const Word *>(at);
	auto *to = reinterpret_cast<Word *>(&config);
	for (std::size_t i = 0; i < words; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	return config;
}

// due_ns is cleared last: a sweep that set it before may have used the old values; clearing it triggers another sweep.
// NOLINTNEXTLINE(readability-non-const-parameter): the builtin writes *due_ns.
void store_config(tcpwin_config *at, std::uint64_t *due_ns, const tcpwin_config &config)
{
	const auto *from = reinterpret_cast<const Word *>(&config);
	auto *to = reinterpret_cast<Word *>(at);
	for (std::size_t i = 0; i < words; i++)
		if (__atomic_load_n(&to[i], __ATOMIC_RELAXED) != from[i])
			__atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
	__atomic_store_n(due_ns, 0, __ATOMIC_SEQ_CST);
}

Result<LiveConfig::Mapping> LiveConfig::Mapping::of_map(int fd)
{
	const auto info = object_info<bpf_map_info>(fd);
	if (!info)
		return fail(what, describe_errno(errno));
	void *address = mmap(nullptr, info->value_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (address == MAP_FAILED)
		return fail(what, describe_errno(errno));
	Mapping mapping;
	mapping.address_ = address;
	mapping.size_ = info->value_size;
	return mapping;
}

LiveConfig::Mapping::Mapping(Mapping &&other) noexcept
	: address_(std::exchange(other.address_, nullptr)), size_(other.size_)
{
}

LiveConfig::Mapping &LiveConfig::Mapping::operator=(Mapping &&other) noexcept
{
	std::swap(address_, other.address_);
	std::swap(size_, other.size_);
	return *this;
}

LiveConfig::Mapping::~Mapping()
{
	if (address_)
		munmap(address_, size_);
}

Result<LiveConfig> LiveConfig::open(const AgentMaps &maps)
{
	const auto theirs = TRY(map_btf(maps.data_fd)), bss = TRY(map_btf(maps.bss_fd)), ours = TRY(own_btf());
	const auto config_offset = variable_offset(theirs.get(), "config"),
		   due_offset = variable_offset(bss.get(), "due_ns");
	const auto same = [&](const char *name) { return has_same_struct(theirs.get(), ours.get(), name); };
	if (!config_offset || !due_offset || !same("tcpwin_config") || !same("tcpwin_record"))
		return fail(what, "the agent is of another version", "use the tcpwin-agent of that version");
	auto data_map = TRY(Mapping::of_map(maps.data_fd)), bss_map = TRY(Mapping::of_map(maps.bss_fd));
	if (*config_offset + sizeof(tcpwin_config) > data_map.size() ||
	    *due_offset + sizeof(std::uint64_t) > bss_map.size())
		return fail(what, "its maps are too small");
	LiveConfig config;
	config.data_ = std::move(data_map);
	config.bss_ = std::move(bss_map);
	config.config_offset_ = *config_offset;
	config.due_offset_ = *due_offset;
	return config;
}

} // namespace tcpwin
