// SPDX-License-Identifier: Apache-2.0
//
// The reader of the ring buffer, which releases nothing before commit. The
// records are made by the sweep, of flows that the test puts into the table.
#include <poll.h>
#include <sys/mman.h>

#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include <gmock/gmock.h>

#include "bpf/ring.hpp"
#include "handover/persistence.hpp"

#include "kernel.hpp"

namespace tcpwin::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint32_t ring_size = 256 * 1024; // more than the discarded records of one packet
constexpr size_t record_space = (BPF_RINGBUF_HDR_SZ + sizeof(tcpwin_record) + 7) / 8 * 8;
constexpr size_t ring_records = (ring_size - 1) / record_space; // the kernel never fills it to the last byte
constexpr uint64_t end_ns = 1000 * second;

using Ids = std::set<uint64_t>;

Ids ids(uint64_t first, uint64_t last)
{
	Ids ids;
	for (uint64_t id = first; id <= last; id++)
		ids.insert(id);
	return ids;
}

tcpwin_key key_of(uint64_t id)
{
	tcpwin_key key = {};
	std::memcpy(key.address[0].byte, &id, sizeof(id));
	key.port[1] = 443;
	return key;
}

// Each field contains the flow's number, so that a piece of another record is detected.
tcpwin_flow flow_of(uint64_t id)
{
	tcpwin_flow flow = {};
	flow.seq = seq_of(key_of(id), Mark::free);
	flow.id = id;
	for (tcpwin_direction &direction : flow.direction) {
		direction.packets = 3 * id;
		direction.bytes = 5 * id;
	}
	return flow;
}

class Producer {
public:
	// packets: also load the program for frames, which takes half a second of verification.
	explicit Producer(bool packets) : skeleton_(tcpwin_bpf::open())
	{
		bpf_map__set_max_entries(skeleton_->maps.records, ring_size);
		bpf_map__set_max_entries(skeleton_->maps.flows, 4096);
		bpf_program *program = nullptr;
		bpf_object__for_each_program(program, skeleton_->obj)
			bpf_program__set_autoload(program, program == skeleton_->progs.tcpwin_sweep);
		bpf_program__set_autoload(skeleton_->progs.tcpwin_xdp_at, packets);
		if (int error = tcpwin_bpf::load(skeleton_.get()))
			throw std::system_error(-error, std::generic_category(), "load");
	}

	int ring_fd() const { return bpf_map__fd(skeleton_->maps.records); }

	void put(const tcpwin_key &key, const tcpwin_flow &flow)
	{
		ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(skeleton_->maps.flows), &key, &flow, BPF_ANY), 0);
	}

	// Inserts flows with the next numbers and ends all flows of the table. Returns the number of records made.
	uint64_t produce(uint64_t count)
	{
		for (uint64_t i = 0; i < count; i++, last_id_++)
			put(key_of(last_id_ + 1), flow_of(last_id_ + 1));
		tcpwin_sweep sweep = {};
		sweep.now_ns = end_ns;
		sweep.shutdown = 1;
		bpf_test_run_opts run = {};
		run.sz = sizeof(run);
		run.ctx_in = &sweep;
		run.ctx_size_in = sizeof(sweep);
		EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.tcpwin_sweep), &run), 0);
		return sweep.exported;
	}

	// Runs a packet whose entry has expired and belongs to another key: it reserves a record at each lookup and
	// discards it each time.
	void discard()
	{
		Bytes frame = Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(40000, 80, TCPWIN_FLAG_ACK).bytes();
		const tcpwin_key key = parse(frame).key;
		tcpwin_flow flow = flow_of(0);
		flow.seq = seq_of(key, Mark::free) ^ (uint64_t{1} << 32);
		put(key, flow);

		const tcpwin_test_frame meta = {end_ns, static_cast<uint32_t>(frame.size()), 0};
		Bytes in(sizeof(meta));
		std::memcpy(in.data(), &meta, sizeof(meta));
		in.insert(in.end(), frame.begin(), frame.end());
		xdp_md context = {};
		context.data = sizeof(meta);
		context.data_end = static_cast<uint32_t>(in.size());
		bpf_test_run_opts run = {};
		run.sz = sizeof(run);
		run.ctx_in = &context;
		run.ctx_size_in = sizeof(context);
		run.data_in = in.data();
		run.data_size_in = static_cast<uint32_t>(in.size());
		EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.tcpwin_xdp_at), &run), 0);
		EXPECT_EQ(bpf_map_delete_elem(bpf_map__fd(skeleton_->maps.flows), &key), 0);
	}

private:
	struct Destroy {
		void operator()(tcpwin_bpf *skeleton) const { tcpwin_bpf::destroy(skeleton); }
	};

	std::unique_ptr<tcpwin_bpf, Destroy> skeleton_;
	uint64_t last_id_ = 0;
};

class RingTest : public KernelTest {
protected:
	void SetUp() override
	{
		KernelTest::SetUp();
		if (!IsSkipped())
			load();
	}

	void load(bool packets = false)
	{
		producer_.emplace(packets);
		ring_.emplace(open());
	}

	RingReader open()
	{
		auto ring = RingReader::open(producer_->ring_fd());
		if (!ring)
			throw std::runtime_error(ring.error().sentence());
		return std::move(*ring);
	}

	// Checks that the records are whole, and returns their flow numbers.
	Ids read(RingReader &ring)
	{
		Ids read;
		size_t count = ring.read([&](std::span<const uint8_t> bytes) {
			tcpwin_record record = {};
			ASSERT_EQ(bytes.size(), sizeof(record));
			std::memcpy(&record, bytes.data(), sizeof(record));
			expect_whole(record);
			EXPECT_TRUE(read.insert(record.flow.id).second) << "twice: " << record.flow.id;
		});
		EXPECT_EQ(count, read.size());
		return read;
	}

	static void expect_whole(const tcpwin_record &record)
	{
		const tcpwin_key key = key_of(record.flow.id);
		const tcpwin_flow flow = flow_of(record.flow.id);
		EXPECT_EQ(std::memcmp(&record.key, &key, sizeof(key)), 0) << text(record);
		EXPECT_TRUE(same(record.flow, flow));
		EXPECT_EQ(record.now_ns, end_ns);
	}

	static bool readable(const RingReader &ring)
	{
		pollfd poll_fd = {ring.fd(), POLLIN, 0};
		return poll(&poll_fd, 1, 0) == 1;
	}

	std::optional<Producer> producer_;
	std::optional<RingReader> ring_;
};

TEST_F(RingTest, HandsOverEachRecordOnce)
{
	EXPECT_THAT(read(*ring_), IsEmpty());
	ASSERT_EQ(producer_->produce(3), 3u);
	EXPECT_EQ(read(*ring_), ids(1, 3));
	EXPECT_THAT(read(*ring_), IsEmpty()); // even without commit

	ASSERT_EQ(producer_->produce(2), 2u);
	EXPECT_EQ(read(*ring_), ids(4, 5));
}

TEST_F(RingTest, ANewReaderGetsUncommittedRecordsAgain)
{
	ASSERT_EQ(producer_->produce(3), 3u);
	EXPECT_EQ(read(*ring_), ids(1, 3));
	ring_.reset(); // killed
	ring_.emplace(open());
	EXPECT_EQ(read(*ring_), ids(1, 3));
	ring_->commit();
	ASSERT_EQ(producer_->produce(2), 2u);
	EXPECT_EQ(read(*ring_), ids(4, 5));

	ring_.reset();
	ring_.emplace(open());
	EXPECT_EQ(read(*ring_), ids(4, 5));
	ring_->commit();
	RingReader last = open();
	EXPECT_THAT(read(last), IsEmpty());
}

TEST_F(RingTest, CommitFreesOnlyWhatWasRead)
{
	ASSERT_EQ(producer_->produce(3), 3u);
	EXPECT_EQ(read(*ring_), ids(1, 3));
	ASSERT_EQ(producer_->produce(2), 2u);
	ring_->commit();

	RingReader next = open();
	EXPECT_EQ(read(next), ids(4, 5));
}

TEST_F(RingTest, WrapsAroundManyTimes)
{
	constexpr int rounds = 200; // of up to a ring of records each: about 80 times around
	uint64_t last = 0;
	for (int round = 0; round < rounds; round++) {
		const uint64_t count = 1 + static_cast<uint64_t>(round) * 37 % ring_records;
		ASSERT_EQ(producer_->produce(count), count);
		ASSERT_EQ(read(*ring_), ids(last + 1, last + count));
		ring_->commit();
		ASSERT_FALSE(readable(*ring_));
		last += count;
	}
	EXPECT_GT(last, 50 * ring_records);
}

TEST_F(RingTest, StaysFullUntilCommit)
{
	EXPECT_EQ(producer_->produce(ring_records + 5), ring_records);
	Ids first = read(*ring_);
	EXPECT_THAT(first, SizeIs(ring_records));
	EXPECT_EQ(producer_->produce(0), 0u);
	EXPECT_THAT(read(*ring_), IsEmpty());

	ring_->commit();
	EXPECT_EQ(producer_->produce(0), 5u); // those for which there was no space
	Ids rest = read(*ring_);
	EXPECT_THAT(rest, SizeIs(5));
	first.merge(rest);
	EXPECT_EQ(first, ids(1, ring_records + 5));
}

TEST_F(RingTest, SkipsDiscardedRecords)
{
	load(true);
	ASSERT_EQ(producer_->produce(2), 2u);
	producer_->discard();
	ASSERT_EQ(producer_->produce(3), 3u);
	EXPECT_EQ(read(*ring_), ids(1, 5));
	EXPECT_LT(producer_->produce(ring_records - 5), ring_records - 5) << "nothing was discarded";

	read(*ring_);
	ring_->commit(); // frees discarded records, too
	producer_->produce(0);
	read(*ring_);
	ring_->commit();
	EXPECT_EQ(producer_->produce(ring_records), ring_records);
}

TEST_F(RingTest, DiscardedRecordsAloneAreFreed)
{
	load(true);
	producer_->discard();
	EXPECT_TRUE(readable(*ring_));
	EXPECT_TRUE(ring_->pending());
	EXPECT_THAT(read(*ring_), IsEmpty());
	EXPECT_FALSE(ring_->pending());
	ring_->commit();
	EXPECT_FALSE(readable(*ring_));
	EXPECT_EQ(producer_->produce(ring_records), ring_records);
}

// No program leaves a record unfinished, so the test moves the consumer position into the key of a flow, where the
// address looks like the header of such a record.
TEST_F(RingTest, StopsAtARecordThatIsStillBeingWritten)
{
	tcpwin_key key = {};
	const uint32_t busy_record[2] = {BPF_RINGBUF_BUSY_BIT | 8, 0};
	std::memcpy(key.address[0].byte, busy_record, sizeof(busy_record));
	tcpwin_flow flow = {};
	flow.seq = seq_of(key, Mark::free);
	producer_->put(key, flow);
	ASSERT_EQ(producer_->produce(0), 1u);

	const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
	void *consumer = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, producer_->ring_fd(), 0);
	ASSERT_NE(consumer, MAP_FAILED);
	auto *position = static_cast<unsigned long *>(consumer);
	*position = BPF_RINGBUF_HDR_SZ + offsetof(tcpwin_record, key);
	RingReader ring = open();
	EXPECT_FALSE(ring.pending());
	EXPECT_EQ(ring.read([](std::span<const uint8_t>) { FAIL() << "half a record"; }), 0u);
	ring.commit();
	EXPECT_EQ(*position, BPF_RINGBUF_HDR_SZ + offsetof(tcpwin_record, key));
	munmap(consumer, page);
}

TEST_F(RingTest, PendingAndReadable)
{
	EXPECT_FALSE(ring_->pending());
	EXPECT_FALSE(readable(*ring_));
	ASSERT_EQ(producer_->produce(1), 1u);
	EXPECT_TRUE(ring_->pending());
	EXPECT_TRUE(readable(*ring_));

	read(*ring_);
	EXPECT_FALSE(ring_->pending());
	EXPECT_TRUE(readable(*ring_)); // until commit
	ring_->commit();
	EXPECT_FALSE(readable(*ring_));
}

TEST_F(RingTest, SkipsToAPosition)
{
	ASSERT_EQ(producer_->produce(2), 2u);
	EXPECT_EQ(read(*ring_), ids(1, 2));
	RingReader moved = std::move(*ring_);
	ring_.reset();
	ASSERT_EQ(producer_->produce(1), 1u);
	EXPECT_EQ(read(moved), ids(3, 3));
	moved.commit();
	EXPECT_FALSE(readable(moved));
}

// The lengths of the agent's records are multiples of eight bytes; these are not.
TEST_F(RingTest, FindsTheRecordBehindOneOfAnyLength)
{
	constexpr int length = 13;
	const int ring_fd = producer_->ring_fd();
	const bpf_insn program[] = {
		{BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, -16, 'a'}, // "a", "b" on the stack
		{BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, -8, 'b'},
		{BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, ring_fd}, // bpf_ringbuf_output(
		{0, 0, 0, 0, 0},
		{BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0},
		{BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -16},
		{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, length},
		{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0},
		{BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output}, // )
		{BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
	};
	int program_fd =
		bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "tcpwin_test", "GPL", program, std::size(program), nullptr);
	ASSERT_GE(program_fd, 0);
	uint8_t frame[64] = {};
	bpf_test_run_opts run = {};
	run.sz = sizeof(run);
	run.data_in = frame;
	run.data_size_in = sizeof(frame);
	run.repeat = 3;
	EXPECT_EQ(bpf_prog_test_run_opts(program_fd, &run), 0);
	close(program_fd);
	ASSERT_EQ(producer_->produce(1), 1u);

	std::vector<Bytes> read;
	ring_->read([&](std::span<const uint8_t> bytes) { read.emplace_back(bytes.begin(), bytes.end()); });
	const Bytes odd = {'a', 0, 0, 0, 0, 0, 0, 0, 'b', 0, 0, 0, 0};
	EXPECT_THAT(read, ElementsAre(odd, odd, odd, SizeIs(sizeof(tcpwin_record))));
}

TEST_F(RingTest, RefusesAMapThatIsNotARingBuffer)
{
	bpf_map_create_opts options = {};
	options.sz = sizeof(options);
	options.map_flags = BPF_F_MMAPABLE;
	int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "tcpwin_test", 4, 4096, 64, &options);
	ASSERT_GE(array, 0);
	EXPECT_FALSE(RingReader::open(array));
	close(array);
	EXPECT_FALSE(RingReader::open(-1));
}

// An agent was killed between announcing a batch of records and committing it: what the next agent gets from the ring
// buffer, and what stays in the file.
class BatchTest : public RingTest {
protected:
	struct Found {
		Ids records;
		std::string file;
	};

	// The batch has flows 1 to 3; flow 4 came later. written: the part of it that is in the file.
	Found after(const std::string &written, const std::function<void(tcpwin_batch &)> &change = [](auto &) {})
	{
		const std::string path = ::testing::TempDir() + "tcpwin-batch-" + std::to_string(getpid());
		std::ofstream(path) << "before\n";
		Output output = *Output::open(path, true);
		EXPECT_EQ(producer_->produce(3), 3u);
		read(*ring_);
		const FilePlace place = *output.place();
		tcpwin_batch batch = {ring_->position(), place.device, place.inode, place.offset, text.size()};
		change(batch);
		EXPECT_EQ(producer_->produce(1), 1u);
		std::ofstream(path, std::ios::app) << written;

		RingReader next = open();
		settle(batch, next, output);
		Found found = {read(next), {}};
		std::stringstream file;
		file << std::ifstream(path).rdbuf();
		found.file = file.str();
		unlink(path.c_str());
		return found;
	}

	const std::string text = "one\ntwo\nthree\n";
};

TEST_F(BatchTest, WrittenWhole)
{
	const Found found = after(text);
	EXPECT_EQ(found.records, ids(4, 4));
	EXPECT_EQ(found.file, "before\n" + text);
}

TEST_F(BatchTest, WrittenInPart)
{
	for (const std::string part : {"one\n", "one\ntw", "o"}) {
		load();
		const Found found = after(part);
		EXPECT_EQ(found.records, ids(1, 4)) << part;
		EXPECT_EQ(found.file, "before\n") << part;
	}
}

TEST_F(BatchTest, NotWritten)
{
	const Found found = after("");
	EXPECT_EQ(found.records, ids(1, 4));
	EXPECT_EQ(found.file, "before\n");
}

TEST_F(BatchTest, NothingIsTakenFromAnotherFile)
{
	const Found found = after(text, [](tcpwin_batch &batch) { batch.inode++; });
	EXPECT_EQ(found.records, ids(1, 4));
	EXPECT_EQ(found.file, "before\n" + text);
}

TEST_F(BatchTest, PositionThatTheRingHasNotReachedIsIgnored)
{
	const Found found = after(text, [](tcpwin_batch &batch) { batch.position += 100 * record_space; });
	EXPECT_EQ(found.records, ids(1, 4));
}

} // namespace
} // namespace tcpwin::test
