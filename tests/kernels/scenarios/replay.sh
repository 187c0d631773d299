# SPDX-License-Identifier: Apache-2.0
# Captures give the same records and report, byte for byte, in the XDP program and in user space.
. /tests/library.sh

CAPTURES='http_ip4and6.pcapng ftp_ipv6.pcap vlan_collisions.pcap ipv4_fragmented_syn.pcap zerowindow_recovery.pcapng
	gnutella_scan.pcap semantics/22_v6frag.pcap'

replay() { # ENGINE CAPTURE
	tcpwin-agent replay --engine "$1" --packets "$WORK/$1.packets" "/captures/$2" >"$WORK/$1.flows" 2>"$WORK/$1.report" ||
		fail "$2, engine $1: $(tail -n 3 "$WORK/$1.report")"
	# Differs: the kernel engine sweeps less often, so more expired flows wait in its table.
	sed -i '/^Largest number of flows/d' "$WORK/$1.report"
}

for capture in $CAPTURES; do
	replay portable "$capture"
	replay kernel "$capture"
	[ -s "$WORK/portable.flows" ] || fail "$capture: no records"
	for what in flows packets report; do
		cmp "$WORK/portable.$what" "$WORK/kernel.$what" || fail "$capture: other $what than in user space"
	done
done
pass
