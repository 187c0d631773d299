# SPDX-License-Identifier: Apache-2.0
# The same with generic XDP: GRO and segmentation offload make larger, fewer packets.
. /tests/library.sh

make_network
# shellcheck disable=SC2086 # several options
start_agent server "$DEVICE" --mode generic $LONG
expect 'XDP mode (2: generic)' "$(link server "$DEVICE" .xdp.mode)" 2
transfer 1000000
stop_agent INT

expect_every_packet 20
expect 'records' "$(in_records 'map([.end_reason, .a.ip, .b, .in_iface])')" "[[\"shutdown\",\"$CLIENT\",null,\"$DEVICE\"]]"
expect_nothing_attached server "$DEVICE"
pass
