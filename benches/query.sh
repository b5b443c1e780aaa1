#!/usr/bin/env bash
# Questions to stored flows of a month, beside nfdump over its own files and DuckDB over ours, in one run.
#
#   benches/query.sh FOLDER [FLOWS [DAYS]]     makes what is not there yet: FLOWS flows (50000000) over DAYS days (30)
#
# The flows go through an exporter and the collector into files of five minutes, and as the same datagrams to nfcapd, at
# RATE flows a second (130000); what nfcapd lost is told. Each program answers ROUNDS times (3), in turns; the fastest
# counts, with its CPU time and the most memory. Everything is in the cache of the system then. Needs nfcapd, nfdump, curl
# and a Python with duckdb in NETFLOW_PYTHON. ANSWERS=only makes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?a folder for the flows} flows=${2:-50000000} days=${3:-30}
python=${NETFLOW_PYTHON:-python3} rounds=${ROUNDS:-3} rate=${RATE:-130000}
collector=${CARGO_TARGET_DIR:-target}/release/netflow-collector
mkdir -p "$folder/nfdump"

if [ "${ANSWERS:-}" != only ] && ! [ -e "$folder/done" ]; then
    cargo build -q --release -p netflow-probe-example --bin netflow-collector --example fill_store
    nfcapd -w "$folder/nfdump" -p 29995 -b 127.0.0.1 -B 33554432 -t 60 -y >"$folder/nfcapd.log" 2>&1 &
    nfcapd=$!
    sleep 1
    "${CARGO_TARGET_DIR:-target}/release/examples/fill_store" "$folder/store" "$flows" "$days" 0 1000 127.0.0.1:29995 "$rate"
    kill "$nfcapd" && wait "$nfcapd" || true
    touch "$folder/done"
fi
stored=$(nfdump -q -R "$folder/nfdump" -I 2>/dev/null | awk '/^Flows:/ { sum += $2 } END { print sum + 0 }')
echo "$(find "$folder/store" -name '*.parquet' | wc -l) files of ours, $(du -sm "$folder/store" | cut -f1) MiB;" \
    "nfdump has $stored of $flows flows in $(find "$folder/nfdump" -name 'nfcapd.*' | wc -l) files, $(du -sm "$folder/nfdump" | cut -f1) MiB"

awk 'BEGIN { srand(7); for (i = 1; i < 100000; i++) printf "%d.%d.%d.%d\n", 46 + rand() * 100, rand() * 256, rand() * 256, rand() * 256; print "198.18.7.7" }' >"$folder/indicators"

# Asks a question by a command, and remembers what it took.
declare -A answers
ask() {
    local name=$1; shift
    /usr/bin/env time -f "%e %U %S %M" -o "$folder/time" "$@" >"$folder/answer.$name" 2>/dev/null || true
    answers[$name]+="$(tail -1 "$folder/time")"$'\n'
}
tell() {
    local elapsed user system memory
    read -r elapsed user system memory < <(grep . <<<"${answers[$1]}" | sort -n | head -1)
    memory=$(grep . <<<"${answers[$1]}" | awk '{ print $4 }' | sort -n | tail -1)
    printf '%-20s %7.2f s %7.2f s CPU %6d MiB\n' "$1" "$elapsed" "$(awk "BEGIN { print $user + $system }")" $((memory / 1024))
}
cat >"$folder/sql.py" <<'PYTHON'
import os, sys, duckdb
duckdb.sql(f"set threads={os.cpu_count()}")
duckdb.sql("set enable_progress_bar=false")
print(duckdb.sql(sys.argv[1]).fetchall())
PYTHON
parquet="read_parquet('$folder/store/**/*.parquet')"
from=2026-03-01 to=2026-04-01 address=198.18.7.7

for ((round = 0; round < rounds; round++)); do
    ask address-ours "$collector" query --store "$folder/store" --from $from --to $to -q "ip $address"
    ask address-nfdump nfdump -q -R "$folder/nfdump" "ip $address"
    ask address-duckdb "$python" "$folder/sql.py" "select * from $parquet where src_addr = '$address' or dst_addr = '$address'"
    ask top10-ours "$collector" query --store "$folder/store" --from $from --to $to -q -s srcip/bytes
    ask top10-nfdump nfdump -q -R "$folder/nfdump" -s srcip/bytes -n 10
    ask top10-duckdb "$python" "$folder/sql.py" "select src_addr, sum(bytes), count(*) from $parquet group by 1 order by 2 desc limit 10"
    ask graph-duckdb "$python" "$folder/sql.py" "select time_bucket(interval '6 hours', time_flow_start_ns::timestamp), proto, sum(bytes), sum(packets), count(*) from $parquet group by 1, 2"
done
ask indicators-ours "$collector" ioc --store "$folder/store" --indicators "$folder/indicators" --json

# The page's first graph: of a server that has just been started.
for ((round = 0; round < rounds; round++)); do
    "$collector" serve --store "$folder/store" --bind 127.0.0.1:28080 >/dev/null 2>&1 &
    server=$!
    until curl -s -o /dev/null http://127.0.0.1:28080/; do sleep 0.1; done
    elapsed=$(curl -s -o "$folder/answer.graph-ours" -w '%{time_total}' "http://127.0.0.1:28080/api/series?by=proto&from=1772323200&to=1774915200")
    answers[graph-ours]+="$elapsed $(awk '{ print $14 / 100, $15 / 100 }' "/proc/$server/stat") $(awk '/VmHWM/ { print $2 }' "/proc/$server/status")"$'\n'
    kill "$server"; wait "$server" || true
done

for name in address-ours address-nfdump address-duckdb top10-ours top10-nfdump top10-duckdb graph-ours graph-duckdb indicators-ours; do
    tell $name
done
