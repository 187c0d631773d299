# SPDX-License-Identifier: Apache-2.0
# Turns the headers of include/tcpwin into those of another version: members and counters
# are new, in another order, of another width, or have a former name.
s/_assert(condition, text)$/_assert(1, text)/
s/error \\"-Wpadded\\"/ignored \\"-Wpadded\\"/
s/^#define TCPWIN_LAYOUT_VERSION .*/#define TCPWIN_LAYOUT_VERSION 999/
s/^\tX(FLOWS_CREATED,/\tX(NOVELTY, "novelty", "what we do not know") \\\n&/
/^struct tcpwin_key {/,/^}/ {
	/^\t__u16 vlan;/d
	s/^\t__u16 port\[2\];/\t__u16 vlan;\n&/
}
/^struct tcpwin_direction {/,/^}/ {
	/^\t__u64 packets;/d
	s/^struct tcpwin_direction {/&\n\t__u64 packets;\n\t__u64 novelty;/
	s/^\t__u32 zero_window_count;/\t__u64 zero_window_count;/
}
/^struct tcpwin_flow {/,/^}/ s/^\t__u64 seq;/#define seq word\n&/
# Messages whose type is 0, as in layouts that have none.
s/^\tTCPWIN_MESSAGE_NONE,/\tTCPWIN_MESSAGE_NONE = -1,/
/^struct tcpwin_record {/,/^}/ {
	/^\tstruct tcpwin_key key;/d
	s/^\tstruct tcpwin_flow flow;/&\n\tstruct tcpwin_key key;/
}
