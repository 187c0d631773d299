// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tcpwin {

// Shows libbpf's messages, the verifier's log included, only with --verbose; the agent's own messages describe errors.
void log_libbpf();

} // namespace tcpwin
