// SPDX-License-Identifier: Apache-2.0
#include "capture/reader.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <pcap/pcap.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/compressed.hpp"

namespace tcpwin {
namespace {

std::optional<LinkType> link_type(int dlt)
{
	switch (dlt) {
	case DLT_EN10MB:
		return LinkType::ethernet;
	case DLT_RAW:
	case 14: // OpenBSD's DLT_RAW
	case DLT_IPV4:
	case DLT_IPV6:
		return LinkType::raw_ip;
	case DLT_LINUX_SLL:
		return LinkType::linux_sll;
	case DLT_LINUX_SLL2:
		return LinkType::linux_sll2;
	case DLT_NULL:
		return LinkType::null;
	case DLT_LOOP:
		return LinkType::loop;
	case DLT_PPP:
	case DLT_PPP_SERIAL:
		return LinkType::ppp;
	default:
		return std::nullopt;
	}
}

constexpr std::int64_t latest_second = 9'000'000'000; // year 2255: nanoseconds plus any timeout still fit

// The seconds of a pcap file are unsigned, but libpcap returns those from 2038 on as negative. Invalid times are clamped
// to a range in which sums do not overflow.
std::uint64_t nanoseconds(const timeval &time)
{
	const std::int64_t wrapped = time.tv_sec < 0 && time.tv_sec >= INT32_MIN ? std::int64_t{1} << 32 : 0;
	const std::int64_t seconds = std::clamp<std::int64_t>(time.tv_sec + wrapped, 0, latest_second);
	const std::int64_t fraction = std::clamp<std::int64_t>(time.tv_usec, 0, 999'999'999);
	return static_cast<std::uint64_t>(seconds * 1'000'000'000 + fraction);
}

// libpcap reads pcapng only if all interfaces have the link type and the snapshot length of the first one.
std::string advice_about(const std::string &problem, const char *otherwise)
{
	if (problem.find("different from the snapshot length") != std::string::npos)
		return "'editcap -F pcap FILE NEW.pcap' writes it as a file that can be read";
	if (problem.find("different from the type") != std::string::npos)
		return "read one interface after the other: 'tshark -r FILE -Y frame.interface_id==0 -w 0.pcapng' and "
		       "'editcap -F pcap -T ether 0.pcapng 0.pcap' write the first one as a file that can be read "
		       "(instead of ether: rawip, linux-sll or other, as 'capinfos -I FILE' shows)";
	return otherwise;
}

} // namespace

struct CaptureReader::State {
	std::string name;
	std::string problem; // see open_decompressed
	pcap_t *pcap = nullptr;
	bpf_program filter{};
	bool filtered = false;
	LinkType link = LinkType::ethernet;
	std::uint64_t number = 0;
	std::uint64_t size = 0;
	int fd = -1; // owned by pcap

	~State()
	{
		if (filtered)
			pcap_freecode(&filter);
		if (pcap)
			pcap_close(pcap);
	}
};

CaptureReader::CaptureReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
CaptureReader::CaptureReader(CaptureReader &&) noexcept = default;
CaptureReader &CaptureReader::operator=(CaptureReader &&) noexcept = default;
CaptureReader::~CaptureReader() = default;

Result<void> CaptureReader::check(const std::string &path)
{
	struct stat status{};
	if (path == "-")
		return {};
	if (access(path.c_str(), R_OK) != 0 || stat(path.c_str(), &status) != 0)
		return fail("cannot open " + path, describe_errno(errno));
	if (S_ISDIR(status.st_mode))
		return fail("cannot read " + path, "it is a directory");
	return {};
}

Result<CaptureReader> CaptureReader::open(const std::string &path, const std::string &filter,
					  const Interruptions *interruptions)
{
	auto state = std::make_unique<State>();
	const bool standard = path == "-";
	state->name = standard ? "standard input" : path;
	state->fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
	struct stat status{};
	if (state->fd < 0 || fstat(state->fd, &status) != 0)
		return fail("cannot open " + state->name, describe_errno(errno));
	if (S_ISDIR(status.st_mode)) {
		close(state->fd);
		return fail("cannot read " + state->name, "it is a directory");
	}
	state->size = S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;

	auto stream = TRY(open_decompressed(state->fd, interruptions, state->name, state->problem));
	char error[PCAP_ERRBUF_SIZE] = "";
	state->pcap = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, error);
	if (!state->pcap) {
		fclose(stream);
		const std::string problem = state->problem.empty() ? error : state->problem;
		return fail("cannot read " + state->name, problem,
			    advice_about(problem, "supported formats are pcap and pcapng, optionally compressed"));
	}
	const int dlt = pcap_datalink(state->pcap);
	const auto link = link_type(dlt);
	if (!link) {
		const char *dlt_name = pcap_datalink_val_to_name(dlt);
		return fail("cannot read " + state->name,
			    fmt::format("link type {} ({}) is not supported", dlt_name ? dlt_name : "unknown", dlt),
			    "Ethernet, raw IP, Linux cooked, null, loop and PPP are supported");
	}
	state->link = *link;
	if (!filter.empty()) {
		if (pcap_compile(state->pcap, &state->filter, filter.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0)
			return fail("cannot use --filter '" + filter + "'", pcap_geterr(state->pcap),
				    "see pcap-filter(7) for the syntax", Exit::usage);
		state->filtered = true;
	}
	return CaptureReader(std::move(state));
}

Result<std::optional<Frame>> CaptureReader::next()
{
	pcap_pkthdr *header = nullptr;
	const u_char *data = nullptr;
	while (true) {
		const int got = pcap_next_ex(state_->pcap, &header, &data);
		if (got == PCAP_ERROR_BREAK)
			return std::nullopt;
		if (got != 1) {
			const std::string problem =
				state_->problem.empty() ? pcap_geterr(state_->pcap) : state_->problem;
			return fail(fmt::format("cannot read {} beyond frame {}", state_->name, state_->number),
				    problem, advice_about(problem, "the records cover all earlier frames"));
		}
		state_->number++;
		if (!state_->filtered || pcap_offline_filter(&state_->filter, header, data))
			break;
	}
	return Frame{
		.data = data,
		.captured = header->caplen,
		.wire = std::max(header->caplen, header->len),
		.link = state_->link,
		.time_ns = nanoseconds(header->ts),
		.number = state_->number,
	};
}

std::uint64_t CaptureReader::number() const
{
	return state_->number;
}

std::uint64_t CaptureReader::position() const
{
	const off_t at = lseek(state_->fd, 0, SEEK_CUR);
	return at < 0 ? 0 : static_cast<std::uint64_t>(at);
}

std::uint64_t CaptureReader::size() const
{
	return state_->size;
}

} // namespace tcpwin
