// SPDX-License-Identifier: Apache-2.0
// attach --persistent: what an earlier agent left pinned, and what this one pins for the next.
//
// Programs and links keep working without an agent. The next agent loads its own programs over the pinned maps and puts
// them into the pinned links, so that no packet is missed. Maps of another layout cannot be shared: the links get
// programs with new maps first, then the contents of the old maps are written. If the agent is killed at any point, the
// next one finds the old maps or the new ones complete.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <tcpwin/types.h>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "bpf/agent_maps.hpp"
#include "bpf/hook_kind.hpp"
#include "bpf/pins.hpp"
#include "bpf/program.hpp"
#include "bpf/ring.hpp"
#include "net/interface.hpp"
#include "sinks/output.hpp"

namespace tcpwin {

// The name of the pin of a link; empty if there is no link: for clsact, and for XDP at egress.
std::string pin_name(HookKind kind, Direction direction);

class Persistence {
public:
	using IsWanted = std::function<bool(const Interface &)>;

	// is_wanted: selects the interfaces to attach to. Error: other interfaces share maps with them, or they do not
	// all share the same maps.
	static Result<Persistence> open(const std::string &bpffs, const std::vector<Interface> &all,
					const IsWanted &is_wanted);

	// The pins whose maps are taken over; null: none.
	const PinnedInterface *adopted() const { return own_.empty() ? nullptr : &own_.front(); }
	// Interfaces that were deleted since; their flows are in the adopted maps.
	const std::vector<PinnedInterface> &gone() const { return gone_; }
	bool is_pinned(unsigned ifindex) const;
	// The directory below which everything is pinned; it may not exist yet.
	const std::string &root() const { return directory_.root().native(); }
	Result<void> make_root() const { return directory_.make_root(); }

	// Pins the program's maps for the interface; to be called before its first hook is attached.
	Result<PinnedInterface> prepare(const Program &program, unsigned ifindex) const;
	// The link of this kind that an earlier agent left; empty if there is none.
	UniqueFd find_link(unsigned ifindex, HookKind kind, Direction direction) const;
	// Detaches and unpins the link of this kind.
	void drop_link(unsigned ifindex, HookKind kind, Direction direction) const;

	// Passes the records in maps of other layouts to take, and adds their counters to the program's. To be called
	// once no program writes these maps any more.
	Result<void> drain_others(Program &program, const tcpwin_config &config, Output &output,
				  const std::function<void(const tcpwin_record &)> &take) const;
	bool has_others() const { return !others_.empty(); }
	// Removes their pins; to be called once their records have been written.
	void remove_others() const;

private:
	explicit Persistence(PinDirectory directory) : directory_(std::move(directory)) {}
	Result<void> sort(const std::vector<Interface> &all, const IsWanted &is_wanted);

	PinDirectory directory_;
	std::vector<PinnedInterface> own_;    // in this layout
	std::vector<PinnedInterface> gone_;   // in this layout, but the interface was deleted
	std::vector<PinnedInterface> others_; // in another layout
};

// Error: a persistent agent left its programs attached to the interface.
Result<void> refuse_if_pinned(const std::string &bpffs, const Interface &interface);

// One directory per flow table.
std::vector<PinnedInterface> one_of_each_table(const std::vector<PinnedInterface> &pinned);

// For a batch of records that a killed agent was writing: if the output has all of it, the batch is removed from the ring
// buffer; if the output has a part of it, that part is cut off.
void settle(const tcpwin_batch &batch, RingReader &records, Output &output);
void settle(const AgentMaps &maps, Output &output);

// Pins from other network namespaces whose interfaces were all deleted: the namespace most likely no longer exists, so
// no agent in it will take them over. Pins without links are left out: clsact filters may be attached.
std::vector<PinnedInterface> orphans(const PinDirectory &directory);

} // namespace tcpwin
