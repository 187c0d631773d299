// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>

#include "error.hpp"

namespace tcpwin {

// A stream of the decompressed content of fd, or of the content itself if it is
// not compressed. The stream owns fd. problem, which must outlive the stream,
// says what was wrong with the compressed data once a read has failed.
Result<FILE *> open_decompressed(int fd, const std::string &name, std::string &problem);

} // namespace tcpwin
