// SPDX-License-Identifier: Apache-2.0
// libarchive finds the compression by content, also on a pipe.
#include "capture/compressed.hpp"

#include <memory>
#include <stdio_ext.h>

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

namespace tcpwin {
namespace {

struct Compressed {
	archive *source;
	int fd;
	std::string *problem;
};

ssize_t read_some(void *cookie, char *buffer, std::size_t size)
{
	auto *compressed = static_cast<Compressed *>(cookie);
	const la_ssize_t got = archive_read_data(compressed->source, buffer, size);
	if (got >= 0)
		return got;
	const char *text = archive_error_string(compressed->source);
	*compressed->problem = text ? text : "damaged compressed data";
	return -1;
}

int close_all(void *cookie)
{
	std::unique_ptr<Compressed> compressed(static_cast<Compressed *>(cookie));
	archive_read_free(compressed->source);
	return close(compressed->fd);
}

} // namespace

Result<FILE *> open_decompressed(int fd, const std::string &name, std::string &problem)
{
	constexpr std::size_t block = 256 * 1024;
	archive *source = archive_read_new();
	archive_entry *entry = nullptr;

	archive_read_support_filter_all(source);
	archive_read_support_format_raw(source);
	archive_read_support_format_empty(source);
	if (archive_read_open_fd(source, fd, block) != ARCHIVE_OK) {
		const char *text = archive_error_string(source);
		auto error = fail("cannot read " + name, text ? text : "damaged compressed data");
		archive_read_free(source);
		close(fd);
		return error;
	}
	if (const int status = archive_read_next_header(source, &entry); status == ARCHIVE_FATAL) {
		const char *text = archive_error_string(source);
		problem = text ? text : "damaged compressed data";
	}
	FILE *stream = fopencookie(new Compressed{source, fd, &problem}, "r",
				   {.read = read_some, .write = nullptr, .seek = nullptr, .close = close_all});
	setvbuf(stream, nullptr, _IOFBF, block);
	__fsetlocking(stream, FSETLOCKING_BYCALLER); // one thread reads it
	return stream;
}

} // namespace tcpwin
