// SPDX-License-Identifier: Apache-2.0
// libarchive detects the compression by content, also on a pipe.
#include "capture/compressed.hpp"

#include <cerrno>
#include <cstdint>
#include <memory>
#include <system_error>
#include <vector>

#include <archive.h>
#include <archive_entry.h>
#include <poll.h>
#include <stdio_ext.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tcpwin {
namespace {

struct Compressed {
	archive *source = nullptr;
	int fd;
	const Interruptions *interruptions; // null: do not poll
	std::string *problem;
	std::vector<std::uint8_t> block;
	bool empty = false;

	~Compressed()
	{
		archive_read_free(source);
		close(fd);
	}
};

std::string error_text(archive *source)
{
	const char *text = archive_error_string(source);
	return text ? text : "damaged compressed data";
}

// Raw bytes for libarchive. Returns 0 at the end of the file, or if a stop was requested while waiting for data.
la_ssize_t read_block(archive *source, void *client, const void **block)
{
	auto *compressed = static_cast<Compressed *>(client);
	*block = compressed->block.data();
	while (true) {
		if (const Interruptions *may_come = compressed->interruptions) {
			pollfd fds[] = {{compressed->fd, POLLIN, 0},
					{may_come->stop_fd, POLLIN, 0},
					{may_come->answer ? may_come->request_fd : -1, POLLIN, 0}};
			if (poll(fds, std::size(fds), -1) > 0 && fds[1].revents)
				return 0;
			if (fds[2].revents) {
				may_come->answer();
				continue;
			}
		}
		const ssize_t got = read(compressed->fd, compressed->block.data(), compressed->block.size());
		if (got >= 0)
			return got;
		if (errno != EINTR) {
			archive_set_error(source, errno, "%s", std::generic_category().message(errno).c_str());
			return -1;
		}
	}
}

ssize_t read_some(void *cookie, char *buffer, std::size_t size)
{
	auto *compressed = static_cast<Compressed *>(cookie);
	if (compressed->empty)
		return 0;
	const la_ssize_t got = archive_read_data(compressed->source, buffer, size);
	if (got < 0)
		*compressed->problem = error_text(compressed->source);
	return got < 0 ? -1 : got;
}

int close_all(void *cookie)
{
	delete static_cast<Compressed *>(cookie);
	return 0;
}

} // namespace

Result<FILE *> open_decompressed(int fd, const Interruptions *interruptions, const std::string &name,
				 std::string &problem)
{
	constexpr std::size_t block = 256 * 1024;
	struct stat status{};
	const bool waits = fstat(fd, &status) == 0 && !S_ISREG(status.st_mode);
	auto compressed = std::make_unique<Compressed>();
	compressed->source = archive_read_new();
	compressed->fd = fd;
	compressed->interruptions = waits ? interruptions : nullptr;
	compressed->problem = &problem;
	compressed->block.resize(block);

	archive *source = compressed->source;
	archive_entry *entry = nullptr;
	archive_read_support_filter_all(source);
	archive_read_support_format_raw(source);
	archive_read_support_format_empty(source);
	if (archive_read_open(source, compressed.get(), nullptr, read_block, nullptr) != ARCHIVE_OK)
		return fail("cannot read " + name, error_text(source));
	const int header = archive_read_next_header(source, &entry);
	compressed->empty = header == ARCHIVE_EOF;
	if (compressed->empty)
		problem = "it is empty";
	else if (header == ARCHIVE_FATAL)
		problem = error_text(source);

	FILE *stream = fopencookie(compressed.release(), "r",
				   {.read = read_some, .write = nullptr, .seek = nullptr, .close = close_all});
	setvbuf(stream, nullptr, _IOFBF, block);
	__fsetlocking(stream, FSETLOCKING_BYCALLER); // only one thread reads it
	return stream;
}

} // namespace tcpwin
