// SPDX-License-Identifier: Apache-2.0
// Rewrites the schema and the tables of docs/records.md from the lists in the code ("make schema"):
//
//	generate_schema schema/tcpwin-agent.schema.json docs/records.md
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "lists.hpp"

namespace {

std::string read_file(const char *path)
{
	std::ifstream file(path);
	return {std::istreambuf_iterator<char>(file), {}};
}

bool write_file(const char *path, const std::string &text)
{
	std::ofstream file(path);
	file << text;
	return static_cast<bool>(file.flush());
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 3)
		return EXIT_FAILURE;
	const auto schema = tcpwin::update_schema(tcpwin::Schema::parse(read_file(argv[1])));
	const std::string page = tcpwin::update_page(read_file(argv[2]), schema);
	const bool done = write_file(argv[1], tcpwin::format_schema(schema)) && write_file(argv[2], page);
	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
