#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows tcpwin-agent at work: a recorded download is replayed over a virtual cable, and the agent watches one end.
# Needs root. Creates two network namespaces and a temporary directory, and removes them; touches nothing else.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
agent=${TCPWIN_AGENT:-$top/build/tcpwin-agent}
capture=$top/tests/captures/http_206.pcap
packets=1285 # the first 3.4 seconds

left=tcpwin-demo$$-left
right=tcpwin-demo$$-right
sender=sender0 watched=watched0
work='' agent_pid=''

cleanup() {
	[[ -z $agent_pid ]] || kill -KILL "$agent_pid" 2>/dev/null || true
	[[ ! -e /run/netns/$left ]] || ip netns delete "$left"
	[[ ! -e /run/netns/$right ]] || ip netns delete "$right"
	[[ -z $work ]] || rm -rf "$work"
}

step() { printf '\n== %s\n' "$*"; }

fail() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

inside() { # NAMESPACE COMMAND...
	local namespace=$1
	shift
	nsenter --net="/run/netns/$namespace" "$@"
}

check_prerequisites() {
	[[ $EUID -eq 0 ]] || fail "network namespaces and BPF need root: sudo make demo"
	[[ -x $agent ]] || fail "no agent at $agent: run make build"
	local tool
	for tool in ip nsenter tcpreplay; do
		command -v "$tool" >/dev/null || fail "$tool is not installed: sudo make demo installs it"
	done
}

# No addresses, no ARP, no IPv6: the cable carries only the replayed packets.
make_cable() {
	local namespace
	for namespace in "$left" "$right"; do
		ip netns add "$namespace"
		inside "$namespace" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6' 2>/dev/null || true
	done
	ip -n "$left" link add name "$sender" type veth peer name "$watched" netns "$right"
	ip -n "$left" link set dev "$sender" addrgenmode none arp off up
	ip -n "$right" link set dev "$watched" addrgenmode none arp off up
}

start_agent() {
	# nsenter becomes the agent, so $! is the agent's process id.
	nsenter --net="/run/netns/$right" "$agent" attach "$watched" --profile monitor >"$work/flows.json" 2>"$work/report" &
	agent_pid=$!
	local try
	for try in {1..100}; do
		! grep -s "attached to $watched" "$work/report" || return 0
		kill -0 "$agent_pid" 2>/dev/null || break
		sleep 0.1
	done
	fail "the agent did not attach: $(cat "$work/report")"
}

replay() {
	inside "$left" tcpreplay --quiet --limit="$packets" --intf1="$sender" "$capture" >"$work/replay" 2>&1 ||
		fail "tcpreplay failed: $(cat "$work/replay")"
	grep '^Actual' "$work/replay"
}

stop_agent() {
	local status=0 try
	kill -TERM "$agent_pid"
	for try in {1..100}; do
		kill -0 "$agent_pid" 2>/dev/null || break
		sleep 0.1
	done
	[[ $try -lt 100 ]] || fail "the agent does not stop"
	wait "$agent_pid" || status=$?
	agent_pid=
	[[ $status -eq 0 ]] || fail "the agent failed with exit code $status: $(cat "$work/report")"
}

# Records are one line each. Here the parts of a record start new lines.
show_records() {
	sed -E 's/,"(a|b|receiver)":\{/,\n  "\1":{/g; s/,"(stall|window|tcp)":\{/,\n    "\1":{/g' "$work/flows.json"
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

check_prerequisites
work=$(mktemp -d)

step "Set-up: two network namespaces, connected by a virtual cable (veth)"
make_cable
echo "$left/$sender --- $right/$watched"

step "Start the agent on one end: tcpwin-agent attach $watched --profile monitor"
start_agent

step "Replay a real download from the other end: $packets packets, at their recorded speed (3.4 s)"
replay

step "Stop the agent (SIGTERM, as Ctrl-C): it writes the records of the remaining flows and detaches"
stop_agent

step "Which receiver stopped reading, and for how long? tcpwin-agent explain flows.json"
"$agent" explain "$work/flows.json"

step "The records behind it, as JSON: alarms while a flow runs, and one record per flow"
show_records

step "The agent's summary at its end (standard error)"
grep -v '^tcpwin-agent: attached' "$work/report"
