// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "engine/engine.hpp"

namespace tcpwin {

// Runs the real XDP program and sweep with BPF_PROG_TEST_RUN. Needs root or CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON.
Result<std::unique_ptr<Engine>> make_kernel_engine(const TrackingOptions &options, FlowObserver &observer);

} // namespace tcpwin
