// SPDX-License-Identifier: Apache-2.0
#include "bpf/program.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <tcpwin.skel.h>

#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "bpf/agent_maps.hpp"
#include "bpf/counters.hpp"
#include "bpf/features.hpp"
#include "bpf/live_config.hpp"
#include "bpf/object_info.hpp"

namespace tcpwin {
namespace {

constexpr std::uint32_t packet_ring_size = 64 * 1024 * 1024; // about 600,000 packets
constexpr __u32 verifier_statistics = 4;                     // BPF_LOG_STATS: one line for each program
constexpr std::string_view needed_capabilities = "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";

// In the order of pinned_maps.
std::array<bpf_map *, pinned_maps.size()> maps_to_pin(const tcpwin_bpf *skeleton)
{
#define X(name) skeleton->maps.name,
	return {TCPWIN_PINNED_MAPS(X)};
#undef X
}

// Whether the kernel refuses to create a map like this one. The verifier has the same errors for programs.
bool is_refused(const bpf_map *map)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = bpf_map__map_flags(map));
	const UniqueFd created(bpf_map_create(bpf_map__type(map), nullptr, bpf_map__key_size(map),
					      bpf_map__value_size(map), bpf_map__max_entries(map), &options));
	return !created;
}

tl::unexpected<Error> explain_load_error(int error, const bpf_map *flows)
{
	if (error == -EPERM) // EACCES comes from the verifier, not from missing capabilities
		return fail("cannot load the BPF programs", describe_errno(EPERM), std::string(needed_capabilities),
			    Exit::no_permission);
	if (auto missing = find_missing_feature())
		return fail("cannot load the BPF programs", fmt::format("this kernel has no {}", missing->name),
			    fmt::format("Linux {} or later has it", missing->since), Exit::unsupported);
	if (flows && (error == -ENOMEM || error == -E2BIG) && is_refused(flows))
		return fail(fmt::format("cannot create a flow table of {} entries", bpf_map__max_entries(flows)),
			    describe_errno(error), "lower --max-flows");
	return fail("cannot load the BPF programs", describe_errno(error), "--verbose shows the kernel's reason",
		    Exit::unsupported);
}

} // namespace

void Program::Skeleton::operator()(tcpwin_bpf *skeleton) const
{
	tcpwin_bpf__destroy(skeleton);
}

Result<Program> Program::load(const ProgramOptions &options)
{
	Program program;
	LIBBPF_OPTS(bpf_object_open_opts, opening, .kernel_log_level = log::is_verbose() ? verifier_statistics : 0);
	program.skeleton_.reset(tcpwin_bpf__open_opts(&opening));
	if (!program.skeleton_)
		return explain_load_error(-errno, nullptr);
	program.configure(options);
	if (options.adopted)
		TRY(program.adopt(*options.adopted));
	program.size_queues();
	if (int error = tcpwin_bpf__load(program.skeleton_.get()))
		return explain_load_error(error, program.skeleton_->maps.flows);
	if (options.adopted)
		TRY(program.map_variables());
	program.set_config(options.tracking.config); // again: .data may be an adopted map, which packets read
	TRY(program.open_rings());
	return program;
}

void Program::configure(const ProgramOptions &options)
{
	tcpwin_bpf *skeleton = skeleton_.get();
	bpf_map__set_max_entries(skeleton->maps.flows, options.tracking.max_flows);
	bpf_map__set_max_entries(skeleton->maps.numbered_keys, options.tracking.max_flows); // adopted with the flows
	if (options.tracking.report_packets)
		bpf_map__set_max_entries(skeleton->maps.packets, packet_ring_size);
	for (bpf_program *live :
	     {skeleton->progs.tcpwin_xdp, skeleton->progs.tcpwin_ingress, skeleton->progs.tcpwin_egress})
		bpf_program__set_autoload(live, !options.test_runs);
	bpf_program__set_autoload(skeleton->progs.tcpwin_xdp_at, options.test_runs);
	skeleton->data->config = options.tracking.config;
	skeleton->rodata->report_packets = options.tracking.report_packets;
	skeleton->rodata->per_interface = options.per_interface;
	skeleton->rodata->attribute = options.attribute && can_note_sockets();
	skeleton->rodata->analyze_stalls = options.tracking.analyze_stalls;
}

// By the flow table, which may be an adopted one.
void Program::size_queues()
{
	skeleton_->rodata->max_flows = max_flows();
	bpf_map__set_max_entries(skeleton_->maps.half_open_flows, tcpwin_max_half_open(max_flows()));
}

// Equal layout numbers imply equal types; only the sizes can be checked.
Result<void> Program::adopt(const PinnedInterface &place)
{
	const auto maps = maps_to_pin(skeleton_.get());
	for (std::size_t i = 0; i < maps.size(); i++) {
		const UniqueFd fd = place.open(pinned_maps[i]);
		const std::string what =
			fmt::format("cannot take over {}", (place.directory() / pinned_maps[i]).string());
		const auto info = fd ? object_info<bpf_map_info>(fd.get()) : std::nullopt;
		if (!info)
			return fail(what, describe_errno(errno));
		if (info->key_size != bpf_map__key_size(maps[i]) || info->value_size != bpf_map__value_size(maps[i]))
			return fail(what, "another build of the agent created it",
				    "write its flows and remove it: tcpwin-agent detach");
		if (int error = bpf_map__reuse_fd(maps[i], fd.get()))
			return fail(what, describe_errno(error));
	}
	return {};
}

Result<void> Program::pin_to(const PinnedInterface &place) const
{
	const auto maps = maps_to_pin(skeleton_.get());
	for (std::size_t i = 0; i < maps.size(); i++)
		TRY(place.pin(pinned_maps[i], bpf_map__fd(maps[i])));
	for (const bpf_program *program :
	     {skeleton_->progs.tcpwin_xdp, skeleton_->progs.tcpwin_ingress, skeleton_->progs.tcpwin_egress})
		TRY(place.pin(bpf_program__name(program), bpf_program__fd(program)));
	return {};
}

Result<void> Program::open_rings()
{
	records_ = TRY(RingReader::open(bpf_map__fd(skeleton_->maps.records)));
	packets_ = TRY(RingReader::open(bpf_map__fd(skeleton_->maps.packets)));
	return {};
}

std::uint32_t Program::max_flows() const
{
	return bpf_map__max_entries(skeleton_->maps.flows);
}

std::uint64_t Program::live_flows() const
{
	return *static_cast<const volatile __u64 *>(&skeleton_->bss->live_flows);
}

std::uint64_t Program::flows_numbered() const
{
	return *static_cast<const volatile __u64 *>(&skeleton_->bss->flows_numbered);
}

std::uint64_t Program::most_entries() const
{
	return std::min<std::uint64_t>(max_flows(), remaining_ + flows_numbered() - numbered_);
}

bool Program::fills() const
{
	const tcpwin_pressure pressure = this->pressure();
	return pressure.since_ns || pressure.ended_early || is_above_mark();
}

bool Program::is_above_mark() const
{
	const tcpwin_config config = this->config();
	return most_entries() >= tcpwin_pressure_mark(&config, max_flows());
}

tcpwin_pressure Program::pressure() const
{
	const volatile auto &now = skeleton_->bss->pressure; // packets write it
	return {.since_ns = now.since_ns, .counted_ns = now.counted_ns, .ended_early = now.ended_early};
}

ProgramFds Program::fds() const
{
	return {.xdp = bpf_program__fd(skeleton_->progs.tcpwin_xdp),
		.tc_ingress = bpf_program__fd(skeleton_->progs.tcpwin_ingress),
		.tc_egress = bpf_program__fd(skeleton_->progs.tcpwin_egress)};
}

Result<void> Program::add_interface(unsigned ifindex, const tcpwin_interface &interface)
{
	if (int error = bpf_map__update_elem(skeleton_->maps.interfaces, &ifindex, sizeof(ifindex), &interface,
					     sizeof(interface), BPF_ANY))
		return fail("cannot watch another interface",
			    error == -E2BIG ? fmt::format("{} are already watched", TCPWIN_MAX_INTERFACES) :
					      describe_errno(error));
	return {};
}

std::optional<tcpwin_interface> Program::interface(unsigned ifindex) const
{
	tcpwin_interface interface;
	if (bpf_map__lookup_elem(skeleton_->maps.interfaces, &ifindex, sizeof(ifindex), &interface, sizeof(interface),
				 0))
		return std::nullopt;
	return interface;
}

void Program::remove_interface(unsigned ifindex)
{
	bpf_map__delete_elem(skeleton_->maps.interfaces, &ifindex, sizeof(ifindex), 0);
}

Result<tcpwin_sweep> Program::sweep(tcpwin_sweep request)
{
	const std::uint64_t numbered = flows_numbered();
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &request, .ctx_size_in = sizeof(request));
	if (int error = bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.tcpwin_sweep), &options))
		return fail("cannot sweep the flow table", describe_errno(error));
	due_ns_ = request.due_ns;
	remaining_ = request.remaining;
	numbered_ = numbered;
	return request;
}

bool Program::is_due(std::uint64_t now_ns) const
{
	const std::uint64_t noted = *static_cast<const volatile __u64 *>(&skeleton_->bss->due_ns); // packets write it
	return now_ns >= std::min(due_ns_, noted);
}

tcpwin_config Program::config() const
{
	return load_config(&skeleton_->data->config);
}

// libbpf 1.1 maps the variables of adopted maps itself; 1.5 leaves the skeleton's pointers at memory of its own.
Result<void> Program::map_variables()
{
	const std::pair<void *, const bpf_map *> variables[] = {{skeleton_->data, skeleton_->maps.data},
								{skeleton_->bss, skeleton_->maps.bss}};
	for (const auto &[address, map] : variables)
		if (mmap(address, bpf_map__value_size(map), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 bpf_map__fd(map), 0) == MAP_FAILED)
			return fail("cannot take over the variables of an earlier agent", describe_errno(errno));
	return {};
}

void Program::set_config(const tcpwin_config &config)
{
	std::uint64_t *due_ns = reinterpret_cast<std::uint64_t *>(&skeleton_->bss->due_ns);
	store_config(&skeleton_->data->config, due_ns, config);
}

Result<void> Program::run_at(std::span<const std::uint8_t> frame, std::uint32_t wire_length, std::uint64_t now_ns)
{
	const tcpwin_test_frame meta{now_ns, wire_length, 0};
	test_frame_.resize(sizeof(meta));
	std::memcpy(test_frame_.data(), &meta, sizeof(meta));
	test_frame_.insert(test_frame_.end(), frame.begin(), frame.end());

	xdp_md context{};
	context.data = sizeof(meta);
	context.data_end = static_cast<__u32>(test_frame_.size());
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = test_frame_.data(),
		    .data_size_in = static_cast<__u32>(test_frame_.size()), .ctx_in = &context,
		    .ctx_size_in = sizeof(context));
	if (int error = bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.tcpwin_xdp_at), &options))
		return fail("cannot run the XDP program", describe_errno(error));
	return {};
}

void Program::drain(const TakeRecord &take, const TakeAlarm &take_alarm)
{
	records_->read([&](std::span<const std::uint8_t> bytes) {
		const auto *type = reinterpret_cast<const __u32 *>(bytes.data());
		switch (static_cast<tcpwin_message>(*type)) {
		case TCPWIN_MESSAGE_RECORD:
			take(*reinterpret_cast<const tcpwin_record *>(type));
			break;
		case TCPWIN_MESSAGE_ALARM:
			if (take_alarm)
				take_alarm(*reinterpret_cast<const tcpwin_alarm *>(type));
			break;
		case TCPWIN_MESSAGE_TABLE_FULL:
			table_full_ = true;
			break;
		case TCPWIN_MESSAGE_NONE:
			break;
		}
	});
}

void Program::drain_packets(const TakePacket &take)
{
	packets_->read([&](std::span<const std::uint8_t> bytes) {
		take(*reinterpret_cast<const tcpwin_packet_event *>(bytes.data()));
	});
}

void Program::announce(const tcpwin_batch &batch)
{
	skeleton_->bss->batch = batch;
}

tcpwin_batch Program::last_batch() const
{
	return skeleton_->bss->batch;
}

void Program::commit()
{
	records_->commit();
	packets_->commit();
}

// One element per CPU.
Result<std::vector<tcpwin_counters>> Program::counters_of(std::uint32_t entry) const
{
	const int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return fail("cannot read the counters", describe_errno(cpus));
	std::vector<tcpwin_counters> each(static_cast<std::size_t>(cpus));
	if (int error = bpf_map__lookup_elem(skeleton_->maps.counters, &entry, sizeof(entry), each.data(),
					     each.size() * sizeof(each[0]), 0))
		return fail("cannot read the counters", describe_errno(error));
	return each;
}

// Adds to the counters of the first CPU in the entry for carried counters, which no program writes.
Result<void> Program::carry(const tcpwin_counters &counters)
{
	const std::uint32_t entry = TCPWIN_COUNTERS_CARRIED;
	auto each = TRY(counters_of(entry));
	add_counters(each.at(0), counters);
	if (int error = bpf_map__update_elem(skeleton_->maps.counters, &entry, sizeof(entry), each.data(),
					     each.size() * sizeof(each.at(0)), BPF_ANY))
		return fail("cannot carry the counters over", describe_errno(error));
	return {};
}

Result<tcpwin_counters> Program::counters() const
{
	tcpwin_counters sum{};
	for (std::uint32_t entry = 0; entry < TCPWIN_COUNTERS_ENTRIES; entry++) {
		auto each = TRY(counters_of(entry));
		for (const tcpwin_counters &cpu : each)
			add_counters(sum, cpu);
	}
	return sum;
}

} // namespace tcpwin
