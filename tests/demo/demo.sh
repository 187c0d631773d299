#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows tcpwin-agent at work: a real download, recorded once, runs over a virtual cable, and the agent watches its end.
# Needs root; touches nothing but the two network namespaces and the directory that it makes, and removes them.
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
	[[ $EUID -eq 0 ]] || fail "it needs root for network namespaces and BPF: sudo make demo"
	[[ -x $agent ]] || fail "there is no agent at $agent: make build"
	local tool
	for tool in ip nsenter tcpreplay python3; do
		command -v "$tool" >/dev/null || fail "$tool is not installed: sudo make demo installs it"
	done
}

# No addresses, no ARP, no IPv6: nothing but the replayed packets is on the cable.
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
	nsenter --net="/run/netns/$right" "$agent" attach "$watched" >"$work/flows.json" 2>"$work/report" &
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
	[[ $try -lt 100 ]] || fail "the agent does not end"
	wait "$agent_pid" || status=$?
	agent_pid=
	[[ $status -eq 0 ]] || fail "the agent ended with exit code $status: $(cat "$work/report")"
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

check_prerequisites
work=$(mktemp -d)

step "Two network namespaces and a virtual cable (veth) between them"
make_cable
echo "$left/$sender --- $right/$watched"

step "The agent watches one end: tcpwin-agent attach $watched"
start_agent

step "The other end replays $packets packets of a real download, as fast as they once came (3.4 s)"
replay

step "SIGTERM to the agent (Ctrl-C does the same): it writes the flows that are left, and detaches"
stop_agent

step "The flow records, one JSON object a line in the output, broken into lines here"
python3 "$top/tests/demo/explain.py" flows "$work/flows.json"

step "The agent's end report (standard error)"
grep -v '^tcpwin-agent: attached' "$work/report"

step "What one sees"
python3 "$top/tests/demo/explain.py" summary "$work/flows.json"
