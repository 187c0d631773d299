// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tcpwin {

// The user and group that an agent started by root switches to.
constexpr unsigned nobody = 65534;

} // namespace tcpwin
