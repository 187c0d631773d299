// SPDX-License-Identifier: Apache-2.0
#include "bpf/log.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <string>

#include <bpf/libbpf.h>

#include "base/log.hpp"

namespace tcpwin {
namespace {

// The verifier's log comes as one message, which can be long.
int print(libbpf_print_level, const char *format, va_list arguments)
{
	if (!log::is_verbose())
		return 0;
	va_list again;
	va_copy(again, arguments);
	std::string text(static_cast<std::size_t>(std::max(0, vsnprintf(nullptr, 0, format, again))), '\0');
	va_end(again);
	vsnprintf(text.data(), text.size() + 1, format, arguments);
	while (!text.empty() && text.back() == '\n')
		text.pop_back();
	log::debug("{}", text);
	return 0;
}

} // namespace

void log_libbpf()
{
	libbpf_set_print(print);
}

} // namespace tcpwin
