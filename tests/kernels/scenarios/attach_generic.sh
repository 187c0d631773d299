# SPDX-License-Identifier: Apache-2.0
# Generic XDP on a veth, as attach_native.sh. GRO and segmentation offload make fewer and larger packets.
. /tests/library.sh

make_network
# shellcheck disable=SC2086 # several options
start_agent server "$DEVICE" --mode generic $LONG
expect 'XDP mode (2: generic)' "$(link server "$DEVICE" .xdp.mode)" 2
transfer 1000000
stop_agent INT

expect_one_record 20
pass
