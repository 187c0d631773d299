# SPDX-License-Identifier: Apache-2.0
# Both directions of an end host: XDP or clsact for incoming packets, clsact for outgoing ones; nothing is left attached.
. /tests/library.sh

both_directions() { # ARGUMENTS...
	# shellcheck disable=SC2086 # several options
	start_agent server "$DEVICE" "$@" $WAITING
	expect_capabilities "$(tc -n server qdisc show dev "$DEVICE" | grep -q clsact && echo "$NET_ADMIN" || echo "$NO_CAPABILITY")"
	transfer 100000
	stop_agent INT
	expect "records with $*" "$(in_records length)" 1
	expect 'packets in records' "$(packets_in_records)" "$(reported 'Packets seen')"
	expect 'both sides were seen' "$(in_records '.[0].b.packets > 2 and .[0].a.packets > 2')" true
	expect_nothing_attached server "$DEVICE"
}

make_network
both_directions --mode native
expect 'hooks' "$(in_records '.[0].hooks')" '["xdp","tc_egress"]'
both_directions --mode tc
expect 'hooks' "$(in_records '.[0].hooks')" '["tc_ingress","tc_egress"]'
pass
