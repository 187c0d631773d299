// SPDX-License-Identifier: Apache-2.0
#include "cli/files.hpp"

#include <optional>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tcpwin {
namespace {

// A regular file, whatever its name.
struct FileIdentity {
	dev_t device;
	ino_t inode;

	bool operator==(const FileIdentity &) const = default;
};

// standard: the descriptor that - means. Nothing for pipes, devices, and what does not exist.
std::optional<FileIdentity> identify(const std::string &path, int standard)
{
	struct stat status{};
	if ((path == "-" ? fstat(standard, &status) : stat(path.c_str(), &status)) != 0 || !S_ISREG(status.st_mode))
		return std::nullopt;
	return FileIdentity{status.st_dev, status.st_ino};
}

Result<void> check_output(const std::string &option, const std::string &path, const std::vector<std::string> &inputs)
{
	const auto output = identify(path, STDOUT_FILENO);
	for (const std::string &input : inputs)
		if (output && output == identify(input, STDIN_FILENO))
			return fail("wrong usage",
				    fmt::format("{} {} is the same file as the input {}", option, path, input),
				    "choose another file for the output", Exit::usage);
	return {};
}

} // namespace

Result<void> check_outputs(const OutputOptions &outputs, const std::vector<std::string> &inputs)
{
	TRY(check_output("--output", outputs.flows.path, inputs));
	if (outputs.packets.empty())
		return {};
	TRY(check_output("--packets", outputs.packets, inputs));
	const auto packets = identify(outputs.packets, STDOUT_FILENO);
	if (packets && packets == identify(outputs.flows.path, STDOUT_FILENO))
		return fail("wrong usage", fmt::format("--packets and --output are the same ({})", outputs.packets),
			    "send one of them to another file", Exit::usage);
	return {};
}

} // namespace tcpwin
