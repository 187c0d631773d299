// SPDX-License-Identifier: Apache-2.0
// attach --persistent: what an earlier agent left pinned, and what the next one will find.
//
// Programs and links go on without an agent. The next agent loads its own programs over the pinned maps and puts them
// into the pinned links, so that no packet goes uncounted. Maps of another layout cannot be shared: there the links go
// over to new maps first, then what the old ones hold is written. Killed at any point, the next agent finds either.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "bpf/hook.hpp"
#include "bpf/map_reader.hpp"
#include "bpf/pins.hpp"
#include "bpf/program.hpp"
#include "base/error.hpp"
#include "net/interface.hpp"
#include "sinks/output.hpp"

namespace tcpwin {

// Of a link; empty where there is none: for clsact, and for XDP and egress.
std::string pin_name(Attachment attachment, Direction direction);

class Persistence {
public:
	using IsWanted = std::function<bool(const Interface &)>;

	// is_wanted: the interfaces to be attached. Error: others share maps with them, or they have no maps in common.
	static Result<Persistence> open(const std::string &bpffs, const std::vector<Interface> &all,
					const IsWanted &is_wanted);

	// Whose maps to go on with; null: there are none.
	const PinnedInterface *adopted() const { return own_.empty() ? nullptr : &own_.front(); }
	// Deleted meanwhile; their flows are in the adopted maps.
	const std::vector<PinnedInterface> &gone() const { return gone_; }
	bool is_pinned(unsigned ifindex) const;

	// Before the first hook of the interface: pins the program's maps for it.
	Result<PinnedInterface> prepare(const Program &program, unsigned ifindex) const;
	// The link that an earlier agent left of this kind, if it did; empty otherwise.
	UniqueFd find_link(unsigned ifindex, Attachment attachment, Direction direction) const;
	// A link that is not to be used again.
	void drop_link(unsigned ifindex, Attachment attachment, Direction direction) const;

	// Once no program writes maps of other layouts any more: hands over what they hold. Their counters are added to
	// the program's.
	Result<void> drain_others(Program &program, const tcpwin_config &config, Output &output,
				  const std::function<void(const tcpwin_record &)> &take) const;
	bool has_others() const { return !others_.empty(); }
	// When that was written.
	void remove_others() const;

private:
	explicit Persistence(PinDirectory directory) : directory_(std::move(directory)) {}
	Result<void> sort(const std::vector<Interface> &all, const IsWanted &is_wanted);

	PinDirectory directory_;
	std::vector<PinnedInterface> own_;    // in our layout
	std::vector<PinnedInterface> gone_;   // in our layout, their interface was deleted
	std::vector<PinnedInterface> others_; // in another layout
};

// Error: a persistent agent has left it attached.
Result<void> refuse_if_pinned(const std::string &bpffs, const Interface &interface);

// Of those directories, one a flow table.
std::vector<PinnedInterface> one_of_each_table(const std::vector<PinnedInterface> &pinned);

// Records that an agent had written, or a part of them, when it was killed before it could note that: those that are
// whole in this output are taken from the ring buffer, a part of them is taken back from the output.
void settle(const tcpwin_batch &batch, RingReader &records, Output &output);
void settle(const Leftovers &leftovers, Output &output);

// Of other network namespaces, whose interfaces were all deleted: no agent of that namespace will ask for them, which is
// most likely gone. Not those of which a clsact filter alone would know.
std::vector<PinnedInterface> orphans(const PinDirectory &directory);

// Its maps, for drain_leftovers and read_counters; closed with the object.
class PinnedLeftovers {
public:
	static Result<PinnedLeftovers> open(const PinnedInterface &pinned);
	Leftovers get() const
	{
		return {flows_.get(), records_.get(), counters_.get(), interfaces_.get(),
			data_.get(),  bss_.get(),     own_layout_};
	}

private:
	UniqueFd flows_, records_, counters_, interfaces_, data_, bss_;
	bool own_layout_ = false;
};

} // namespace tcpwin
