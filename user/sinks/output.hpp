// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "error.hpp"
#include "stop_signal.hpp"
#include "unique_fd.hpp"

namespace tcpwin {

// Where records go: a file, or standard output. Nothing is buffered here.
class Output {
public:
	// path "-": standard output. An existing file is emptied.
	static Result<Output> open(const std::string &path);

	// Writes all of text. Where the reader of a pipe or terminal does not read,
	// it waits, until a second stop signal.
	Result<void> write(std::string_view text, StopSignal &stop);

	int fd() const { return fd_.get(); }
	// A reader can go away: worth polling for.
	bool has_reader() const { return has_reader_; }
	const std::string &name() const { return name_; }

private:
	Output(UniqueFd fd, std::string name, bool has_reader)
		: fd_(std::move(fd)), name_(std::move(name)), has_reader_(has_reader)
	{
	}
	Result<void> wait_for_reader(StopSignal &stop);

	UniqueFd fd_;
	std::string name_;
	bool has_reader_;
};

} // namespace tcpwin
