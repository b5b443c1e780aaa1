#!/usr/bin/env bash
# Questions to stored flows, beside nfdump over its own files and DuckDB over ours, in one run.
#
#   benches/query.sh FOLDER [FLOWS [DAYS]]     makes what is not there yet: FLOWS flows (50000000) over DAYS days (30)
#
# The flows go to our store and, as the same datagrams, to nfcapd, PART of them, whose times are multiplied
# accordingly. Needs nfcapd and nfdump, and a Python with duckdb in NETFLOW_PYTHON. Say ANSWERS=only to make nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?a folder for the flows} flows=${2:-50000000} days=${3:-30}
python=${NETFLOW_PYTHON:-python3}
part=${PART:-100}  # thousandths of the flows
collector=target/release/netflow-collector
mkdir -p "$folder/nfdump"

if [ "${ANSWERS:-}" != only ]; then
    cargo build -q --release -p netflow-probe-example --bin netflow-collector --example fill_store
    fill=target/release/examples/fill_store
    if ! [ -e "$folder/done" ]; then
        nfcapd -w "$folder/nfdump" -p 29995 -b 127.0.0.1 -B 33554432 -t 3600 -y >/dev/null 2>&1 &
        nfcapd=$!
        sleep 1
        for ((from = 0; from < 1000; from += part)); do
            to=$((from + part > 1000 ? 1000 : from + part))
            peer=()
            ((from > 0)) || peer=(127.0.0.1:29995 150000)
            "$fill" "$folder/store" "$flows" "$days" "$from" "$to" "${peer[@]}"
        done
        kill "$nfcapd" && wait "$nfcapd" || true
        touch "$folder/done"
    fi
fi

# Seconds of the fastest of three, and the most memory in MiB.
best() {
    local name=$1; shift
    local fastest=""
    for _ in 1 2 3; do
        /usr/bin/env time -f "%e %M" -o "$folder/time" "$@" >"$folder/answer.$name" 2>/dev/null || true
        fastest=$( (echo "$fastest"; cat "$folder/time") | grep . | sort -n | head -1)
    done
    read -r seconds memory <<<"$fastest"
    printf '%-28s %8.2f s %8d MiB\n' "$name" "$seconds" $((memory / 1024))
}

copies=$((1000 / part))
parquet="read_parquet('$folder/store/**/*.parquet')"

address=198.18.7.7
best ours-address "$collector" query --store "$folder/store" --from 2026-03-01 --to 2026-04-01 -q "ip $address"
best nfdump-address-part nfdump -q -R "$folder/nfdump" "ip $address"
best duckdb-address "$python" -c "import duckdb; duckdb.sql('set threads=2'); print(len(duckdb.sql(\"select * from $parquet where src_addr='$address' or dst_addr='$address'\").fetchall()))"
best ours-top10 "$collector" query --store "$folder/store" -q -s srcip/bytes
best nfdump-top10-part nfdump -q -R "$folder/nfdump" -s srcip/bytes -n 10
best duckdb-top10 "$python" -c "import duckdb; duckdb.sql('set threads=2'); print(duckdb.sql(\"select src_addr, sum(bytes), count(*) from $parquet group by 1 order by 2 desc limit 10\").fetchall())"
echo "nfdump has read $part of 1000 parts: its times are to be multiplied by $copies"
