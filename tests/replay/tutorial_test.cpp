// SPDX-License-Identifier: Apache-2.0
// Read this beside the tutorial "Flow timeout programming" of Tranalyzer2
// (https://tranalyzer.com/tutorial/pluginflowtimeouts). tutorial.pcap contains
// only the connection of the tutorial: its packets 6 to 14 are packets 1418 to
// 1426 of the tutorial (same times, flags and windows), between a beginning and
// an end of the connection. Its flows 1, 2, 3 are flows 44, 45, 47 of the tutorial.
#include "replay/outcome.hpp"

namespace tcpwin::test {
namespace {

using std::chrono_literals::operator""s;

tcpwin_config with(std::chrono::nanoseconds timeout_est, std::uint32_t abort_count)
{
	tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	config.timeout_ns[TCPWIN_TIMEOUT_EST] = static_cast<__u64>(timeout_est.count());
	config.abort_count = abort_count;
	return config;
}

Outcome run_tutorial(const tcpwin_config &config)
{
	return run_portable(frames_of(capture("tutorial/tutorial.pcap")), config);
}

// 1418 and 1419 carry the last data of flow 44. 1420 closes the window (count 1); 1422 answers the probe 1421, again
// with a closed window (count 2): state 0x04, timeout 1 ms. The next probe, 1423, comes 671 ms later and starts flow
// 45, in which the server is A. 1425 opens the window.
TEST(Tutorial, Packets1418To1426)
{
	const tcpwin_config config = with(1s, 2);
	EXPECT_EQ(squeeze(packet_text(run_tutorial(config).packets, config)), squeeze(R"(
pktNo flowInd dir time                 pktIAT      flowDuration srcIP         srcPort dstIP         dstPort vlan tcpWinStat tcpWinState tcpWin tcpWinThCnt flowTmout
 1    1       A   1258594163.408285000 0.000000000 0.000000000  192.168.1.105 49330   143.166.11.10 64334   -    0x02       0x01         8192  0           2.200000
 2    1       B   1258594163.487027000 0.000000000 0.000000000  143.166.11.10 64334   192.168.1.105 49330   -    0x12       0x01        65535  0           2.200000
 3    1       A   1258594163.487300000 0.079015000 0.079015000  192.168.1.105 49330   143.166.11.10 64334   -    0x12       0x01        64860  0           1.000000
 4    1       A   1258594164.273745000 0.786445000 0.865460000  192.168.1.105 49330   143.166.11.10 64334   -    0x12       0x01        64860  0           1.000000
 5    1       B   1258594164.283560000 0.796533000 0.796533000  143.166.11.10 64334   192.168.1.105 49330   -    0x1a       0x01        64860  0           1.000000
 6    1       B   1258594164.283567000 0.000007000 0.796540000  143.166.11.10 64334   192.168.1.105 49330   -    0x1a       0x01        64860  0           1.000000
 7    1       A   1258594164.283986000 0.010241000 0.875701000  192.168.1.105 49330   143.166.11.10 64334   -    0x12       0x01         2760  0           1.000000
 8    1       A   1258594164.283988000 0.000002000 0.875703000  192.168.1.105 49330   143.166.11.10 64334   -    0x92       0x01            0  1           1.000000
 9    1       B   1258594164.647545000 0.363978000 1.160518000  143.166.11.10 64334   192.168.1.105 49330   -    0x1a       0x01        64860  0           1.000000
10    1       A   1258594164.647755000 0.363767000 1.239470000  192.168.1.105 49330   143.166.11.10 64334   -    0xd2       0x04            0  2           0.001000
11    2       A   1258594165.318635000 0.000000000 0.000000000  143.166.11.10 64334   192.168.1.105 49330   -    0x10       0x02        64860  0           1.000000
12    2       B   1258594165.319087000 0.000000000 0.000000000  192.168.1.105 49330   143.166.11.10 64334   -    0x90       0x02            0  1           1.000000
13    2       B   1258594165.848253000 0.529166000 0.529166000  192.168.1.105 49330   143.166.11.10 64334   -    0x90       0x02        22080  1           1.000000
14    2       B   1258594165.848753000 0.000500000 0.529666000  192.168.1.105 49330   143.166.11.10 64334   -    0x90       0x02        64860  1           1.000000
15    2       A   1258594166.100000000 0.781365000 0.781365000  143.166.11.10 64334   192.168.1.105 49330   -    0x18       0x02        64860  0           1.000000
16    2       A   1258594166.300000000 0.200000000 0.981365000  143.166.11.10 64334   192.168.1.105 49330   -    0x19       0x04        64860  0           1.000000
17    2       B   1258594166.300460000 0.451707000 0.981373000  192.168.1.105 49330   143.166.11.10 64334   -    0x90       0x02        64860  1           1.000000
18    3       A   1258594191.015208000 0.000000000 0.000000000  192.168.1.105 49330   143.166.11.10 64334   -    0x94       0x04            0  1           1.000000
)"));
}

// Flow 44 is aborted (0x40) by 1422, together with its reverse flow. Flow 47 is the final reset, with window 0.
TEST(Tutorial, Flows44And45And47)
{
	const tcpwin_config config = with(1s, 2);
	EXPECT_EQ(squeeze(flow_text(run_tutorial(config).flows, config)), squeeze(R"(
%dir flowInd timeFirst            timeLast             duration    vlan srcIP         srcPort dstIP         dstPort l4Proto tcpWinStat tcpWinState tcpWinThCnt
A    1       1258594163.408285000 1258594164.647755000 1.239470000 -    192.168.1.105 49330   143.166.11.10 64334   6       0xd2       0x04        2
B    1       1258594163.487027000 1258594164.647545000 1.160518000 -    143.166.11.10 64334   192.168.1.105 49330   6       0x1a       0x04        0
A    2       1258594165.318635000 1258594166.300000000 0.981365000 -    143.166.11.10 64334   192.168.1.105 49330   6       0x19       0x04        0
B    2       1258594165.319087000 1258594166.300460000 0.981373000 -    192.168.1.105 49330   143.166.11.10 64334   6       0x90       0x02        1
A    3       1258594191.015208000 1258594191.015208000 0.000000000 -    192.168.1.105 49330   143.166.11.10 64334   6       0x94       0x04        1
)"));
}

// EST 4.0 s alone does not join flows 44 and 45: the abort comes first, and its timeout is still 1 ms.
TEST(Tutorial, ALongerTimeoutAloneChangesNothing)
{
	const tcpwin_config tutorial = with(1s, 2), longer = with(4s, 2);
	EXPECT_EQ(flow_text(run_tutorial(longer).flows, longer), flow_text(run_tutorial(tutorial).flows, tutorial));
}

// The exercise of the tutorial, EST 4.0 s and abort count 3, joins flows 44 and 45. The flow survives two zero windows;
// the third, 1424, aborts it. The next packet, 1425, comes 529 ms later and starts flow 2.
TEST(Tutorial, TheExerciseJoinsFlows44And45)
{
	const tcpwin_config config = with(4s, 3);
	EXPECT_EQ(squeeze(flow_text(run_tutorial(config).flows, config)), squeeze(R"(
%dir flowInd timeFirst            timeLast             duration    vlan srcIP         srcPort dstIP         dstPort l4Proto tcpWinStat tcpWinState tcpWinThCnt
A    1       1258594163.408285000 1258594165.319087000 1.910802000 -    192.168.1.105 49330   143.166.11.10 64334   6       0xd2       0x04        3
B    1       1258594163.487027000 1258594165.318635000 1.831608000 -    143.166.11.10 64334   192.168.1.105 49330   6       0x1a       0x04        0
A    2       1258594165.848253000 1258594166.300460000 0.452207000 -    192.168.1.105 49330   143.166.11.10 64334   6       0x10       0x02        0
B    2       1258594166.100000000 1258594166.300000000 0.200000000 -    143.166.11.10 64334   192.168.1.105 49330   6       0x19       0x04        0
A    3       1258594191.015208000 1258594191.015208000 0.000000000 -    192.168.1.105 49330   143.166.11.10 64334   6       0x94       0x04        1
)"));
}

} // namespace
} // namespace tcpwin::test
