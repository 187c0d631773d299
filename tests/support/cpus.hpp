// SPDX-License-Identifier: Apache-2.0
//
// The CPUs that may be used, and pinning threads to one.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <system_error>
#include <vector>

namespace tcpwin::test {

inline std::vector<int> usable_cpus()
{
	cpu_set_t set;
	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	std::vector<int> cpus;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus.push_back(cpu);
	return cpus;
}

inline void pin_to(int cpu) // the calling thread
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (int error = pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		throw std::system_error(error, std::generic_category(), "pin a thread");
}

} // namespace tcpwin::test
