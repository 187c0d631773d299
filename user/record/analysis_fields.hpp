// SPDX-License-Identifier: Apache-2.0
// The fields of the stall analysis in records, one row per field. From these rows come the members of StallFacts,
// WindowFacts, LimitsFacts and TcpFacts, how they are computed, their JSON, the schema, the tables of docs/records.md and
// the names that explain reads. After a change, "make schema" rewrites schema and page.
//
// X(type, name, value, description): name is the member's and that in JSON; std::optional is null in JSON where the
// value is not known. value is computed in analysis.cpp, where `side` is the endpoint that the record describes.
#pragma once

// What the endpoint's receiver did: its peer was blocked, and sent the probes.
#define TCPWIN_STALL_FIELDS(X)                                                                                        \
	X(std::uint32_t, zero_window_segments, side.stats.zero_windows,                                               \
	  "Segments that announced a window of zero: with ACK, without SYN, FIN and RST. Most zero windows in real "  \
	  "traffic are those of RST segments, and are not stalls.")                                                   \
	X(std::uint32_t, episodes, side.stats.episodes,                                                               \
	  "Number of stalls. An episode begins with a zero-window segment and ends with the next segment that "       \
	  "announces another window. Stale segments, whose acknowledgement number goes back, neither open nor close " \
	  "an episode. A zero window after the peer's FIN is acknowledged opens none, because no sender waits.")      \
	X(std::chrono::nanoseconds, total, duration(side.stats.stalled_ns + side.open_ns),                            \
	  "Seconds of all episodes. An open one counts up to the flow's last packet, in a live_flow up to its time.") \
	X(std::chrono::nanoseconds, longest, duration(std::max<std::uint64_t>(side.stats.longest_ns, side.open_ns)),  \
	  "Seconds of the longest episode.")                                                                          \
	X(bool, open, side.is_open, "Whether the window was closed at the end of the flow.")                          \
	X(std::optional<WallTime>, last_began_ns,                                                                     \
	  known(side.stats.episodes != 0, side.wall_time(side.stats.stalled_since_ns)),                               \
	  "When the last episode began, in nanoseconds since 1970. Null: there was none.")                            \
	X(std::optional<StallEnd>, last_ended, side.last_ended(),                                                     \
	  "How the last episode ended. resumed: with another window; fin: this endpoint sent a FIN or acknowledged "  \
	  "the peer's; reset: with a RST of either endpoint; new_connection: with a SYN of another connection; "      \
	  "timeout: it was open when the flow timed out. Null: there was none, or it was open when the agent or the " \
	  "capture ended, or it is still open.")                                                                      \
	X(std::optional<std::uint32_t>, probes, known(side.peer_seen, side.stats.probes),                             \
	  "Window probes of the peer: segments sent while the window is closed, with at most one byte, at the next "  \
	  "sequence number or the one before. An empty segment at the next number is an acknowledgement instead, "    \
	  "unless there was nothing to acknowledge. (Linux probes with an empty segment at the number before, which " \
	  "Wireshark calls a keep-alive.) Null: not known.")                                                          \
	X(std::optional<std::uint32_t>, probe_answers, known(side.peer_seen, side.stats.probe_answers),               \
	  "Answers to probes: the next segments after them, without payload and with a window that is still zero. "   \
	  "Null: not known.")

// The windows that the endpoint announced.
#define TCPWIN_WINDOW_FIELDS(X)                                                                                       \
	X(WindowScale, scale, side.scale(),                                                                           \
	  "Shift of the windows of this endpoint, at most 14. none: windows are not scaled, since a SYN of either "   \
	  "endpoint lacks the option. Null: not known, since the handshake was not seen.")                            \
	X(std::optional<WindowBytes>, min, side.window_bytes(side.progress.window_min),                               \
	  "Smallest window, in bytes, of segments with ACK and without SYN and RST. Null: the scale is not known.")   \
	X(std::optional<WindowBytes>, max, side.window_bytes(side.progress.window_max),                               \
	  "Largest window of such segments, in bytes. Null: the scale is not known.")                                 \
	X(std::optional<WindowBytes>, last, side.window_bytes(side.progress.window),                                  \
	  "Window of the last such segment that is not stale, in bytes. Null: the scale is not known.")               \
	X(std::optional<std::uint32_t>, shrinks, known(side.scaling_is_known, side.stats.window_shrinks),             \
	  "How often the right edge of the window (acknowledgement number plus window) went back by at least one "    \
	  "unit of the scale; less is rounding. Null: not known.")                                                    \
	X(std::uint32_t, updates, side.stats.window_updates,                                                          \
	  "Window updates: segments without payload that announce another window, not zero, and acknowledge nothing " \
	  "new.")                                                                                                     \
	X(std::optional<std::uint32_t>, full, known(side.scaling_is_known &&side.peer_seen, side.stats.window_full),  \
	  "Segments of the peer that reached the end of the window or went beyond it, as seen at this point of the "  \
	  "network: an estimate. (Wireshark marks those that end exactly there.) Null: not known.")

// What held the endpoint up when it sent.
#define TCPWIN_LIMITS_FIELDS(X)                                                                                               \
	X(std::chrono::nanoseconds, busy, limits_sum(side.limits.receiver, side.limits.network),                              \
	  "Seconds during which the endpoint had data to send: data was outstanding, or waited for the peer's "               \
	  "window. The sum of receiver and network.")                                                                         \
	X(std::chrono::nanoseconds, receiver, limits_sum(side.limits.receiver, 0),                                            \
	  "Seconds of busy in which the peer's window had no room for a segment, zero window or not: from the segment "       \
	  "that used up the room to the next one, if that follows within one and a half round trips after the window opens.") \
	X(std::chrono::nanoseconds, network, limits_sum(side.limits.network, 0), "Seconds of busy for the rest.")             \
	X(std::chrono::nanoseconds, application, limits_sum(side.limits.application, 0),                                      \
	  "Seconds between the first and the last data segment in which nothing was outstanding: the endpoint's own "         \
	  "application had nothing to send.")

// What the endpoint sent.
#define TCPWIN_TCP_FIELDS(X)                                                                                            \
	X(std::uint64_t, payload_bytes, side.progress.payload_bytes,                                                    \
	  "Bytes of payload sent, retransmissions included; the content of later IP fragments is not included.")        \
	X(std::uint32_t, retransmitted_segments, side.stats.retransmitted,                                              \
	  "Segments whose sequence number goes back: those with payload, SYN or FIN; not keep-alives, probes and RST.") \
	X(std::uint32_t, out_of_order_segments, side.stats.out_of_order,                                                \
	  "Segments that were overtaken on their way here. Their sequence number also goes back, but they arrive "      \
	  "within one round trip (of the handshake; 3 ms where that is not known) after the segment that they should "  \
	  "have preceded, do not end where it ends, and were not requested by two duplicate acknowledgements: "         \
	  "Wireshark's rule.")                                                                                          \
	X(std::uint32_t, ignored_segments, side.stats.ignored,                                                          \
	  "Segments of this endpoint that its peer ignored: outside the window, a RST that is not at the next number, " \
	  "a SYN that is not answered, an acknowledgement of what was never sent. They are counted in no other field "  \
	  "of the analysis and change no timeout of profile monitor. Counted once this endpoint goes on without them.") \
	X(std::uint32_t, duplicates, side.stats.duplicates,                                                             \
	  "Segments that were captured again within 2 ms, as mirror ports deliver them: the same IP id (in IPv6, flow " \
	  "label), numbers, flags, window, length and checksum. They are counted in no other field of the analysis.")   \
	X(std::uint32_t, keep_alives, side.stats.keep_alives,                                                           \
	  "Keep-alives: shaped like a probe at the number before the next, sent while the peer's window is open.")      \
	X(std::optional<std::uint32_t>, bytes_in_flight_max,                                                            \
	  known(side.progress.in_flight_max || !side.progress.payload_bytes, side.progress.in_flight_max),              \
	  "Most bytes sent and not yet acknowledged by the peer, as seen here. Null: not known.")                       \
	X(std::optional<std::chrono::nanoseconds>, handshake_rtt,                                                       \
	  known(side.stats.flags &TCPWIN_ANALYSIS_RTT, duration(side.stats.handshake_rtt_ns)),                          \
	  "Seconds from the peer's SYN to this endpoint's SYN-ACK, or from the peer's SYN-ACK to this endpoint's ACK: " \
	  "the round trip between here and this endpoint. Null: not seen, or one of them was retransmitted before.")
