// SPDX-License-Identifier: Apache-2.0
#include "bpf/live_config.hpp"

#include <cerrno>
#include <utility>

#include <bpf/bpf.h>
#include <sys/mman.h>

#include "bpf/layout.hpp"

namespace tcpwin {
namespace {

// No field crosses a word, so that a word that is written at once is fields that are.
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

// due_ns comes last: a sweep that has set it before has read the old values, and is followed by another.
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
	bpf_map_info info{};
	__u32 info_size = sizeof(info);
	if (bpf_obj_get_info_by_fd(fd, &info, &info_size) != 0)
		return fail(what, describe_errno(errno));
	void *address = mmap(nullptr, info.value_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (address == MAP_FAILED)
		return fail(what, describe_errno(errno));
	Mapping mapping;
	mapping.address_ = address;
	mapping.size_ = info.value_size;
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

Result<LiveConfig> LiveConfig::open(const Leftovers &maps)
{
	auto theirs = map_btf(maps.data_fd), bss = map_btf(maps.bss_fd), ours = own_btf();
	if (!theirs || !bss || !ours)
		return tl::unexpected(!theirs ? theirs.error() : !bss ? bss.error() : ours.error());
	const auto config_offset = variable_offset(theirs->get(), "config"),
		   due_offset = variable_offset(bss->get(), "due_ns");
	const auto same = [&](const char *name) { return has_same_struct(theirs->get(), ours->get(), name); };
	if (!config_offset || !due_offset || !same("tcpwin_config") || !same("tcpwin_record"))
		return fail(what, "it is of another version than this one", "use its own tcpwin-agent");
	auto data_map = Mapping::of_map(maps.data_fd), bss_map = Mapping::of_map(maps.bss_fd);
	if (!data_map || !bss_map)
		return tl::unexpected(!data_map ? data_map.error() : bss_map.error());
	if (*config_offset + sizeof(tcpwin_config) > data_map->size() ||
	    *due_offset + sizeof(std::uint64_t) > bss_map->size())
		return fail(what, "its maps are too small");
	LiveConfig config;
	config.data_ = std::move(*data_map);
	config.bss_ = std::move(*bss_map);
	config.config_offset_ = *config_offset;
	config.due_offset_ = *due_offset;
	return config;
}

} // namespace tcpwin
