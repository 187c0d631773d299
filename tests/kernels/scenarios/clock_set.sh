# SPDX-License-Identifier: Apache-2.0
# The system clock is set while a flow is alive: its record has times of the new clock and the true duration.
. /tests/library.sh

HOUR=3600

seconds_of() { # FIELD: of the only record
	in_records ".[0].$1 / 1e9 | floor"
}

make_network
# shellcheck disable=SC2086 # several options
start_agent server "$DEVICE" $LONG
open_connection
say before
date -s "@$(($(date +%s) + HOUR))" >/dev/null
say after
close_connection
stop_agent
now=$(date +%s)

expect 'records' "$(in_records length)" 1
expect_between 'end' "$(seconds_of end_ns)" $((now - 20)) $((now + 1))
expect_between 'start' "$(seconds_of start_ns)" $((now - 30)) $((now + 1))
expect_between 'duration' "$(in_records '.[0].duration | floor')" 0 30
expect_every_packet 4
pass
