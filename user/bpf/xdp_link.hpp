// SPDX-License-Identifier: Apache-2.0
// An XDP program on an interface, attached as long as the object lives.
#pragma once

#include <string>

#include "error.hpp"
#include "unique_fd.hpp"

namespace tcpwin {

enum class XdpMode {
	automatic, // native, else generic
	native,    // in the driver, before an skb exists
	generic,   // after the skb is made; any device; sees merged (GRO) frames
};

class XdpLink {
public:
	// The interface's index, or the error that there is none.
	static Result<unsigned> find_interface(const std::string &interface);

	// Errors: no such interface, a program of somebody else (by name and id), what the driver refuses.
	static Result<XdpLink> attach(const std::string &interface, XdpMode mode, int program_fd);

	const std::string &interface() const { return interface_; }
	unsigned ifindex() const { return ifindex_; }
	XdpMode mode() const { return mode_; }              // native or generic
	const std::string &fallback() const { return fallback_; } // why not native, or empty
	// Whether the interface still exists.
	bool alive() const;

private:
	XdpLink(UniqueFd fd, std::string interface, unsigned ifindex, XdpMode mode, std::string fallback)
		: fd_(std::move(fd)), interface_(std::move(interface)), ifindex_(ifindex), mode_(mode),
		  fallback_(std::move(fallback))
	{
	}

	UniqueFd fd_;
	std::string interface_;
	unsigned ifindex_;
	XdpMode mode_;
	std::string fallback_;
};

} // namespace tcpwin
