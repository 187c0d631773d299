// SPDX-License-Identifier: Apache-2.0
// Reopens files for an agent that can no longer open any.
//
// A separate process (helper_process.hpp) keeps the privileges for opening files and does nothing else: it receives the
// number of a file and sends back a descriptor. The list of files is fixed at the start.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

class ReopenHelper {
public:
	struct File {
		std::string path;
		bool for_appending; // and created if missing; false: for reading
	};

	// See start_helper. Without files, no process is started.
	static Result<ReopenHelper> start(std::vector<File> files);

	// Opens one of the files passed to start(); regular files only.
	Result<UniqueFd> open(const std::string &path);

private:
	ReopenHelper(std::vector<File> files, UniqueFd socket) : files_(std::move(files)), socket_(std::move(socket)) {}
	Result<UniqueFd> request(std::uint8_t number, const std::string &what);

	std::vector<File> files_;
	UniqueFd socket_;
};

} // namespace tcpwin
