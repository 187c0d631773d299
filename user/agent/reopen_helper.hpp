// SPDX-License-Identifier: Apache-2.0
// Opens some files again for an agent that may open nothing any more (privilege separation, as in OpenSSH).
//
// A process of its own keeps what that takes, and does nothing else: it gets the number of a file through a socket, and
// sends a descriptor back. It knows the names from its start, has no other descriptors, and ends with the agent, however
// that ends.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

class FileOpener {
public:
	struct File {
		std::string path;
		bool for_appending; // created if it does not exist; else for reading
	};

	// Before there is anything that the process must not inherit: maps stay mapped in it. No files: no process.
	static Result<FileOpener> start(std::vector<File> files);

	// One of those that it was started with. Only regular files.
	Result<UniqueFd> open(const std::string &path);

private:
	FileOpener(std::vector<File> files, UniqueFd socket) : files_(std::move(files)), socket_(std::move(socket)) {}
	Result<UniqueFd> request(std::uint8_t number, const std::string &what);

	std::vector<File> files_;
	UniqueFd socket_;
};

} // namespace tcpwin
