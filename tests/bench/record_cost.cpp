// SPDX-License-Identifier: Apache-2.0
//
// The cost of a record in the agent, from the ring buffer to a line in a file, with
// the agent's classes, as user/agent/session.cpp calls them.
//
//	record_cost FILE [ROUNDS]
#include <cstdlib>
#include <exception>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "bpf/program.hpp"
#include "machine.hpp"
#include "record/record.hpp"
#include "sinks/outputs.hpp"
#include "support/cpus.hpp"

namespace {

using namespace tcpwin;
using namespace tcpwin::bench;

constexpr std::uint32_t records = 32'000;

template <typename T> T value_of(Result<T> result)
{
	if (!result)
		throw std::runtime_error(result.error().sentence());
	if constexpr (!std::is_void_v<T>)
		return std::move(*result);
}

// Creates flows of two directions, whose records fit the ring buffer, and ends them.
void fill(Program &program, std::uint32_t flows)
{
	for (std::uint32_t n = 0; n < flows; n++) {
		const std::string client = fmt::format("10.{}.{}.{}", n >> 16 & 0xff, n >> 8 & 0xff, n & 0xff);
		const auto port = static_cast<std::uint16_t>(40000 + n % 10000);
		for (const auto &frame :
		     {test::Frame().ethernet().ipv4(client, "192.0.2.1").tcp(port, 80, TCPWIN_FLAG_ACK).bytes(),
		      test::Frame().ethernet().ipv4("192.0.2.1", client).tcp(80, port, TCPWIN_FLAG_ACK).bytes()})
			value_of(program.run_at(frame, static_cast<std::uint32_t>(frame.size()),
						1'000'000'000 + 1000 * n));
	}
	tcpwin_sweep request{};
	request.now_ns = 3'000'000'000;
	request.shutdown = 1;
	if (value_of(program.sweep(request)).exported != flows)
		throw std::runtime_error("the ring buffer is too small");
}

// Nanoseconds of CPU per record.
double write_all(Program &program, RecordWriters &writers, Signals &signals, const tcpwin_config &config)
{
	std::uint64_t written = 0;
	const double start = cpu_ns();
	const auto wall_offset = wall_clock_offset();
	program.drain([&](const tcpwin_record &record) {
		writers.flow(make_flow_record(record, config, wall_offset, "eth0"));
		written++;
		if (writers.is_large())
			value_of(writers.flush(signals));
	});
	value_of(writers.flush(signals));
	program.commit();
	return (cpu_ns() - start) / static_cast<double>(written);
}

nlohmann::json measure(const std::string &file, int rounds)
{
	constexpr tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	OutputOptions options;
	options.flows.path = file;
	auto program =
		value_of(Program::load({.tracking = {.config = config, .max_flows = records}, .test_runs = true}));
	auto writers = value_of(RecordWriters::open(options));
	auto signals = value_of(Signals::create());
	nlohmann::json samples;
	for (int round = 0; round < rounds; round++) {
		fill(program, records);
		if (std::filesystem::is_regular_file(file))
			std::filesystem::resize_file(
				file,
				0); // otherwise a gigabyte waiting for the disk would be measured, too
		samples.push_back(write_all(program, writers, signals, config));
	}
	return {{"ns", {{"record", samples}}}};
}

} // namespace

int main(int argc, char **argv)
try {
	if (argc < 2)
		throw std::runtime_error("record_cost FILE [ROUNDS]");
	test::pin_to(test::usable_cpus().back());
	fmt::print("{}\n", measure(argv[1], argc > 2 ? std::atoi(argv[2]) : 11).dump());
} catch (const std::exception &error) {
	fmt::print(stderr, "record_cost: {}\n", error.what());
	return 1;
}
