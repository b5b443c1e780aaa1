#!/usr/bin/env bash
# Soak: netflow-exporter on an interface for ten minutes, as many packets as tcpreplay can send, two million of them over and
# over; the collector beside it. Prints its memory once in a while and the closing account, and fails if memory grew by more
# than a twentieth behind the first minute, when flows have begun to end by the active timeout, or if a packet is unaccounted
# for. Of a run that is no longer than a minute it says that memory was not judged.
#
#   benches/soak.sh [SECONDS] [PACKETS_PER_SECOND]
#
# Needs root, cc, tcpreplay, iproute2 and the trace generator in ../shared (NETFLOW_SHARED).
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
rate=${2:-}
generator="${NETFLOW_SHARED:-../shared}/tools/gen_traffic.c"
for needed in cc tcpreplay ip; do
    command -v "$needed" >/dev/null || { echo "skipped: $needed is not installed"; exit 0; }
done
[ -f "$generator" ] || { echo "skipped: no $generator"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "skipped: network namespaces need root"; exit 0; }
cargo build --quiet --release --features live --bin netflow-exporter --bin netflow-collector
release="${CARGO_TARGET_DIR:-target}/release"
folder=$(mktemp -d)
network="nfx-soak-$$"
cleanup() {
    ip netns pids "$network" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    ip netns del "$network" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT
cc -O2 -o "$folder/generate" "$generator" -lm
"$folder/generate" B "$folder/B.pcap" >/dev/null
ip netns add "$network"
inside() { ip netns exec "$network" "$@"; }
ip -n "$network" link set lo up
inside sh -c 'for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done'
ip -n "$network" link add out0 mtu 9000 type veth peer name in0 mtu 9000
for end in out0 in0; do ip -n "$network" link set "$end" up; done
ip netns exec "$network" "$release/netflow-collector" listen --bind 127.0.0.1:2055 --receive-buffer 67108864 --output /dev/null \
    --summary "$folder/summary.json" 2>/dev/null &
collector=$!
ip netns exec "$network" "$release/netflow-exporter" --interface in0 --direction in --collector 127.0.0.1:2055 --rate-limit 0 \
    --active-timeout 60s --inactive-timeout 15s 2>"$folder/account" &
exporter=$!
until grep -q "capturing from" "$folder/account"; do sleep 0.1; done
speed=(--topspeed)
[ -z "$rate" ] || speed=(--pps "$rate")
ip netns exec "$network" timeout -s INT "$seconds" tcpreplay -q -i out0 --preload-pcap "${speed[@]}" --loop 0 "$folder/B.pcap" >/dev/null 2>&1 &
sender=$!
memory() { awk '/VmRSS/ { print $2 }' "/proc/$exporter/status"; }
settled=60
first=
for tenth in 1 2 3 4 5 6 7 8 9 10; do
    sleep "$(awk "BEGIN { print $seconds / 10 }")"
    now=$(memory)
    [ -n "$first" ] || [ $((seconds * tenth / 10)) -lt "$settled" ] || first=$now
    echo "after $((seconds * tenth / 10)) s: $((now / 1024)) MiB"
done
wait "$sender" || true
kill -TERM "$exporter"
wait "$exporter"
kill -TERM "$collector"
wait "$collector" || true
cat "$folder/account"
number() { awk -v label="$1" 'index($0, label) { sub(".*" label " +", ""); print $1; exit }' "$folder/account"; }
captured=$(number "packets captured"); read=$(number "packets read")
dropped=$(number "dropped by the kernel"); left=$(number "left when it ended")
[ "$captured" = $((read + dropped + left)) ] || { echo "packets are unaccounted for" >&2; exit 1; }
if [ "$seconds" -le "$settled" ]; then
    echo "memory was not judged: it takes more than $settled s"
elif [ "$now" -gt $((first + first / 20)) ]; then
    echo "memory grew from $first to $now KiB" >&2
    exit 1
fi
# What the collector missed by the sequence numbers.
sequence=$(tr -d ' \n' <"$folder/summary.json" | grep -o '"sequence":{[^}]*}') || { echo "the collector has no summary" >&2; exit 1; }
echo "${sequence%%$'\n'*}"
