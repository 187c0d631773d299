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

// Where records go: a file, or standard output. Nothing is buffered here.
class Output {
public:
	// path "-": standard output. An existing file is emptied, or gone on with after its last whole line.
	static Result<Output> open(const std::string &path, bool append = false);

	// Writes all of text. Where the reader of a pipe or terminal does not read,
	// it waits, until a second stop signal.
	Result<void> write(std::string_view text, Signals &signals);

	// A file of this name, opened for appending, from now on; the old one is closed.
	Result<void> go_on_in(UniqueFd fd);
	// A regular file, whose name may lead to another one by now.
	bool can_be_reopened() const;

	int fd() const { return fd_.get(); }
	// A reader can go away: worth polling for.
	bool has_reader() const { return has_reader_; }
	const std::string &name() const { return name_; }
	// Where in which file the next bytes go; nothing if it is no regular file.
	std::optional<FilePlace> place() const;
	// Takes back what comes after this offset.
	void cut(std::uint64_t offset);
	// A file that has lines already.
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
