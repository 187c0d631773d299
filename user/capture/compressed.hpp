// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>

#include "base/error.hpp"
#include "capture/interruptions.hpp"

namespace tcpwin {

// Opens a stream of the decompressed contents of fd, or of the contents themselves if they are not compressed. The stream
// owns fd. interruptions: handled while waiting for a pipe or terminal; null: none. problem: after a failed read, what
// is wrong with the data. Both must outlive the stream.
Result<FILE *> open_decompressed(int fd, const Interruptions *interruptions, const std::string &name,
				 std::string &problem);

} // namespace tcpwin
