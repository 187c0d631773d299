// SPDX-License-Identifier: Apache-2.0
// The input of explain, whose kind is detected by its content.
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
	// Peeks at the first bytes without consuming them, because a capture reader starts at the first byte. Waits for
	// the first bytes of a pipe. Terminals and sockets, which cannot be peeked at, count as json.
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

	// The next line without its newline, valid until the next call; nothing at the end of the file.
	Result<std::optional<std::string_view>> next();
	std::uint64_t number() const { return number_; }
	// Whether the last line ended with a newline; without one it may have been cut.
	bool was_ended() const { return ended_; }

private:
	Result<bool> fill();

	const Input &input_;
	std::string buffer_;
	std::size_t begin_ = 0;   // of the next line
	std::size_t scanned_ = 0; // there is no newline before
	std::uint64_t number_ = 0;
	bool ended_ = true;
	bool at_end_ = false;
};

} // namespace tcpwin
