// SPDX-License-Identifier: Apache-2.0
#include "cli/files.hpp"

#include <filesystem>
#include <optional>
#include <utility>

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

using NamedOutput = std::pair<const char *, const std::string *>; // option and path

// The path of a file that does not exist yet, whatever its spelling. Empty if it exists, or is standard output.
std::filesystem::path new_file(const std::string &path)
{
	std::error_code error;
	const auto absolute = std::filesystem::absolute(path, error);
	if (path == "-" || error || std::filesystem::exists(absolute, error))
		return {};
	return std::filesystem::weakly_canonical(absolute, error);
}

bool are_same(const std::string &one, const std::string &other)
{
	if (one == other)
		return true;
	if (const auto file = identify(one, STDOUT_FILENO))
		return file == identify(other, STDOUT_FILENO);
	const auto path = new_file(one);
	return !path.empty() && path == new_file(other);
}

Result<void> check_difference(const NamedOutput &one, const NamedOutput &other)
{
	const auto &[option, path] = one;
	if (are_same(*path, *other.second))
		return fail("wrong usage", fmt::format("{} and {} are the same ({})", option, other.first, *path),
			    "send one of them to another file", Exit::usage);
	return {};
}

} // namespace

Result<void> check_outputs(const OutputOptions &outputs, const std::vector<std::string> &inputs)
{
	const NamedOutput all[] = {
		{"--output", &outputs.flows.path}, {"--packets", &outputs.packets}, {"--summary", &outputs.summary}};
	for (auto one = std::begin(all); one != std::end(all); ++one) {
		if (one->second->empty())
			continue;
		TRY(check_output(one->first, *one->second, inputs));
		for (auto earlier = std::begin(all); earlier != one; ++earlier)
			TRY(check_difference(*one, *earlier));
	}
	return {};
}

} // namespace tcpwin
