// SPDX-License-Identifier: Apache-2.0
#include "cli/parser.hpp"

#include <algorithm>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/duration.hpp"
#include "base/printable.hpp"
#include "base/words.hpp"

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

constexpr auto description = "Watches TCP flows in the kernel and reports those whose receiver stops reading.";
constexpr auto version = "tcpwin-agent " TCPWIN_VERSION;
constexpr auto examples = "'tcpwin-agent COMMAND --help' shows the options and examples of a command, for instance:\n"
			  "  sudo tcpwin-agent attach eth0\n"
			  "  tcpwin-agent replay capture.pcap";

// Without a type name, which would appear in the help of each option.
const CLI::Validator not_empty([](const std::string &text) { return std::string(text.empty() ? "it is empty" : ""); },
			       "");

// CLI11 allows no '=' in the name of an argument, which the help text of KEY=VALUE needs.
constexpr char equals_sign = '\x7f';

constexpr std::size_t help_width = 100;

class HelpFormatter : public CLI::Formatter {
public:
	std::string make_option_name(const CLI::Option *option, bool is_positional) const override
	{
		std::string name = CLI::Formatter::make_option_name(option, is_positional);
		std::ranges::replace(name, equals_sign, '=');
		return name;
	}

	// CLI11 2.1 does not break lines.
	std::string make_option_desc(const CLI::Option *option) const override
	{
		return wrap(CLI::Formatter::make_option_desc(option), help_width - get_column_width());
	}

	// CLI11 writes a default as "=10s", from version 2.4 on as " [10s] ".
	std::string make_option_opts(const CLI::Option *option) const override
	{
		std::string text = CLI::Formatter::make_option_opts(option);
		const std::string bracketed = fmt::format(" [{}] ", option->get_default_str());
		if (const auto at = text.find(bracketed); at != std::string::npos)
			text.replace(at, bracketed.size(), "=" + option->get_default_str());
		return text;
	}
};

struct Defined {
	CLI::App *app;
	OptionList options;
	Run run;
};

Error wrong_usage(std::string why, const std::string &command)
{
	return {"wrong usage", std::move(why), "see tcpwin-agent " + command + "--help", Exit::usage};
}

Error wrong_word(std::string why, std::string_view meant, const std::string &command)
{
	Error error = wrong_usage(std::move(why), command);
	if (!meant.empty())
		error.advice = fmt::format("did you mean {}? S{}", meant, error.advice.substr(1));
	return error;
}

// "--timeout-es=5s" is unknown where there is --timeout-est.
Error unknown_option(const std::string &word, const CLI::App &app, const std::string &command)
{
	const std::string name = word.substr(0, word.find('='));
	std::vector<std::string> known;
	for (const CLI::Option *option : app.get_options())
		for (const std::string &one : option->get_lnames())
			known.push_back("--" + one);
	const std::vector<std::string_view> candidates(known.begin(), known.end());
	return wrong_word("unknown option " + printable(name), closest_word(name, candidates), command);
}

Error unknown_command(const std::string &word, const std::vector<Defined> &commands)
{
	std::vector<std::string> known;
	known.reserve(commands.size());
	for (const Defined &command : commands)
		known.push_back(command.app->get_name());
	const std::vector<std::string_view> candidates(known.begin(), known.end());
	return wrong_word(fmt::format("there is no command '{}'", printable(word)), closest_word(word, candidates), "");
}

bool is_option(const std::string &word)
{
	return word.size() > 1 && word.starts_with('-');
}

// A mistyped option leads to other errors, for instance a missing argument: name it first.
Error describe(const CLI::ParseError &error, const CLI::App &app, const std::vector<Defined> &commands, int argc,
	       const char *const *argv)
{
	for (const Defined &command : commands) {
		if (!command.app->parsed())
			continue;
		const std::string name = command.app->get_name() + " ";
		const std::vector<std::string> rest = command.app->remaining();
		if (const auto option = std::ranges::find_if(rest, is_option); option != rest.end())
			return unknown_option(*option, *command.app, name);
		if (!rest.empty())
			return wrong_usage(fmt::format("unexpected argument '{}'", printable(rest.front())), name);
		return wrong_usage(error.what(), name);
	}
	if (argc < 2)
		return wrong_usage("a command is missing", "");
	return is_option(argv[1]) ? unknown_option(argv[1], app, "") : unknown_command(argv[1], commands);
}

void set_needed(CLI::Option &option, OptionList::Needed needed)
{
	option.required(needed == OptionList::Needed::required)->check(not_empty)->type_name("");
}

} // namespace

void OptionList::argument(const std::string &name, std::string &target, const std::string &help, Needed needed)
{
	set_needed(*app_.add_option(name, target, help), needed);
}

void OptionList::arguments(const std::string &name, std::vector<std::string> &target, const std::string &help,
			   Needed needed)
{
	set_needed(*app_.add_option(name, target, help), needed);
}

void OptionList::arguments(const std::string &name, const std::string &help, const Take &take)
{
	const auto take_all = [take](const std::vector<std::string> &words) {
		for (const std::string &word : words)
			if (auto taken = take(word); !taken)
				throw CLI::ValidationError(taken.error());
	};
	std::string allowed = name;
	std::ranges::replace(allowed, '=', equals_sign);
	app_.add_option_function<std::vector<std::string>>(allowed, take_all, help)->type_name("");
}

void OptionList::flag(const std::string &name, bool &target, const std::string &help, bool value)
{
	flag(name, help, [&target, value] { target = value; });
}

void OptionList::flag(const std::string &name, const std::string &help, const std::function<void()> &take)
{
	app_.add_flag_callback(name, take, help);
}

void OptionList::text(const std::string &name, const std::string &type, std::string &target, const std::string &help)
{
	app_.add_option(name, target, help)->check(not_empty)->type_name(type)->capture_default_str();
}

void OptionList::pattern(const std::string &name, const std::string &type, std::string &target, const std::string &help)
{
	app_.add_option(name, target, help)->type_name(type);
}

void OptionList::texts(const std::string &name, const std::string &type, std::vector<std::string> &target,
		       const std::string &help)
{
	app_.add_option(name, target, help)->check(not_empty)->allow_extra_args(false)->type_name(type);
}

void OptionList::number_of(const std::string &name, const std::string &initial, std::uint64_t least, std::uint64_t most,
			   const std::string &help, const std::function<void(std::uint64_t)> &take)
{
	app_.add_option_function<std::uint64_t>(name, take, help)
		->check(CLI::Range(least, most).description(""))
		->type_name("N")
		->default_str(initial);
}

void OptionList::duration(const std::string &name, nanoseconds &target, nanoseconds least, const std::string &help)
{
	duration_of(name, target, least, help, [&target](nanoseconds value) { target = value; });
}

void OptionList::duration(const std::string &name, std::optional<nanoseconds> &target, nanoseconds least,
			  const std::string &help)
{
	duration_of(name, target, least, help, [&target](nanoseconds value) { target = value; });
}

void OptionList::duration_of(const std::string &name, std::optional<nanoseconds> initial, nanoseconds least,
			     const std::string &help, const std::function<void(nanoseconds)> &take)
{
	value(name, "DURATION", initial ? format_duration(*initial) : "", help,
	      [least, take](const std::string &text) -> Result<void, std::string> {
		      const nanoseconds parsed = TRY(parse_duration(text));
		      if (parsed < least)
			      return tl::unexpected(fmt::format("it must be at least {}", format_duration(least)));
		      take(parsed);
		      return {};
	      });
}

void OptionList::one_of(const std::string &name, const std::string &type, const std::vector<std::string> &names,
			const std::string &initial, const std::string &help,
			const std::function<void(std::size_t)> &take)
{
	const auto take_name = [names, take](const std::string &chosen) {
		take(static_cast<std::size_t>(std::ranges::find(names, chosen) - names.begin()));
	};
	app_.add_option_function<std::string>(name, take_name, help)
		->check(CLI::IsMember(names))
		->type_name(type)
		->default_str(initial);
}

void OptionList::value(const std::string &name, const std::string &type, const std::string &initial,
		       const std::string &help, const Take &take)
{
	const auto take_text = [name, take](const std::string &text) {
		if (auto taken = take(text); !taken)
			throw CLI::ValidationError(name, fmt::format("'{}': {}", text, taken.error()));
	};
	app_.add_option_function<std::string>(name, take_text, help)->type_name(type)->default_str(initial);
}

void OptionList::exclude(const std::string &name, const std::string &other)
{
	app_.get_option(name)->excludes(app_.get_option(other));
}

void OptionList::footer(const std::string &text)
{
	app_.footer(text);
}

Result<void> OptionList::finish() const
{
	for (const Step &step : steps_)
		TRY(step());
	return {};
}

Result<std::variant<Information, Run>> parse_command_line(std::span<const Command> commands, int argc,
							  const char *const *argv)
{
	CLI::App app(description, "tcpwin-agent");
	app.formatter(std::make_shared<HelpFormatter>());
	app.get_formatter()->label("Positionals", "Arguments");
	app.get_formatter()->label("SUBCOMMAND", "COMMAND");
	app.set_version_flag("--version", version);
	app.require_subcommand(1);
	app.footer(examples);
	std::vector<Defined> defined;
	for (const Command &command : commands) {
		CLI::App *subcommand = app.add_subcommand(command.name, command.summary);
		subcommand->group("Commands")->set_version_flag("--version", version);
		defined.push_back({subcommand, OptionList(*subcommand), {}});
		defined.back().run = command.define(defined.back().options);
	}

	try {
		app.parse(argc, argv);
	} catch (const CLI::ParseError &error) {
		if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::Success))
			return tl::unexpected(describe(error, app, defined, argc, argv));
		std::ostringstream text, ignored;
		app.exit(error, text, ignored);
		return Information{text.str()};
	}
	const auto parsed = std::ranges::find_if(defined, [](const Defined &one) { return one.app->parsed(); });
	TRY(parsed->options.finish());
	return std::move(parsed->run);
}

} // namespace tcpwin
