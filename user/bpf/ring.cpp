// SPDX-License-Identifier: Apache-2.0
#include "bpf/ring.hpp"

#include <cerrno>

#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/object_info.hpp"

namespace tcpwin {
namespace {

constexpr std::size_t alignment = 8;

// Positions only grow. The kernel publishes the data before a position with a release store.
unsigned long load(const void *position)
{
	return __atomic_load_n(static_cast<const unsigned long *>(position), __ATOMIC_ACQUIRE);
}

// The first word of a record. Acquire: once the busy bit is clear, the program's writes are visible.
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
	const auto info = object_info<bpf_map_info>(map_fd);
	if (!info)
		return fail("cannot read the ring buffer", describe_errno(errno));
	if (info->type != BPF_MAP_TYPE_RINGBUF)
		return fail("cannot read the ring buffer", "the map is not a ring buffer");

	RingReader reader;
	reader.map_fd_ = map_fd;
	TRY(reader.map(info->max_entries));
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

// A program submits a record, then reads the consumer position to decide whether to wake the reader. The reader stores
// the position, then looks for records. This fence, and the kernel's full barrier on the other side, guarantee that at
// least one of the two sees what the other did.
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
