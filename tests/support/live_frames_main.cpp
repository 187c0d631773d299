// SPDX-License-Identifier: Apache-2.0
//
// Live frames from the command line: --device DEV --packets N --flows N ...
// sends from the namespace in which it is run, one thread and CPU per side, and
// prints as JSON what was sent and how long it took.
#include <chrono>
#include <future>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <net/if.h>
#include <nlohmann/json.hpp>

#include "live_frames.hpp"

namespace {

using namespace tcpwin::test;

const std::map<std::string, live_order> orders = {
	{"in-turn", LIVE_IN_TURN}, {"random", LIVE_RANDOM}, {"together", LIVE_TOGETHER}};
const std::map<std::string, live_side> sides = {{"client", LIVE_CLIENT}, {"server", LIVE_SERVER}, {"both", LIVE_BOTH}};

struct Options {
	std::string device;
	uint64_t packets = 1'000'000; // of each sender
	uint32_t frame_length = LIVE_FULL_FRAME;
	std::vector<live_side> sides = {LIVE_CLIENT};
	std::vector<unsigned> flags = {0x10};
	live_traffic traffic = default_traffic;
};

void add_options(CLI::App &app, Options &options, live_order &order)
{
	app.add_option("--device", options.device, "interface whose peer gets the frames")->required();
	app.add_option("--packets", options.packets, "of each sender");
	app.add_option("--frame-length", options.frame_length, "bytes of each IP packet that are sent");
	app.add_option("--side", options.sides, "client, server or both: one sender each, each on a separate CPU")
		->transform(CLI::CheckedTransformer(sides));
	app.add_option("--order", order, "in-turn, random or together")->transform(CLI::CheckedTransformer(orders));
	app.add_option("--first-flow", options.traffic.first_flow);
	app.add_option("--flows", options.traffic.flows);
	app.add_option("--burst", options.traffic.burst, "consecutive packets of one flow");
	app.add_option("--flags", options.flags, "TCP flags, one of them for each packet")->expected(1, 4);
	app.add_flag("--stalls", options.traffic.stalls, "clients of even flows announce a window of zero");
}

std::vector<std::unique_ptr<LiveSender>> make_senders(Options &options)
{
	std::vector<std::unique_ptr<LiveSender>> senders;
	for (size_t i = 0; i < 4; i++)
		options.traffic.flags[i] = static_cast<uint8_t>(options.flags[i % options.flags.size()]);
	options.traffic.device = if_nametoindex(options.device.c_str());
	if (!options.traffic.device)
		throw std::runtime_error("no device " + options.device);
	for (live_side side : options.sides) {
		options.traffic.side = side;
		senders.push_back(std::make_unique<LiveSender>(options.traffic, options.frame_length));
	}
	return senders;
}

} // namespace

int main(int argc, char **argv)
try {
	CLI::App app("Sends live frames into a veth");
	Options options;
	live_order order = LIVE_IN_TURN;
	add_options(app, options, order);
	CLI11_PARSE(app, argc, argv);
	options.traffic.order = order;

	auto senders = make_senders(options);
	const auto cpus = usable_cpus();
	const auto start = std::chrono::steady_clock::now();
	std::vector<std::future<void>> running;
	for (size_t i = 0; i < senders.size(); i++)
		running.push_back(std::async(std::launch::async, [&, i] {
			pin_to(cpus[i % cpus.size()]);
			senders[i]->send(options.packets);
		}));
	for (auto &each : running)
		each.get();
	const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
	uint64_t sent = 0;
	for (const auto &sender : senders)
		sent += sender->sent();
	std::cout << nlohmann::json{{"sent", sent}, {"seconds", took.count()}}.dump() << '\n';
	return 0;
} catch (const std::exception &error) {
	std::cerr << "live_frames: " << error.what() << '\n';
	return 1;
}
