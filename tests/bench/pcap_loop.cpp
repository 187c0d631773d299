// SPDX-License-Identifier: Apache-2.0
// The bare libpcap loop: the cost of reading a capture without processing it.
#include <cstdint>
#include <cstdio>

#include <pcap/pcap.h>

int main(int argc, char **argv)
{
	if (argc != 2) {
		std::fprintf(stderr, "usage: pcap_loop FILE\n");
		return 2;
	}
	char error[PCAP_ERRBUF_SIZE] = "";
	pcap_t *capture = pcap_open_offline_with_tstamp_precision(argv[1], PCAP_TSTAMP_PRECISION_NANO, error);
	if (!capture) {
		std::fprintf(stderr, "pcap_loop: %s\n", error);
		return 1;
	}
	std::uint64_t packets = 0, bytes = 0;
	pcap_pkthdr *header = nullptr;
	const u_char *data = nullptr;
	int got;
	while ((got = pcap_next_ex(capture, &header, &data)) == 1) {
		packets++;
		bytes += header->len; // printed, so that the loop cannot be optimized away
	}
	if (got == PCAP_ERROR)
		std::fprintf(stderr, "pcap_loop: %s\n", pcap_geterr(capture));
	pcap_close(capture);
	std::printf("%llu packets, %llu bytes\n", static_cast<unsigned long long>(packets),
		    static_cast<unsigned long long>(bytes));
	return got == PCAP_ERROR;
}
