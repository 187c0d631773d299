// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "engine/engine.hpp"

namespace tcpwin {

// In user space; time is the frames' own. Memory grows with live flows, and those that ended shortly before.
std::unique_ptr<Engine> make_portable_engine(const EngineOptions &options, FlowObserver &observer);

} // namespace tcpwin
