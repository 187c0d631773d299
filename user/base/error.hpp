// SPDX-License-Identifier: Apache-2.0
// Recoverable errors are values. What a user reads is made here, in one shape:
// what failed on what, why, and what to do.
#pragma once

#include <string>
#include <system_error>
#include <tl/expected.hpp>

namespace tcpwin {

// Exit codes; those above 2 are sysexits(3)'s.
enum class Exit : int {
	success = 0,
	failure = 1,
	usage = 2,
	unsupported = 69,
	no_permission = 77,
	configuration = 78,
};

struct Error {
	std::string what;   // "cannot attach to eth0"
	std::string why;    // "Device or resource busy"
	std::string advice; // "stop the other program", or empty
	Exit exit = Exit::failure;

	std::string sentence() const { return what + ": " + why + (advice.empty() ? "" : "; " + advice); }
};

template <typename T> using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(std::string what, std::string why, std::string advice = {}, Exit exit = Exit::failure)
{
	return tl::unexpected(Error{std::move(what), std::move(why), std::move(advice), exit});
}

// errno_value in the sign of the kernel or of the C library.
inline std::string describe_errno(int errno_value)
{
	return std::generic_category().message(errno_value < 0 ? -errno_value : errno_value);
}

} // namespace tcpwin
