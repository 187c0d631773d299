# SPDX-License-Identifier: Apache-2.0
# An interface that appears after the agent has dropped its privileges is attached in both directions, and detached at the end.
. /tests/library.sh

LATER=later0

make_network
start_agent server any --timeout-est 60s --timeout-bgn 60s --timeout-new 60s
expect_capabilities "$NET_ADMIN"
ip -n server link add name $LATER type veth peer name far0 netns client
ip -n server link set dev $LATER addrgenmode none up
ip -n client link set dev far0 addrgenmode none up
wait_until 180 grep -q "attached to $LATER in native mode; outgoing packets by" "$REPORT" || fail "$LATER is not attached"
transfer 1000
stop_agent
expect 'records' "$(in_records 'map(.in_iface)')" "[\"$DEVICE\"]"
expect_nothing_attached server "$DEVICE"
expect_nothing_attached server $LATER
pass
