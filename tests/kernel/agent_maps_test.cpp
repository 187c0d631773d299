// SPDX-License-Identifier: Apache-2.0
//
// Reading the maps of another agent. The other agent is the same BPF object,
// built with a types.h of another layout (other_layout.sed): after the same
// packets, its maps must yield the same records as this build's own object.
#include <bpf/btf.h>

#include <map>

#include <gmock/gmock.h>

#include "bpf/btf.hpp"
#include "bpf/map_reader.hpp"
#include "bpf/struct_reader.hpp"

#include "kernel.hpp"

namespace tcpwin::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint8_t syn = TCPWIN_FLAG_SYN;
constexpr uint8_t ack = TCPWIN_FLAG_ACK;
constexpr uint64_t start = 100 * second;
constexpr uint64_t end_ns = start + 301 * second + second / 2; // one flow is alive then
constexpr tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
constexpr uint32_t max_flows = 8;

using Records = std::map<uint64_t, tcpwin_record>; // by flow number

Records by_id(const std::vector<tcpwin_record> &records)
{
	Records by_id;
	for (const tcpwin_record &record : records)
		EXPECT_TRUE(by_id.emplace(record.flow.id, record).second) << "twice: " << record.flow.id;
	return by_id;
}

// A BPF object, of which only some programs are loaded.
class Object {
public:
	Object(bpf_object *object, const std::vector<std::string> &programs, uint32_t flows = max_flows)
		: object_(object)
	{
		if (!object)
			throw std::system_error(errno, std::generic_category(), "open the object");
		bpf_program *program = nullptr;
		bpf_object__for_each_program(program, object) bpf_program__set_autoload(
			program, std::ranges::count(programs, bpf_program__name(program)) > 0);
		bpf_map__set_max_entries(map("flows"), flows);
		if (int error = bpf_object__load(object))
			throw std::system_error(-error, std::generic_category(), "load the object");
	}

	const btf *types() const { return bpf_object__btf(object_.get()); }
	int map_fd(const char *name) const { return bpf_map__fd(map(name)); }
	AgentMaps maps() const
	{
		AgentMaps maps;
		maps.flows_fd = map_fd("flows");
		maps.records_fd = map_fd("records");
		maps.counters_fd = map_fd("counters");
		maps.interfaces_fd = map_fd("interfaces");
		maps.data_fd = map_fd(".data");
		maps.bss_fd = map_fd(".bss");
		return maps;
	}

	void run(const char *name, bpf_test_run_opts run)
	{
		run.sz = sizeof(run);
		const bpf_program *program = bpf_object__find_program_by_name(object_.get(), name);
		ASSERT_EQ(bpf_prog_test_run_opts(bpf_program__fd(program), &run), 0);
	}

	void run_at(const Bytes &frame, uint64_t now_ns)
	{
		const tcpwin_test_frame meta = {now_ns, static_cast<uint32_t>(frame.size()), 0};
		Bytes in(sizeof(meta));
		std::memcpy(in.data(), &meta, sizeof(meta));
		in.insert(in.end(), frame.begin(), frame.end());
		xdp_md context = {};
		context.data = sizeof(meta);
		context.data_end = static_cast<uint32_t>(in.size());
		bpf_test_run_opts options = {};
		options.ctx_in = &context;
		options.ctx_size_in = sizeof(context);
		options.data_in = in.data();
		options.data_size_in = static_cast<uint32_t>(in.size());
		run("tcpwin_xdp_at", options);
	}

	tcpwin_sweep sweep(tcpwin_sweep argument)
	{
		bpf_test_run_opts options = {};
		options.ctx_in = &argument;
		options.ctx_size_in = sizeof(argument);
		run("tcpwin_sweep", options);
		return argument;
	}

private:
	struct Close {
		void operator()(bpf_object *object) const { bpf_object__close(object); }
	};

	bpf_map *map(const char *name) const { return bpf_object__find_map_by_name(object_.get(), name); }

	std::unique_ptr<bpf_object, Close> object_;
};

Object other_object()
{
	return {bpf_object__open_file(TCPWIN_OTHER_OBJECT, nullptr), {"tcpwin_xdp_at", "tcpwin_sweep"}};
}

// This build's own object; the test itself writes the maps.
Object own_maps(uint32_t flows = max_flows)
{
	size_t size = 0;
	const void *elf = tcpwin_bpf::elf_bytes(&size);
	return {bpf_object__open_mem(elf, size, nullptr), {}, flows};
}

Bytes from_client(uint16_t n, uint8_t flags = ack, uint16_t window = 64240)
{
	auto port = static_cast<uint16_t>(40000 + n);
	return Frame().ethernet().vlan(7).ipv4("10.0.0.1", "10.0.0.2").tcp(port, 80, flags, {.window = window}).bytes();
}

Bytes from_server(uint16_t n)
{
	auto port = static_cast<uint16_t>(40000 + n);
	return Frame().ethernet().vlan(7).ipv4("10.0.0.2", "10.0.0.1").tcp(80, port, ack, {.window = 512}).bytes();
}

// Flows 1 and 2 end, 1 begins again; 3 is ended by its next packet; the others stay alive, until the table is full.
void run_traffic(auto &kernel)
{
	kernel.run_at(from_client(1, syn), start);
	kernel.run_at(from_server(1), start + second);
	kernel.run_at(from_client(2, ack, 0), start);
	kernel.run_at(from_client(2, ack, 0), start);
	tcpwin_sweep sweep = {};
	sweep.now_ns = start + 100 * second;
	sweep.linger_ns = 3600 * second;
	EXPECT_EQ(kernel.sweep(sweep).exported, 2u);
	kernel.run_at(from_client(3), sweep.now_ns);
	for (uint16_t n : {3, 3, 1, 4, 5, 6, 7, 8})
		kernel.run_at(from_client(n, ack, n), sweep.now_ns + 200 * second + n);
	kernel.run_at(from_server(4), sweep.now_ns + 201 * second);
	kernel.run_at(Bytes(60), sweep.now_ns + 202 * second); // not IP
}

// The records that drain_maps should hand over.
std::vector<tcpwin_record> records_of(Kernel &kernel)
{
	std::vector<tcpwin_record> records = kernel.drain().records;
	for (const auto &[key, flow] : kernel.flows())
		if (mark_of(flow) == Mark::free) {
			const auto reason = tcpwin_is_expired(&flow, &config, end_ns) ?
						    tcpwin_expiry_reason(&flow, &config) :
						    TCPWIN_END_SHUTDOWN;
			tcpwin_fill_record(&records.emplace_back(), &key, &flow, end_ns, reason);
		}
	return records;
}

std::vector<tcpwin_record> drain(const AgentMaps &maps)
{
	std::vector<tcpwin_record> records;
	auto drained = drain_maps(maps, config, end_ns, [&](const tcpwin_record &r) { records.push_back(r); });
	EXPECT_TRUE(drained) << drained.error().sentence();
	return records;
}

class AgentMapsTest : public KernelTest {};

size_t size_of(const btf *types, const char *name)
{
	return static_cast<size_t>(
		btf__resolve_size(types, static_cast<uint32_t>(btf__find_by_name_kind(types, name, BTF_KIND_STRUCT))));
}

// Otherwise the next test would prove nothing.
TEST_F(AgentMapsTest, TheOtherObjectHasAnotherLayout)
{
	Object other = other_object();
	EXPECT_GT(size_of(other.types(), "tcpwin_direction"), sizeof(tcpwin_direction));
	EXPECT_GT(size_of(other.types(), "tcpwin_counters"), sizeof(tcpwin_counters));

	// Even the first 8 bytes lie elsewhere in the other layout.
	auto own = own_btf();
	ASSERT_TRUE(own);
	for (const char *name : {"tcpwin_key", "tcpwin_direction", "tcpwin_record"}) {
		auto reader = StructReader::create(other.types(), own->get(), name);
		ASSERT_TRUE(reader);
		Bytes theirs(reader->size()), ours(1024);
		for (size_t i = 0; i < theirs.size(); i++)
			theirs[i] = static_cast<uint8_t>(i + 1);
		reader->read(theirs, ours.data());
		ours.resize(theirs.size());
		EXPECT_NE(theirs, ours) << name << " is the same in both";
	}
}

TEST_F(AgentMapsTest, AnotherLayoutYieldsTheSameRecords)
{
	Kernel ours({.flows = max_flows});
	Object theirs = other_object();
	run_traffic(ours);
	run_traffic(theirs);

	Records got = by_id(drain(theirs.maps()));
	Records expected = by_id(records_of(ours));
	ASSERT_THAT(got, SizeIs(expected.size()));
	for (const auto &[id, record] : expected)
		EXPECT_TRUE(same(got[id], record)) << "flow " << id;
	EXPECT_EQ(got[1].reason, TCPWIN_END_IDLE_TIMEOUT);
	EXPECT_EQ(got[2].reason, TCPWIN_END_ABORT_TIMEOUT);
	EXPECT_EQ(got[3].now_ns, start + 300 * second + 3); // cut by a packet
	EXPECT_EQ(std::ranges::count_if(got, [](const auto &one) { return one.second.reason == TCPWIN_END_SHUTDOWN; }),
		  1);
	EXPECT_EQ(got.size(), 3 + max_flows - 1); // flow 2 left an entry without a flow
}

TEST_F(AgentMapsTest, CountersAreFoundByName)
{
	Kernel ours({.flows = max_flows});
	Object theirs = other_object();
	run_traffic(ours);
	run_traffic(theirs);

	auto got = read_counters(theirs.maps());
	ASSERT_TRUE(got) << got.error().sentence();
	const tcpwin_counters expected = ours.counters();
	for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++)
		EXPECT_EQ(got->value[i], expected.value[i]) << name_of(i);
	EXPECT_EQ(got->peak_flows, expected.peak_flows);
	EXPECT_GT(expected.value[TCPWIN_COUNTER_FLOWS_CUT], 0u);
	EXPECT_EQ(expected.value[TCPWIN_COUNTER_NOT_IP], 1u);
}

TEST_F(AgentMapsTest, CountersAreSummedOverTheCpus)
{
	Object own = own_maps();
	const auto cpus = static_cast<size_t>(libbpf_num_possible_cpus());
	std::vector<tcpwin_counters> each(cpus);
	for (size_t cpu = 0; cpu < cpus; cpu++) {
		each[cpu].value[TCPWIN_COUNTER_TRACKED] = 10 + cpu;
		each[cpu].peak_flows = 100 + cpu;
	}
	for (const uint32_t entry : {TCPWIN_COUNTERS_LIVE, TCPWIN_COUNTERS_CARRIED}) // the same in both
		ASSERT_EQ(bpf_map_update_elem(own.map_fd("counters"), &entry, each.data(), BPF_ANY), 0);

	auto sum = read_counters(own.maps());
	ASSERT_TRUE(sum) << sum.error().sentence();
	EXPECT_EQ(sum->value[TCPWIN_COUNTER_TRACKED], 2 * (10 * cpus + cpus * (cpus - 1) / 2));
	EXPECT_EQ(sum->value[TCPWIN_COUNTER_UNTRACKED_FULL], 0u);
	EXPECT_EQ(sum->peak_flows, 100 + cpus - 1);
}

// Inserts flow number id with this mark.
void put(const Object &object, uint64_t id, Mark mark)
{
	tcpwin_key key = {};
	std::memcpy(key.address[0].byte, &id, sizeof(id));
	tcpwin_flow flow = {};
	flow.id = id;
	flow.seq = seq_of(key, mark);
	ASSERT_EQ(bpf_map_update_elem(object.map_fd("flows"), &key, &flow, BPF_ANY), 0);
}

TEST_F(AgentMapsTest, EndedEntriesYieldNoRecord)
{
	Object own = own_maps();
	put(own, 1, Mark::free);
	put(own, 2, Mark::busy); // cannot happen after detaching, but such a flow counts
	put(own, 3, Mark::ended);
	put(own, 4, Mark::dying);

	std::vector<uint64_t> ids;
	for (const auto &[id, record] : by_id(drain(own.maps())))
		ids.push_back(id);
	EXPECT_THAT(ids, ElementsAre(1, 2));
}

TEST_F(AgentMapsTest, AnEmptyTableYieldsNoRecords)
{
	Object own = own_maps();
	EXPECT_THAT(drain(own.maps()), IsEmpty());
}

TEST_F(AgentMapsTest, ALargeTableIsReadCompletely)
{
	for (uint32_t count : {4096u, 4097u, 20000u}) { // batches
		Object own = own_maps(count);
		for (uint64_t id = 1; id <= count; id++)
			put(own, id, Mark::free);
		Records records = by_id(drain(own.maps()));
		EXPECT_EQ(records.size(), count);
		EXPECT_EQ(records.rbegin()->first, count);
	}
}

TEST_F(AgentMapsTest, RecordsStayUntilTheMapsAreRemoved)
{
	Object theirs = other_object();
	run_traffic(theirs);
	const std::vector<tcpwin_record> first = drain(theirs.maps());
	const std::vector<tcpwin_record> second = drain(theirs.maps());
	ASSERT_THAT(first, SizeIs(3 + max_flows - 1));
	ASSERT_EQ(first.size(), second.size());
	EXPECT_EQ(std::memcmp(first.data(), second.data(), first.size() * sizeof(first[0])), 0);
}

TEST_F(AgentMapsTest, VariablesAndInterfacesAreFoundByName)
{
	Object theirs = other_object();
	run_traffic(theirs);
	auto config_read = read_config(theirs.maps());
	ASSERT_TRUE(config_read) << config_read.error().sentence();
	EXPECT_EQ(std::memcmp(&*config_read, &config, sizeof(config)), 0);
	auto live = read_live_flows(theirs.maps());
	ASSERT_TRUE(live) << live.error().sentence();
	EXPECT_EQ(*live, max_flows - 1u); // flow 2 left an entry without a flow

	const uint32_t ifindex = 7;
	tcpwin_interface eth0 = {};
	eth0.since_ns = start;
	std::strcpy(eth0.name, "eth0");
	ASSERT_EQ(bpf_map_update_elem(theirs.map_fd("interfaces"), &ifindex, &eth0, BPF_ANY), 0);
	auto interfaces = read_interfaces(theirs.maps());
	ASSERT_TRUE(interfaces) << interfaces.error().sentence();
	ASSERT_THAT(*interfaces, SizeIs(1));
	EXPECT_EQ(interfaces->at(ifindex).since_ns, start);
	EXPECT_STREQ(interfaces->at(ifindex).name, "eth0");
}

TEST_F(AgentMapsTest, MapsWhoseSizesDifferFromTheirTypesAreRefused)
{
	Object own = own_maps();
	AgentMaps mixed = own.maps();
	mixed.flows_fd = own.map_fd("counters"); // has the types, but is another map
	EXPECT_FALSE(drain_maps(mixed, config, end_ns, [](const tcpwin_record &) { FAIL(); }));
	mixed = own.maps();
	mixed.counters_fd = own.map_fd("flows");
	EXPECT_FALSE(read_counters(mixed));
	mixed = own.maps();
	mixed.records_fd = own.map_fd("flows");
	EXPECT_FALSE(drain_maps(mixed, config, end_ns, [](const tcpwin_record &) { FAIL(); }));
}

} // namespace
} // namespace tcpwin::test
