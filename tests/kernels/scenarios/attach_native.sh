# SPDX-License-Identifier: Apache-2.0
# Native XDP on a veth: loads, attaches, counts every packet of a real connection, leaves nothing attached.
. /tests/library.sh

make_network
# shellcheck disable=SC2086 # several options
start_agent server "$DEVICE" --mode native $LONG
expect_capabilities "$NO_CAPABILITY"
expect 'XDP mode (1: native)' "$(link server "$DEVICE" .xdp.mode)" 1
transfer 1000000
stop_agent INT

expect_one_record 20
pass
