// SPDX-License-Identifier: Apache-2.0
#include "bpf/ring.hpp"

#include <cerrno>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

namespace tcpwin {
namespace {

constexpr std::size_t alignment = 8;

// Positions grow for ever; the kernel publishes what lies before one with a release.
unsigned long load(const void *position)
{
	return __atomic_load_n(static_cast<const unsigned long *>(position), __ATOMIC_ACQUIRE);
}

// The first word of a record. Without the busy bit, what the program wrote is seen.
std::uint32_t load_length(const std::uint8_t *header)
{
	return __atomic_load_n(reinterpret_cast<const std::uint32_t *>(header), __ATOMIC_ACQUIRE);
}

} // namespace

void RingReader::Unmap::operator()(void *memory) const
{
	munmap(memory, size);
}

Result<RingReader> RingReader::open(int map_fd)
{
	bpf_map_info info{};
	__u32 info_size = sizeof(info);
	if (bpf_obj_get_info_by_fd(map_fd, &info, &info_size) != 0)
		return fail("cannot read the ring buffer", describe_errno(errno));
	if (info.type != BPF_MAP_TYPE_RINGBUF)
		return fail("cannot read the ring buffer", "the map is none");

	RingReader reader;
	reader.map_fd_ = map_fd;
	TRY(reader.map(info.max_entries));
	reader.read_ = load(reader.consumer_.get());
	return reader;
}

Result<void> RingReader::map(std::size_t size)
{
	const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
	void *consumer = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd_, 0);
	if (consumer == MAP_FAILED)
		return fail("cannot map the ring buffer", describe_errno(errno));
	consumer_ = Mapping(consumer, Unmap{page});

	const std::size_t producer_size = page + 2 * size;
	void *producer = mmap(nullptr, producer_size, PROT_READ, MAP_SHARED, map_fd_, static_cast<off_t>(page));
	if (producer == MAP_FAILED)
		return fail("cannot map the ring buffer", describe_errno(errno));
	producer_ = Mapping(producer, Unmap{producer_size});
	data_ = static_cast<const std::uint8_t *>(producer) + page;
	mask_ = size - 1;
	return {};
}

const std::uint8_t *RingReader::at(unsigned long position) const
{
	return data_ + (position & mask_);
}

std::optional<std::span<const std::uint8_t>> RingReader::next()
{
	const unsigned long produced = load(producer_.get());
	while (read_ != produced) {
		const std::uint8_t *header = at(read_);
		const std::uint32_t word = load_length(header);
		if (word & BPF_RINGBUF_BUSY_BIT)
			break;
		const std::size_t length = word & ~BPF_RINGBUF_DISCARD_BIT;
		read_ += (BPF_RINGBUF_HDR_SZ + length + alignment - 1) / alignment * alignment;
		if (!(word & BPF_RINGBUF_DISCARD_BIT))
			return std::span(header + BPF_RINGBUF_HDR_SZ, length);
	}
	return std::nullopt;
}

// A program submits a record and then looks at the consumer position to decide about the wake-up; we store the position
// and then look for records. The fence, and a full barrier of the kernel's, let at least one see what the other did.
void RingReader::commit()
{
	__atomic_store_n(static_cast<unsigned long *>(consumer_.get()), read_, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

bool RingReader::skip_to(unsigned long position)
{
	if (position - read_ > load(producer_.get()) - read_)
		return false;
	read_ = position;
	commit();
	return true;
}

bool RingReader::pending() const
{
	return read_ != load(producer_.get()) && !(load_length(at(read_)) & BPF_RINGBUF_BUSY_BIT);
}

} // namespace tcpwin
