// SPDX-License-Identifier: Apache-2.0
// docs/configuration.md lists every setting and every option of every command.
#include <fstream>
#include <iterator>
#include <regex>

#include <gmock/gmock.h>

#include "cli/commands.hpp"
#include "config/settings.hpp"
#include "unit/cli/parsed.hpp"

using namespace tcpwin;
using testing::HasSubstr;

namespace {

std::string configuration_page()
{
	std::ifstream file(TCPWIN_CONFIGURATION_PAGE);
	EXPECT_TRUE(file) << TCPWIN_CONFIGURATION_PAGE;
	return {std::istreambuf_iterator<char>(file), {}};
}

// The long options in the help text, in which each begins a line; without the settings.
std::vector<std::string> options_of(const Command &command)
{
	const auto help = parse_words(all_commands(), {command.name, "--help"});
	const std::string &text = std::get<Information>(help.value()).text;
	const std::regex option("\n +(?:-\\w,)?(--[a-z0-9-]+)");
	std::vector<std::string> names;
	for (std::sregex_iterator found(text.begin(), text.end(), option), end; found != end; ++found)
		if (const std::string name = (*found)[1]; name != "--profile" && !find_setting(name.substr(2)))
			names.push_back(name);
	return names;
}

} // namespace

TEST(Documentation, HasEachSetting)
{
	const std::string page = configuration_page();
	EXPECT_THAT(page, HasSubstr("`profile`"));
	for (const Setting &setting : all_settings())
		EXPECT_TRUE(page.find("`" + std::string(setting.key) + "`") != std::string::npos)
			<< "docs/configuration.md lacks the setting `" << setting.key << "`";
}

TEST(Documentation, HasEachOption)
{
	const std::string page = configuration_page();
	for (const Command &command : all_commands()) {
		const std::vector<std::string> options = options_of(command);
		EXPECT_THAT(options, testing::Contains("--help")) << command.name;
		EXPECT_THAT(options, testing::Contains("--version")) << command.name;
		for (const std::string &option : options)
			EXPECT_TRUE(std::regex_search(page, std::regex("`[^`\n]*" + option + "(?![a-z0-9-])[^`\n]*`")))
				<< "docs/configuration.md lacks `" << option << "` of " << command.name;
	}
}
