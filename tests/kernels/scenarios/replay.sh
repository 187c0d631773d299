# SPDX-License-Identifier: Apache-2.0
# Captures give the same records and report, byte for byte, in the XDP program and in user space.
. /tests/library.sh

CAPTURES='http_ip4and6.pcapng ftp_ipv6.pcap vlan_collisions.pcap ipv4_fragmented_syn.pcap zerowindow_recovery.pcapng
	gnutella_scan.pcap semantics/22_v6frag.pcap'

replay() { # ENGINE CAPTURE OPTIONS...
	engine=$1 capture=$2
	shift 2
	tcpwin-agent replay --engine "$engine" --packets "$WORK/$engine.packets" "$@" "/captures/$capture" \
		>"$WORK/$engine.flows" 2>"$WORK/$engine.report" ||
		fail "$capture, engine $engine: $(tail -n 3 "$WORK/$engine.report")"
	# Differs: the kernel engine sweeps less often, so more expired flows wait in its table.
	sed -i '/^Largest number of flows/d' "$WORK/$engine.report"
}

compare() { # CAPTURE OPTIONS...
	replay portable "$@"
	replay kernel "$@"
	[ -s "$WORK/portable.flows" ] || fail "$capture: no records"
	for what in flows packets report; do
		cmp "$WORK/portable.$what" "$WORK/kernel.$what" || fail "$capture: other $what than in user space"
	done
}

for capture in $CAPTURES; do
	compare "$capture"
done
compare gnutella_scan.pcap --max-flows 4
grep -q '"end_reason":"evicted"' "$WORK/kernel.flows" || fail 'no flow was evicted'
pass
