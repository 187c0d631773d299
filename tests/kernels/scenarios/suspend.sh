# SPDX-License-Identifier: Apache-2.0
# Time asleep counts: a flow that expires during the sleep ends right after the resume, and all times are right.
. /tests/library.sh

# Seconds. An agent that does not count the sleep ends the flow TIMEOUT after its last packet.
ASLEEP=6 TIMEOUT=4 RIGHT_AFTER=3

second_of() { # RECORD FIELD
	in_records ".[$1].$2 / 1e9 | floor"
}

make_network
start_agent server "$DEVICE" --direction ingress --timeout-est "${TIMEOUT}s" --timeout-abrt 60s
open_connection
say before
asleep=$(date +%s)
suspend_to_memory "$ASLEEP"
awake=$(date +%s)
wait_until $RIGHT_AFTER has_records 1 || fail 'the flow is still alive after the resume'
say after
close_connection
stop_agent

expect 'end reasons' "$(in_records 'map(.end_reason)')" '["idle_timeout","shutdown"]'
expect_between 'end of the flow before' "$(second_of 0 end_ns)" $((asleep - 2)) $((asleep + 1))
expect_between 'start of the flow after' "$(second_of 1 start_ns)" $((awake - 1)) $((awake + 5))
expect_every_packet 4
pass
