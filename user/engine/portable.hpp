// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "engine/engine.hpp"

namespace tcpwin {

// Tracks flows in user space, at the time of the frames. Memory grows with the live flows and those that ended shortly
// before.
std::unique_ptr<Engine> make_portable_engine(const TrackingOptions &options, FlowObserver &observer);

} // namespace tcpwin
