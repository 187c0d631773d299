# SPDX-License-Identifier: Apache-2.0
# The effort of the verifier, which differs between kernels: far below its limit of 1,000,000 instructions per program.
. /tests/library.sh

MOST=250000

make_network
# shellcheck disable=SC2086 # several options
start_agent server "$DEVICE" --verbose $LONG
stop_agent INT
efforts=$(sed -n 's/^processed \([0-9]*\) insns.*/\1/p' "$REPORT")
expect 'programs' "$(echo "$efforts" | wc -l)" 4
for effort in $efforts; do
	[ "$effort" -lt $MOST ] || fail "the verifier processed $effort instructions"
done
pass
