// SPDX-License-Identifier: Apache-2.0
#include "bpf/packets_in_flight.hpp"

#include <chrono>
#include <thread>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tcpwin {

void wait_for_packets_in_flight()
{
	using namespace std::chrono_literals;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
		std::this_thread::sleep_for(100ms); // nohz_full kernels do not have this barrier
}

} // namespace tcpwin
