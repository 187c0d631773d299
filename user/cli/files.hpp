// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "sinks/outputs.hpp"

namespace tcpwin {

// To be called before the outputs are opened, which truncates them. Error: an output is one of the inputs, or the outputs
// are one file, whatever its names. Empty inputs are ignored, - is standard input.
Result<void> check_outputs(const OutputOptions &outputs, const std::vector<std::string> &inputs);

} // namespace tcpwin
