# SPDX-License-Identifier: Apache-2.0
# Native XDP on a veth: loads, attaches, counts every packet of a real connection, leaves nothing behind.
. /tests/library.sh

make_network
# shellcheck disable=SC2086 # several options
start_agent server "$DEVICE" --mode native $LONG
expect_capabilities "$NO_CAPABILITY"
expect 'XDP mode (1: native)' "$(link server "$DEVICE" .xdp.mode)" 1
transfer 1000000
stop_agent INT

expect_every_packet 20
expect 'records' "$(in_records 'map([.end_reason, .a.ip, .b, .in_iface])')" "[[\"shutdown\",\"$CLIENT\",null,\"$DEVICE\"]]"
expect_nothing_attached server "$DEVICE"
pass
