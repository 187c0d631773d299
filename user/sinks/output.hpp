// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

struct FilePlace {
	std::uint64_t device;
	std::uint64_t inode;
	std::uint64_t offset;
};

// The destination of records: a file or standard output. Unbuffered.
class Output {
public:
	// path "-": standard output. An existing file is truncated, or, with append, continued after its last complete line.
	static Result<Output> open(const std::string &path, bool append = false);

	// Writes all of text. If the reader of a pipe or terminal is blocked, waits until a second stop signal.
	Result<void> write(std::string_view text, Signals &signals);

	// Continues in fd, a file of the same name opened for appending, and closes the old one.
	Result<void> continue_in(UniqueFd fd);
	// Whether it is a regular file, whose name may meanwhile refer to another file.
	bool can_be_reopened() const;

	int fd() const { return fd_.get(); }
	// Whether a reader can disappear, which is worth polling for.
	bool has_reader() const { return has_reader_; }
	const std::string &name() const { return name_; }
	// The file and offset of the next bytes; nothing unless it is a regular file.
	std::optional<FilePlace> place() const;
	// Truncates the file to this offset.
	void cut(std::uint64_t offset);
	// Whether the file already has lines.
	bool is_continued() const { return continued_; }

private:
	Output(UniqueFd fd, std::string name, bool has_reader, bool continued)
		: fd_(std::move(fd)), name_(std::move(name)), has_reader_(has_reader), continued_(continued)
	{
	}
	Result<void> wait_for_reader(Signals &signals);

	UniqueFd fd_;
	std::string name_;
	bool has_reader_;
	bool continued_;
};

} // namespace tcpwin
