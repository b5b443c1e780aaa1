#!/usr/bin/env bash
# Whole-process CPU time of netflow-collector beside nfcapd and nfacctd: each receives, decodes and stores the same NetFlow
# v5 and v9 from loopback, one after the other in turns. The medians are compared, per flow.
#
#   benches/collector.sh [ROUNDS]
#
# Needs cc, nfdump, pmacct and the trace generator in ../shared (NETFLOW_SHARED); writes to a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
generator="${NETFLOW_SHARED:-../shared}/tools/gen_traffic.c"
for needed in cc nfcapd nfdump nfacctd python3; do
    command -v "$needed" >/dev/null || { echo "skipped: $needed is not installed"; exit 0; }
done
[ -f "$generator" ] || { echo "skipped: no $generator"; exit 0; }
cargo build --quiet --release --bins -p netflow-probe-example
programs="${CARGO_TARGET_DIR:-target}/release"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cc -O2 -o "$folder/generate" "$generator" -lm
"$folder/generate" B "$folder/B.pcap" >/dev/null
for version in 5 9; do
    "$programs/netflow-exporter" --read "$folder/B.pcap" --write "$folder/v$version.pcap" --export-version $version \
        --active-timeout 60s --inactive-timeout 15s --quiet
done
rm "$folder/B.pcap"
python3 benches/collector.py "$programs/netflow-collector" "$folder" "$rounds"
