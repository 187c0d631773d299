// SPDX-License-Identifier: Apache-2.0
// What is to be explained, told by its content.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

enum class InputKind { empty, json, t2, capture, other };

// By the first bytes of a file.
InputKind kind_of(std::string_view start);

class Input {
public:
	// path "-": standard input.
	static Result<Input> open(const std::string &path);

	const std::string &name() const { return name_; }
	// Looks at the first bytes without taking them, so that a capture reader may begin at the first. Waits
	// for the first ones of a pipe. Of a terminal or socket, which cannot be looked at: json.
	Result<InputKind> kind() const;
	int fd() const { return fd_.get(); }

private:
	Input(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

	UniqueFd fd_;
	std::string name_;
};

class LineReader {
public:
	explicit LineReader(const Input &input) : input_(input) {}

	// The next line without its end, valid until the next call; nothing at the end of the file.
	Result<std::optional<std::string_view>> next();
	std::uint64_t number() const { return number_; }
	// Whether the last line had an end: one without may have been cut.
	bool was_ended() const { return ended_; }

private:
	Result<bool> fill();

	const Input &input_;
	std::string buffer_;
	std::size_t begin_ = 0;   // of the next line
	std::size_t scanned_ = 0; // no end of a line before
	std::uint64_t number_ = 0;
	bool ended_ = true;
	bool at_end_ = false;
};

} // namespace tcpwin
