// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tcpwin {

// What libbpf has to say, the verifier's log included, is for --verbose: errors are told in sentences of our own.
void log_libbpf();

} // namespace tcpwin
