// SPDX-License-Identifier: Apache-2.0
#include "bpf/program.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <tcpwin.skel.h>

#include "bpf/features.hpp"
#include "unique_fd.hpp"

namespace tcpwin {
namespace {

constexpr std::uint32_t packet_ring_size = 64 * 1024 * 1024; // some 600,000 packets
constexpr std::string_view needed_capabilities = "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";

// The verifier's log comes as one text, which can be long.
int log_libbpf(libbpf_print_level, const char *format, va_list arguments)
{
	if (!spdlog::should_log(spdlog::level::debug))
		return 0;
	va_list again;
	va_copy(again, arguments);
	std::string text(static_cast<std::size_t>(std::max(0, vsnprintf(nullptr, 0, format, again))), '\0');
	va_end(again);
	vsnprintf(text.data(), text.size() + 1, format, arguments);
	while (!text.empty() && text.back() == '\n')
		text.pop_back();
	spdlog::debug("{}", text);
	return 0;
}

std::uint64_t boottime_ns()
{
	timespec now{};
	clock_gettime(CLOCK_BOOTTIME, &now);
	return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

tl::unexpected<Error> explain_load_error(int error, std::uint32_t max_flows)
{
	if (error == -EPERM) // EACCES is the verifier, not a lack of rights
		return fail("cannot load the BPF programs", describe_errno(EPERM), std::string(needed_capabilities),
			    Exit::no_permission);
	if (auto missing = find_missing_feature())
		return fail("cannot load the BPF programs",
			    fmt::format("this kernel has no {}", missing->name),
			    fmt::format("Linux {} or later has it", missing->since), Exit::unsupported);
	if (error == -ENOMEM || error == -E2BIG)
		return fail(fmt::format("cannot make a flow table of {} entries", max_flows), describe_errno(error),
			    "lower --max-flows");
	return fail("cannot load the BPF programs", describe_errno(error),
		    "--verbose shows the kernel's reason", Exit::unsupported);
}

} // namespace

// Two buffers, each with a reader of its own, so that packets never stand in the way of records.
struct Program::Ring {
	ring_buffer *records = nullptr;
	ring_buffer *packets = nullptr;
	UniqueFd poll; // both
	const TakeRecord *take_record = nullptr;
	const TakePacket *take_packet = nullptr;
	bool table_full = false;

	static int on_record(void *context, void *data, std::size_t size)
	{
		auto *ring = static_cast<Ring *>(context);
		if (size == sizeof(tcpwin_record))
			(*ring->take_record)(*static_cast<const tcpwin_record *>(data));
		else if (size == sizeof(tcpwin_table_full))
			ring->table_full = true;
		return 0;
	}

	static int on_packet(void *context, void *data, std::size_t)
	{
		(*static_cast<Ring *>(context)->take_packet)(*static_cast<const tcpwin_packet_event *>(data));
		return 0;
	}
};

void Program::Skeleton::operator()(tcpwin_bpf *skeleton) const
{
	tcpwin_bpf__destroy(skeleton);
}

void Program::RingDeleter::operator()(Ring *ring) const
{
	ring_buffer__free(ring->records);
	ring_buffer__free(ring->packets);
	delete ring;
}

Result<Program> Program::load(const ProgramOptions &options)
{
	libbpf_set_print(log_libbpf);

	Program program;
	program.max_flows_ = options.max_flows;
	program.skeleton_.reset(tcpwin_bpf__open());
	tcpwin_bpf *skeleton = program.skeleton_.get();
	if (!skeleton)
		return explain_load_error(-errno, options.max_flows);
	bpf_map__set_max_entries(skeleton->maps.flows, options.max_flows);
	if (options.report_packets)
		bpf_map__set_max_entries(skeleton->maps.packets, packet_ring_size);
	for (bpf_program *live : {skeleton->progs.tcpwin_xdp, skeleton->progs.tcpwin_ingress,
				  skeleton->progs.tcpwin_egress})
		bpf_program__set_autoload(live, !options.test_runs);
	bpf_program__set_autoload(skeleton->progs.tcpwin_xdp_at, options.test_runs);
	skeleton->data->config = options.config;
	skeleton->rodata->report_packets = options.report_packets;
	skeleton->rodata->per_interface = options.per_interface;
	if (int error = tcpwin_bpf__load(skeleton))
		return explain_load_error(error, options.max_flows);
	if (auto opened = program.open_rings(); !opened)
		return tl::unexpected(opened.error());
	return program;
}

Result<void> Program::open_rings()
{
	ring_.reset(new Ring);
	ring_->records =
		ring_buffer__new(bpf_map__fd(skeleton_->maps.records), Ring::on_record, ring_.get(), nullptr);
	ring_->packets =
		ring_buffer__new(bpf_map__fd(skeleton_->maps.packets), Ring::on_packet, ring_.get(), nullptr);
	ring_->poll = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
	if (!ring_->records || !ring_->packets || !ring_->poll)
		return fail("cannot read the ring buffers", describe_errno(errno));
	epoll_event event{};
	event.events = EPOLLIN;
	for (ring_buffer *ring : {ring_->records, ring_->packets})
		if (epoll_ctl(ring_->poll.get(), EPOLL_CTL_ADD, ring_buffer__epoll_fd(ring), &event) != 0)
			return fail("cannot poll the ring buffers", describe_errno(errno));
	return {};
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
			    error == -E2BIG ? fmt::format("{} are watched already", TCPWIN_MAX_INTERFACES) :
					      describe_errno(error));
	return {};
}

void Program::remove_interface(unsigned ifindex)
{
	bpf_map__delete_elem(skeleton_->maps.interfaces, &ifindex, sizeof(ifindex), 0);
}

int Program::ring_fd() const
{
	return ring_->poll.get();
}

Result<tcpwin_sweep> Program::sweep(tcpwin_sweep sweep)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &sweep, .ctx_size_in = sizeof(sweep));
	if (int error = bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.tcpwin_sweep), &options))
		return fail("cannot sweep the flow table", describe_errno(error));
	due_ns_ = sweep.due_ns;
	return sweep;
}

bool Program::is_due() const
{
	const std::uint64_t noted = *static_cast<const volatile __u64 *>(&skeleton_->bss->due_ns); // packets write it
	return boottime_ns() >= std::min(due_ns_, noted);
}

Result<void> Program::run_at(std::span<const std::uint8_t> frame, std::uint32_t wire_length, std::uint64_t now_ns)
{
	const tcpwin_test_frame meta{now_ns, wire_length, 0};
	const auto *meta_bytes = reinterpret_cast<const std::uint8_t *>(&meta);
	test_frame_.assign(meta_bytes, meta_bytes + sizeof(meta));
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

void Program::drain(const TakeRecord &take)
{
	ring_->take_record = &take;
	ring_buffer__consume(ring_->records);
	ring_->take_record = nullptr;
}

void Program::drain_packets(const TakePacket &take)
{
	ring_->take_packet = &take;
	ring_buffer__consume(ring_->packets);
	ring_->take_packet = nullptr;
}

bool Program::table_full() const
{
	return ring_->table_full;
}

bool Program::take_table_full()
{
	return std::exchange(ring_->table_full, false);
}

Result<tcpwin_counters> Program::counters() const
{
	const int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return fail("cannot read the counters", describe_errno(cpus));

	std::vector<tcpwin_counters> each(static_cast<std::size_t>(cpus));
	const std::uint32_t only = 0;
	if (int error = bpf_map__lookup_elem(skeleton_->maps.counters, &only, sizeof(only), each.data(),
					     each.size() * sizeof(each[0]), 0))
		return fail("cannot read the counters", describe_errno(error));
	tcpwin_counters sum{};
	for (const tcpwin_counters &cpu : each) {
		for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++)
			sum.value[i] += cpu.value[i];
		sum.peak_flows = std::max(sum.peak_flows, cpu.peak_flows);
	}
	return sum;
}

} // namespace tcpwin
