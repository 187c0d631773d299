// SPDX-License-Identifier: Apache-2.0
// Parses the command line with a table of commands. Each command declares its options in its own file.
//
// This is a thin interface to CLI11, which is slow to compile: only parser.cpp includes it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.hpp"

namespace CLI {
class App;
}

namespace tcpwin {

// The options of one command. A target receives its value while the command line is parsed; the value that it has
// before is the default and is shown in the help text. Names are as in "-o,--output".
class OptionList {
public:
	// Error: a clause that says what is wrong with the value.
	using Take = std::function<Result<void, std::string>(const std::string &value)>;
	using Step = std::function<Result<void>()>;
	enum class Needed { optional, required };

	explicit OptionList(CLI::App &app) : app_(app) {}

	// A positional argument, not empty.
	void argument(const std::string &name, std::string &target, const std::string &help,
		      Needed needed = Needed::optional);
	void arguments(const std::string &name, std::vector<std::string> &target, const std::string &help,
		       Needed needed = Needed::optional);
	// Any number. The error of take is the whole message.
	void arguments(const std::string &name, const std::string &help, const Take &take);

	// The target becomes value.
	void flag(const std::string &name, bool &target, const std::string &help, bool value = true);
	void flag(const std::string &name, const std::string &help, const std::function<void()> &take);

	// Not empty.
	void text(const std::string &name, const std::string &type, std::string &target, const std::string &help);
	// Empty is the same as not given.
	void pattern(const std::string &name, const std::string &type, std::string &target, const std::string &help);
	// May be repeated.
	void texts(const std::string &name, const std::string &type, std::vector<std::string> &target,
		   const std::string &help);

	template <typename T>
	void number(const std::string &name, T &target, std::uint64_t least, std::uint64_t most,
		    const std::string &help)
	{
		number_of(name, std::to_string(target), least, most, help,
			  [&target](std::uint64_t value) { target = static_cast<T>(value); });
	}
	template <typename T>
	void number(const std::string &name, std::optional<T> &target, std::uint64_t least, std::uint64_t most,
		    const std::string &help)
	{
		number_of(name, target ? std::to_string(*target) : "", least, most, help,
			  [&target](std::uint64_t value) { target = static_cast<T>(value); });
	}

	// The value must be above 0 and not below least.
	void duration(const std::string &name, std::chrono::nanoseconds &target, std::chrono::nanoseconds least,
		      const std::string &help);
	void duration(const std::string &name, std::optional<std::chrono::nanoseconds> &target,
		      std::chrono::nanoseconds least, const std::string &help);

	template <typename T>
	void choice(const std::string &name, const std::string &type, T &target,
		    const std::vector<std::pair<std::string, T>> &choices, const std::string &help)
	{
		std::vector<std::string> names;
		std::string initial;
		for (const auto &[choice, value] : choices) {
			names.push_back(choice);
			if (value == target)
				initial = choice;
		}
		one_of(name, type, names, initial, help,
		       [&target, choices](std::size_t chosen) { target = choices[chosen].second; });
	}

	// Of any other kind. initial: as it would be typed, or empty if there is no default.
	void value(const std::string &name, const std::string &type, const std::string &initial,
		   const std::string &help, const Take &take);

	// Declares that two options exclude each other.
	void exclude(const std::string &name, const std::string &other);
	// The end of the help text.
	void footer(const std::string &text);
	// Runs once everything was parsed, in the order of these calls, until one fails.
	void after_parsing(Step step) { steps_.push_back(std::move(step)); }

	Result<void> finish() const;

private:
	void number_of(const std::string &name, const std::string &initial, std::uint64_t least, std::uint64_t most,
		       const std::string &help, const std::function<void(std::uint64_t)> &take);
	void one_of(const std::string &name, const std::string &type, const std::vector<std::string> &names,
		    const std::string &initial, const std::string &help, const std::function<void(std::size_t)> &take);
	void duration_of(const std::string &name, std::optional<std::chrono::nanoseconds> initial,
			 std::chrono::nanoseconds least, const std::string &help,
			 const std::function<void(std::chrono::nanoseconds)> &take);

	CLI::App &app_;
	std::vector<Step> steps_;
};

// Runs a command with the options that were parsed.
using Run = std::function<Result<Exit>()>;

struct Command {
	std::string name;
	std::string summary;                     // one line of the help text of tcpwin-agent
	std::function<Run(OptionList &)> define; // Run: to be called after the options were parsed
};

template <typename Options>
Command make_command(std::string name, std::string summary, void (*define)(OptionList &, Options &),
		     Result<Exit> (*run)(const Options &))
{
	return {std::move(name), std::move(summary), [define, run](OptionList &list) -> Run {
			auto options = std::make_shared<Options>();
			define(list, *options);
			return [options, run] { return run(*options); };
		}};
}

// The output of --help or --version; no command runs.
struct Information {
	std::string text;
};

// Error: wrong usage (Exit::usage), or that of a step after parsing.
Result<std::variant<Information, Run>> parse_command_line(std::span<const Command> commands, int argc,
							  const char *const *argv);

} // namespace tcpwin
