// SPDX-License-Identifier: Apache-2.0
#include "bpf/program.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <tcpwin.skel.h>

#include "bpf/features.hpp"

namespace tcpwin {
namespace {

constexpr std::string_view needed_capabilities = "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";

int log_libbpf(libbpf_print_level, const char *format, va_list arguments)
{
	char line[4096];
	int length = vsnprintf(line, sizeof(line), format, arguments);
	while (length > 0 && static_cast<std::size_t>(length) < sizeof(line) && line[length - 1] == '\n')
		line[--length] = '\0';
	spdlog::debug("{}", line);
	return length;
}

// Packets write it meanwhile.
std::uint64_t flows_numbered(const tcpwin_bpf *skeleton)
{
	return *static_cast<const volatile __u64 *>(&skeleton->bss->flows_numbered);
}

tl::unexpected<Error> explain_load_error(int error, std::uint32_t max_flows)
{
	if (error == -EPERM || error == -EACCES)
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

struct Program::Ring {
	ring_buffer *buffer = nullptr;
	const std::function<void(const tcpwin_record &)> *take = nullptr;
	bool table_full = false;

	static int on_sample(void *context, void *data, std::size_t size)
	{
		auto *ring = static_cast<Ring *>(context);
		if (size == sizeof(tcpwin_record))
			(*ring->take)(*static_cast<const tcpwin_record *>(data));
		else if (size == sizeof(tcpwin_table_full))
			ring->table_full = true;
		return 0;
	}
};

void Program::Skeleton::operator()(tcpwin_bpf *skeleton) const
{
	tcpwin_bpf__destroy(skeleton);
}

void Program::RingDeleter::operator()(Ring *ring) const
{
	ring_buffer__free(ring->buffer);
	delete ring;
}

Result<Program> Program::load(std::uint32_t max_flows, const tcpwin_config &config)
{
	libbpf_set_print(log_libbpf);

	Program program;
	program.max_flows_ = max_flows;
	program.skeleton_.reset(tcpwin_bpf__open());
	if (!program.skeleton_)
		return explain_load_error(-errno, max_flows);
	bpf_map__set_max_entries(program.skeleton_->maps.flows, max_flows);
	program.skeleton_->data->config = config;
	if (int error = tcpwin_bpf__load(program.skeleton_.get()))
		return explain_load_error(error, max_flows);
	if (auto opened = program.open_ring(); !opened)
		return tl::unexpected(opened.error());
	return program;
}

Result<void> Program::open_ring()
{
	ring_.reset(new Ring);
	ring_->buffer = ring_buffer__new(bpf_map__fd(skeleton_->maps.records), Ring::on_sample, ring_.get(), nullptr);
	if (!ring_->buffer)
		return fail("cannot read the ring buffer", describe_errno(errno));
	return {};
}

int Program::xdp_fd() const
{
	return bpf_program__fd(skeleton_->progs.tcpwin_xdp);
}

int Program::ring_fd() const
{
	return ring_buffer__epoll_fd(ring_->buffer);
}

Result<tcpwin_sweep> Program::sweep(bool shutdown, std::uint64_t linger_ns)
{
	tcpwin_sweep sweep{};
	sweep.shutdown = shutdown;
	sweep.linger_ns = linger_ns;
	numbered_at_sweep_ = flows_numbered(skeleton_.get()); // before: what comes meanwhile counts as new
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &sweep, .ctx_size_in = sizeof(sweep));
	if (int error = bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.tcpwin_sweep), &options))
		return fail("cannot sweep the flow table", describe_errno(error));
	remaining_at_sweep_ = sweep.remaining;
	return sweep;
}

bool Program::is_idle() const
{
	return remaining_at_sweep_ == 0 && numbered_at_sweep_ == flows_numbered(skeleton_.get());
}

std::size_t Program::drain(const std::function<void(const tcpwin_record &)> &take)
{
	std::size_t taken = 0;
	const std::function<void(const tcpwin_record &)> counted = [&](const tcpwin_record &record) {
		taken++;
		take(record);
	};
	ring_->take = &counted;
	ring_buffer__consume(ring_->buffer);
	ring_->take = nullptr;
	return taken;
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
