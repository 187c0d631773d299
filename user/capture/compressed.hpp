// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>

#include "capture/interruptions.hpp"
#include "base/error.hpp"

namespace tcpwin {

// A stream of the decompressed content of fd, or of the content itself if it is
// not compressed. The stream owns fd. interruptions, which may be null, hold while
// fd, a pipe or terminal, is waited for. They and problem, which says what was wrong
// with the data once a read has failed, must outlive the stream.
Result<FILE *> open_decompressed(int fd, const Interruptions *interruptions, const std::string &name,
				 std::string &problem);

} // namespace tcpwin
