// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>

#include "error.hpp"

namespace tcpwin {

// A stream of the decompressed content of fd, or of the content itself if it is
// not compressed. The stream owns fd. It ends early when stop_fd (or -1) becomes
// readable while fd, a pipe or terminal, is waited for. problem, which must
// outlive the stream, says what was wrong with the data once a read has failed.
Result<FILE *> open_decompressed(int fd, int stop_fd, const std::string &name, std::string &problem);

} // namespace tcpwin
