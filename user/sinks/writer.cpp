// SPDX-License-Identifier: Apache-2.0
#include "sinks/writer.hpp"

namespace tcpwin {

Result<void> Writer::flush(Signals &signals)
{
	Result<void> written;
	if (!failed_)
		written = output_.write({buffer_.data(), buffer_.size()}, signals);
	failed_ = failed_ || !written;
	if (failed_)
		unwritten_ += records_in_buffer_;
	records_in_buffer_ = 0;
	buffer_.clear();
	return written;
}

Result<void> Writer::flush_if_large(Signals &signals)
{
	return is_large() ? flush(signals) : Result<void>{};
}

} // namespace tcpwin
