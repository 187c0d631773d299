// SPDX-License-Identifier: Apache-2.0
// Recoverable errors are values. The sentence that a user reads has one shape: what failed on what, why, and what to do.
#pragma once

#include <functional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <tl/expected.hpp>

namespace tcpwin {

// Exit codes; those above 2 are from sysexits(3).
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

// A T, or the error that prevented one. tl::expected with one difference: ignoring a result causes a compiler warning.
template <typename T, typename E = Error> class [[nodiscard]] Result {
public:
	Result() = default;
	Result(tl::unexpected<E> error) : value_(std::move(error)) {}
	template <typename U>
		requires(!std::is_void_v<T> && std::is_constructible_v<tl::expected<T, E>, U &&> &&
			 !std::is_same_v<std::remove_cvref_t<U>, Result> &&
			 !std::is_same_v<std::remove_cvref_t<U>, tl::unexpected<E>>)
	Result(U &&value) : value_(std::forward<U>(value))
	{
	}

	bool has_value() const { return value_.has_value(); }
	explicit operator bool() const { return has_value(); }
	// Throws if there is none: for tests.
	auto &value() { return value_.value(); }
	const auto &value() const { return value_.value(); }
	auto &operator*() & { return *value_; }
	const auto &operator*() const & { return *value_; }
	auto &&operator*() && { return *std::move(value_); }
	auto *operator->() { return &*value_; }
	const auto *operator->() const { return &*value_; }
	E &error() & { return value_.error(); }
	const E &error() const & { return value_.error(); }
	E &&error() && { return std::move(value_).error(); }

	template <typename U>
		requires(!std::is_void_v<T>)
	friend bool operator==(const Result &result, const U &value)
	{
		return result && *result == value;
	}

	// The value, moved out of it; for TRY.
	T take()
	{
		if constexpr (!std::is_void_v<T>)
			return *std::move(value_);
	}

	// Returns next(value), which must be a Result, or this error.
	template <typename Next> auto and_then(Next &&next) &&
	{
		if constexpr (std::is_void_v<T>) {
			using Then = std::invoke_result_t<Next>;
			return value_ ? std::invoke(std::forward<Next>(next)) :
					Then(tl::unexpected(std::move(error())));
		} else {
			using Then = std::invoke_result_t<Next, T &&>;
			return value_ ? std::invoke(std::forward<Next>(next), *std::move(value_)) :
					Then(tl::unexpected(std::move(error())));
		}
	}

	// Returns a Result that holds next(value), or this error.
	template <typename Next> auto map(Next &&next) &&
	{
		return std::move(*this).and_then([&]<typename... Value>(Value &&...value) {
			using Then = Result<std::invoke_result_t<Next, Value...>, E>;
			if constexpr (std::is_same_v<Then, Result<void, E>>) {
				std::invoke(std::forward<Next>(next), std::forward<Value>(value)...);
				return Then();
			} else {
				return Then(std::invoke(std::forward<Next>(next), std::forward<Value>(value)...));
			}
		});
	}

private:
	tl::expected<T, E> value_;
};

// The value of a result; on an error, returns that error from the enclosing function.
#define TRY(...)                                                           \
	__extension__({                                                    \
		auto result_ = (__VA_ARGS__);                              \
		if (!result_)                                              \
			return tl::unexpected(std::move(result_).error()); \
		result_.take();                                            \
	})

inline tl::unexpected<Error> fail(std::string what, std::string why, std::string advice = {}, Exit exit = Exit::failure)
{
	return tl::unexpected(Error{std::move(what), std::move(why), std::move(advice), exit});
}

// errno_value: of either sign, as the kernel or the C library returns it.
inline std::string describe_errno(int errno_value)
{
	return std::generic_category().message(errno_value < 0 ? -errno_value : errno_value);
}

} // namespace tcpwin
