// SPDX-License-Identifier: Apache-2.0
// The portable engine and the XDP program give the same flow records, packet
// records and counters, in the same order. Needs root.
#include <array>
#include <cstdio>
#include <cstring>

#include <unistd.h>

#include "engine/kernel.hpp"
#include "record/names.hpp"
#include "replay/generator.hpp"
#include "replay/link_types.hpp"
#include "replay/outcome.hpp"

namespace tcpwin::test {
namespace {

// Clears what only one engine sets: the owner of the flow, the interface, the time of the record.
tcpwin_record comparable(tcpwin_record record, std::uint64_t flows_before)
{
	record.flow.seq = 0;
	record.flow.ifindex = 0;
	record.now_ns = 0;
	record.flow.id -= flows_before;
	return record;
}

SeenPacket comparable(SeenPacket packet, std::uint64_t flows_before)
{
	packet.event.flow_id -= flows_before;
	return packet;
}

// In the kernel, flows that have expired stay in the table until a sweep or a packet of theirs ends them.
bool is_comparable(std::uint32_t counter)
{
	return counter != TCPWIN_COUNTER_FLOWS_CUT;
}

std::string hex(const void *data, std::size_t size)
{
	std::string text;
	for (std::size_t i = 0; i < size; i++)
		text += fmt::format("{:02x}", static_cast<const std::uint8_t *>(data)[i]);
	return text;
}

std::string describe(const tcpwin_direction &d)
{
	return fmt::format(
		"first {} last {} packets {} bytes {} zero {} window {}..{} last {} flags {:02x} stat {:02x} "
		"state {} timeout {} scale {} ({})",
		d.first_ns, d.last_ns, d.packets, d.bytes, d.zero_window_count, d.window_min, d.window_max,
		d.window_last, d.tcp_flags, d.stat, d.state, d.timeout, d.window_scale, hex(&d.alarms, 1));
}

std::string describe(const tcpwin_record &r)
{
	return fmt::format(
		"flow {} continues {} {} key {} a_side {} stalled {}\n\t0: {}\n\t1: {}\n\tanalysis {} {}\n", r.flow.id,
		r.flow.continues_back, name_of(static_cast<tcpwin_end_reason>(r.reason)), hex(&r.key, sizeof(r.key)),
		r.flow.a_side, hex(&r.flow.stalled, 1), describe(r.flow.direction[0]), describe(r.flow.direction[1]),
		hex(r.flow.progress, sizeof(r.flow.progress)), hex(r.flow.analysis, sizeof(r.flow.analysis)));
}

std::string describe(const SeenPacket &p)
{
	const tcpwin_packet_event &e = p.event;
	return fmt::format(
		"packet {} flow {} at {} first {} previous {} zero {} window {} sender {} a_side {} stat {:02x} "
		"state {} timeout {} later {} key {}\n",
		p.number, e.flow_id, e.now_ns, e.first_ns, e.previous_ns, e.zero_window_count, e.window, e.from,
		e.a_side, e.stat, e.state, e.timeout, e.later_fragment, hex(&e.key, sizeof(e.key)));
}

bool same(const tcpwin_record &l, const tcpwin_record &r)
{
	return std::memcmp(&l, &r, sizeof(l)) == 0; // no padding, see types.h
}

std::string describe(const tcpwin_alarm &a)
{
	return fmt::format("alarm at {} flow {} raised {} zero windows {} {} stalled flows {} since {} {}\n", a.now_ns,
			   a.flow_id, hex(a.raised, sizeof(a.raised)), a.zero_window_count[0], a.zero_window_count[1],
			   a.stalled_flows, a.stalled_since_ns[0], a.stalled_since_ns[1], a.limited_ns[0],
			   a.limited_ns[1]);
}

bool same(const tcpwin_alarm &l, const tcpwin_alarm &r)
{
	return std::memcmp(&l, &r, sizeof(l)) == 0;
}

bool same(const SeenPacket &l, const SeenPacket &r)
{
	return l.number == r.number && std::memcmp(&l.event, &r.event, sizeof(l.event)) == 0;
}

// Describes the first entry that differs; empty if there is none.
template <typename T> std::string difference(const std::vector<T> &portable, const std::vector<T> &kernel)
{
	for (std::size_t i = 0; i < std::max(portable.size(), kernel.size()); i++) {
		if (i < portable.size() && i < kernel.size() && same(portable[i], kernel[i]))
			continue;
		return fmt::format("entry {} of {} and {}:\nportable: {}\nkernel:   {}\n", i, portable.size(),
				   kernel.size(), i < portable.size() ? describe(portable[i]) : "none",
				   i < kernel.size() ? describe(kernel[i]) : "none");
	}
	return {};
}

std::string difference(const tcpwin_counters &portable, const tcpwin_counters &kernel)
{
	std::string text;
	for (std::uint32_t i = 0; i < TCPWIN_COUNTER_COUNT; i++)
		if (is_comparable(i) && portable.value[i] != kernel.value[i])
			text += fmt::format("counter {}: portable {}, kernel {}\n", i, portable.value[i],
					    kernel.value[i]);
	return text;
}

std::string difference(const Outcome &portable, const Outcome &kernel)
{
	return difference(portable.flows, kernel.flows) + difference(portable.alarms, kernel.alarms) +
	       difference(portable.packets, kernel.packets) + difference(portable.counters, kernel.counters);
}

// Runs captures through one engine, each as if the engine were new.
class Rig {
public:
	template <typename Make> Result<void> open(const TrackingOptions &options, Make make)
	{
		auto made = make(options, collector_);
		if (!made)
			return tl::unexpected(made.error());
		engine_ = std::move(*made);
		return {};
	}

	Outcome run(const Frames &frames, LinkType link)
	{
		const tcpwin_counters before = *engine_->counters();
		for (std::size_t i = 0; i < frames.size(); i++)
			feed(*engine_, frames[i], i + 1, link);
		EXPECT_TRUE(engine_->finish());

		Outcome outcome;
		outcome.counters = *engine_->counters();
		for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++)
			outcome.counters.value[i] -= before.value[i];
		const std::uint64_t flows_before = before.value[TCPWIN_COUNTER_FLOWS_CREATED];
		for (const tcpwin_record &flow : collector_.flows)
			outcome.flows.push_back(comparable(flow, flows_before));
		for (const SeenPacket &packet : collector_.packets)
			outcome.packets.push_back(comparable(packet, flows_before));
		for (tcpwin_alarm alarm : collector_.alarms) {
			alarm.flow_id -= flows_before;
			alarm.ifindex = 0; // only in the kernel
			outcome.alarms.push_back(alarm);
		}
		collector_.flows.clear();
		collector_.alarms.clear();
		collector_.packets.clear();
		return outcome;
	}

private:
	Collector collector_;
	std::unique_ptr<Engine> engine_;
};

// Loading the programs takes half a second, so one pair serves many captures.
class Pair {
public:
	static Result<std::unique_ptr<Pair>> make(const tcpwin_config &config, std::uint32_t max_flows = 4096)
	{
		const TrackingOptions options{.config = config, .report_packets = true, .max_flows = max_flows};
		auto pair = std::make_unique<Pair>();
		auto opened = pair->kernel_.open(options, make_kernel_engine);
		if (!opened)
			return tl::unexpected(opened.error());
		const auto portable = [](const TrackingOptions &same_options, FlowObserver &observer) {
			return Result<std::unique_ptr<Engine>>(make_portable_engine(same_options, observer));
		};
		if (opened = pair->portable_.open(options, portable); !opened)
			return tl::unexpected(opened.error());
		return pair;
	}

	// Describes the differences; empty if both agree.
	std::string compare(const Frames &frames, LinkType link = LinkType::ethernet)
	{
		Outcome portable = portable_.run(frames, link), kernel = kernel_.run(frames, link);
		if (by_number_)
			for (Outcome *outcome : {&portable, &kernel})
				std::ranges::sort(outcome->flows, {},
						  [](const tcpwin_record &record) { return record.flow.id; });
		flows += portable.flows.size();
		alarms += portable.alarms.size();
		interim += static_cast<std::uint64_t>(
			std::ranges::count(portable.flows, TCPWIN_END_ACTIVE_TIMEOUT, &tcpwin_record::reason));
		for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++)
			counters.value[i] += portable.counters.value[i];
		for (const tcpwin_record &record : portable.flows)
			ended_by[record.reason]++;
		return difference(portable, kernel);
	}

	// Sorts the records by flow ID: the order of flows that end at the same time is unspecified.
	void compare_by_number() { by_number_ = true; }

	// Totals of all captures so far.
	std::uint64_t flows = 0;
	std::uint64_t alarms = 0;
	std::uint64_t interim = 0;
	tcpwin_counters counters{};
	std::array<std::uint64_t, TCPWIN_END_COUNT> ended_by{}; // records by reason

private:
	bool by_number_ = false;
	Rig portable_;
	Rig kernel_;
};

class Engines : public ::testing::Test {
protected:
	void open(const tcpwin_config &config = TCPWIN_DEFAULT_CONFIG, std::uint32_t max_flows = 4096)
	{
		if (geteuid() != 0)
			GTEST_SKIP() << "the kernel engine needs root";
		auto made = Pair::make(config, max_flows);
		if (!made && (made.error().exit == Exit::no_permission || made.error().exit == Exit::unsupported))
			GTEST_SKIP() << made.error().sentence();
		ASSERT_TRUE(made) << made.error().sentence();
		pair = std::move(*made);
	}

	std::unique_ptr<Pair> pair;
};

TEST_F(Engines, AgreeOnAllCaptures)
{
	ASSERT_NO_FATAL_FAILURE(open());
	if (IsSkipped())
		return;
	for (const std::string &name : all_captures()) {
		const ReadOut read = read_out(capture(name));
		ASSERT_EQ(read.error, "");
		EXPECT_EQ(pair->compare(read.frames, read.link), "") << name;
	}
	EXPECT_GT(pair->flows, 1'000U);
}

// Beyond about 3500 bytes, the rest of a frame is in further pages (XDP frags).
TEST_F(Engines, AgreeOnLargeFrames)
{
	ASSERT_NO_FATAL_FAILURE(open());
	if (IsSkipped())
		return;
	Frames frames;
	for (std::size_t payload = 1000; payload < 66'000; payload += payload < 4'200 ? 97 : 1'999) {
		const Ipv4Fields offloaded{.total_length = std::uint16_t(payload + 40 < 65'536 ? payload + 40 : 0)};
		frames.push_back({Frame().ethernet()
					  .ipv4("10.0.0.1", "10.0.0.2", offloaded)
					  .tcp(1, 80, 0x10)
					  .payload(payload)
					  .bytes(),
				  1'000'000'000'000'000'000 + frames.size()});
	}
	EXPECT_EQ(pair->compare(frames), "");
	EXPECT_EQ(pair->counters.value[TCPWIN_COUNTER_TRACKED], frames.size());
}

// Finds the shortest prefix of the capture on which a new pair of engines differs, and saves it to a file.
std::string save_shortest(const Frames &frames, const tcpwin_config &config, const LinkFormat *format = nullptr,
			  std::uint32_t max_flows = 4096)
{
	auto pair = Pair::make(config, max_flows);
	std::string text = "not reproduced by the capture alone";
	for (std::size_t length = 1; pair && length <= frames.size(); length++) {
		const Frames prefix(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(length));
		const std::string found = (*pair)->compare(prefix, format ? format->link : LinkType::ethernet);
		if (found.empty())
			continue;
		const std::string path = std::filesystem::temp_directory_path() / "engines_differ.pcap";
		const Bytes file = pcap_file(prefix, {.dlt = format ? format->dlt : 1U});
		std::ofstream(path, std::ios::binary)
			.write(reinterpret_cast<const char *>(file.data()), static_cast<std::streamsize>(file.size()));
		return fmt::format("the first {} frames are enough, see {}:\n{}", length, path, found);
	}
	return text;
}

std::uint64_t seed_of_run()
{
	const char *given = std::getenv("TCPWIN_SEED");
	return given ? std::strtoull(given, nullptr, 0) : std::random_device()();
}

// One capture in four gets another link type.
const LinkFormat *format_of_capture(std::uint64_t i)
{
	const std::vector<LinkFormat> &formats = link_formats();
	return i % 4 ? nullptr : &formats[i / 4 % formats.size()];
}

void expect_agreement(Pair &pair, std::uint64_t captures, const tcpwin_config &config)
{
	const std::uint64_t seed = seed_of_run();
	std::printf("%llu captures from TCPWIN_SEED=%llu\n", static_cast<unsigned long long>(captures),
		    static_cast<unsigned long long>(seed));
	for (std::uint64_t i = 0; i < captures; i++) {
		const LinkFormat *format = format_of_capture(i);
		Frames frames = Generator(seed + i, config).capture();
		if (format)
			frames = as_link(*format, frames);
		const std::string found = pair.compare(frames, format ? format->link : LinkType::ethernet);
		ASSERT_TRUE(found.empty()) << "capture " << i << " of TCPWIN_SEED=" << seed << ", "
					   << save_shortest(frames, config, format);
	}
}

// The comparison proves nothing unless the captures contain every kind of packet.
void expect_all_kinds(const Pair &pair, std::uint64_t captures)
{
	EXPECT_GT(pair.flows, captures * 5);
	EXPECT_GT(pair.counters.value[TCPWIN_COUNTER_TRACKED], captures * 15);
	for (const CounterName &c : reject_names)
		EXPECT_GT(pair.counters.value[c.counter], captures / 100) << c.name;
}

TEST_F(Engines, AgreeOnRandomCaptures)
{
	ASSERT_NO_FATAL_FAILURE(open());
	if (IsSkipped())
		return;
	ASSERT_NO_FATAL_FAILURE(expect_agreement(*pair, 3'000, TCPWIN_DEFAULT_CONFIG));
	expect_all_kinds(*pair, 3'000);
}

// An abort timeout longer than the others, two equal timeouts, and one of 1 ns.
TEST_F(Engines, AgreeWithUnusualTimeouts)
{
	tcpwin_config config = TCPWIN_TUTORIAL_CONFIG;
	config.timeout_ns[TCPWIN_TIMEOUT_NEW] = 500'000'000;
	config.timeout_ns[TCPWIN_TIMEOUT_BGN] = 1;
	config.timeout_ns[TCPWIN_TIMEOUT_EST] = 500'000'000;
	config.timeout_ns[TCPWIN_TIMEOUT_ABRT] = 3'000'000'000;
	config.window_threshold = 100;
	config.abort_count = 1;
	ASSERT_NO_FATAL_FAILURE(open(config));
	if (IsSkipped())
		return;
	expect_agreement(*pair, 1'000, config);
}

// Timeouts short enough for the captures, so that every rule is exercised.
TEST_F(Engines, AgreeWithTheRulesOfTheMonitorProfile)
{
	tcpwin_config config = TCPWIN_MONITOR_CONFIG;
	config.timeout_ns[TCPWIN_TIMEOUT_NEW] = config.timeout_ns[TCPWIN_TIMEOUT_BGN] = 1'500'000'000;
	config.timeout_ns[TCPWIN_TIMEOUT_EST] = 2'000'000'000;
	config.timeout_ns[TCPWIN_TIMEOUT_FIN] = 700'000'000;
	config.stalled_ns = 5'000'000'000;
	config.stall_alarm_ns = 300'000'000;
	config.limited_alarm_ns = 200'000'000;
	config.source_alarm = 1;
	config.active_s = 1;
	config.abort_count = 2;
	ASSERT_NO_FATAL_FAILURE(open(config));
	if (IsSkipped())
		return;
	expect_agreement(*pair, 1'000, config);
	EXPECT_GT(pair->alarms, 500U);
	EXPECT_GT(pair->interim, 100U);
}

TEST_F(Engines, AgreeWhenVlansAreIgnored)
{
	tcpwin_config config = TCPWIN_TUTORIAL_CONFIG;
	config.rules = TCPWIN_RULE_IGNORE_VLAN;
	ASSERT_NO_FATAL_FAILURE(open(config));
	if (IsSkipped())
		return;
	const std::uint64_t seed = seed_of_run();
	for (std::uint64_t i = 0; i < 1'000; i++) {
		Frames frames = Generator(seed + i, config).capture();
		for (std::size_t n = 0; n < frames.size(); n++)
			if (Bytes &frame = frames[n].bytes; frame.size() > 16 && frame[12] == 0x81)
				frame[15] =
					static_cast<std::uint8_t>(n % 4); // the directions of a flow have several IDs
		ASSERT_EQ(pair->compare(frames), "") << "capture " << i << " of TCPWIN_SEED=" << seed;
	}
}

TEST_F(Engines, AgreeWhenFlowsAreTerminated)
{
	tcpwin_config config = TCPWIN_TUTORIAL_CONFIG;
	config.on_threshold = TCPWIN_ON_THRESHOLD_TERMINATE;
	config.rules = TCPWIN_RULE_ABORT_ALARM;
	config.stalled_ns = 5'000'000'000;
	config.abort_count = 1;
	ASSERT_NO_FATAL_FAILURE(open(config));
	if (IsSkipped())
		return;
	pair->compare_by_number();
	expect_agreement(*pair, 1'000, config);
	EXPECT_GT(pair->alarms, 1'000U);
}

// A thousand flows are alive at a time; flows that have ended must make room.
TEST_F(Engines, AgreeWhenTheTableIsSmall)
{
	ASSERT_NO_FATAL_FAILURE(open(TCPWIN_DEFAULT_CONFIG, 2'048));
	if (IsSkipped())
		return;
	Frames frames;
	for (std::uint32_t i = 0; i < 20'000; i++)
		frames.push_back(
			{Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(std::uint16_t(1024 + i), 80, 0x10).bytes(),
			 1'000'000'000'000'000'000 + i * 1'000'000ULL});
	EXPECT_EQ(pair->compare(frames), "");
	EXPECT_EQ(pair->flows, 20'000U);
}

void expect_agreement_in_a_table_of(std::uint32_t max_flows, Pair &pair, const tcpwin_config &config)
{
	const std::uint64_t seed = seed_of_run();
	for (std::uint64_t i = 0; i < 1'000; i++) {
		const Frames frames = Generator(seed + i, config).capture();
		const std::string found = pair.compare(frames);
		ASSERT_TRUE(found.empty()) << "capture " << i << " of TCPWIN_SEED=" << seed << ", " << max_flows
					   << " entries, " << save_shortest(frames, config, nullptr, max_flows);
	}
	EXPECT_GT(pair.counters.value[TCPWIN_COUNTER_EVICTED_UNANSWERED], 100U);
	EXPECT_GT(pair.counters.value[TCPWIN_COUNTER_UNTRACKED_FULL], 0U);
	EXPECT_GT(pair.ended_by[TCPWIN_END_UNANSWERED_TIMEOUT], 10U);
	EXPECT_EQ(pair.ended_by[TCPWIN_END_EVICTED], pair.counters.value[TCPWIN_COUNTER_EVICTED_UNANSWERED]);
}

// The same flows are evicted, for the same reason, at the same packet.
TEST_F(Engines, AgreeOnRandomCapturesWhenTheTableIsFull)
{
	for (std::uint32_t max_flows : {1, 2, 3}) {
		ASSERT_NO_FATAL_FAILURE(open(TCPWIN_TUTORIAL_CONFIG, max_flows));
		if (IsSkipped())
			return;
		expect_agreement_in_a_table_of(max_flows, *pair, TCPWIN_TUTORIAL_CONFIG);
	}
}

TEST_F(Engines, AgreeUnderPressureInTheMonitorProfile)
{
	tcpwin_config config = TCPWIN_MONITOR_CONFIG;
	config.timeout_ns[TCPWIN_TIMEOUT_NEW] = config.timeout_ns[TCPWIN_TIMEOUT_BGN] = 5'000'000'000;
	config.unanswered_ns = 300'000'000;
	config.pressure = 50;
	for (std::uint32_t max_flows : {2, 3}) {
		ASSERT_NO_FATAL_FAILURE(open(config, max_flows));
		if (IsSkipped())
			return;
		expect_agreement_in_a_table_of(max_flows, *pair, config);
	}
}

// A flood from which 16 connections stand out, one of them begun before, the others meanwhile.
Frames flood_with_connections(std::uint32_t flood_packets)
{
	Frames frames;
	std::uint64_t now = 1'000'000'000'000'000'000;
	const auto add = [&](const char *from, std::uint16_t port, const char *to, std::uint16_t to_port,
			     std::uint8_t flags, std::uint32_t seq, std::uint32_t ack) {
		frames.push_back(
			{Frame().ethernet().ipv4(from, to).tcp(port, to_port, flags, {.seq = seq, .ack = ack}).bytes(),
			 now += 1'000});
	};
	for (std::uint32_t i = 0; i < flood_packets; i++) {
		const std::uint32_t connection = i * 16 / flood_packets, step = i % (flood_packets / 16);
		const auto port = static_cast<std::uint16_t>(50'000 + connection);
		if (step == 0)
			add("10.0.0.1", port, "10.0.0.2", 80, 0x02, 1000, 0);
		else if (step == 20)
			add("10.0.0.2", 80, "10.0.0.1", port, 0x12, 5000, 1001);
		else if (step == 40 || step == flood_packets / 16 - 1)
			add("10.0.0.1", port, "10.0.0.2", 80, 0x10, 1001, 5001);
		const std::string source = fmt::format("10.{}.{}.{}", 1 + (i >> 16), i >> 8 & 255, i & 255);
		add(source.c_str(), 1024, "10.0.0.2", 80, 0x02, 1, 0);
	}
	return frames;
}

TEST_F(Engines, AgreeOnAFloodThatLosesNoConnection)
{
	constexpr std::uint32_t flood = 64'000;
	ASSERT_NO_FATAL_FAILURE(open(TCPWIN_MONITOR_CONFIG, 1'024));
	if (IsSkipped())
		return;
	EXPECT_EQ(pair->compare(flood_with_connections(flood)), "");
	EXPECT_EQ(pair->flows, flood + 16);
	EXPECT_EQ(pair->counters.value[TCPWIN_COUNTER_UNTRACKED_FULL], 0U);
	EXPECT_GT(pair->ended_by[TCPWIN_END_EVICTED], flood / 2);
}

// More flows than one read of the ring buffer returns, and more frames than between two sweeps.
TEST_F(Engines, AgreeOnALongCapture)
{
	ASSERT_NO_FATAL_FAILURE(open(TCPWIN_DEFAULT_CONFIG, 65'536));
	if (IsSkipped())
		return;
	Frames frames;
	for (std::uint32_t i = 0; i < 40'000; i++) {
		const auto port = static_cast<std::uint16_t>(1024 + i * 7919 % 20'000);
		const std::uint16_t window = i % 11 ? 1000 : 0;
		frames.push_back(
			{Frame().ethernet()
				 .ipv4("10.0.0.1", "10.0.0.2")
				 .tcp(port, 80, 0x10, {.window = window})
				 .bytes(),
			 1'000'000'000'000'000'000 + i * 200'000ULL - (i % 5'000 == 4'999 ? 3'000'000'000 : 0)});
	}
	EXPECT_EQ(pair->compare(frames), "");
	EXPECT_GT(pair->flows, 20'000U);
}

} // namespace
} // namespace tcpwin::test
