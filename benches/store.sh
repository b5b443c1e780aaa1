#!/usr/bin/env bash
# Receiving, decoding and storing: CPU time and octets a flow of netflow-collector beside nfcapd, in one run. Both get the
# same datagrams over loopback and take turns; the medians are compared.
#
#   benches/store.sh [ROUNDS]
#
# Needs cc, nfcapd, zstd, python3 and the trace generator in ../shared (NETFLOW_SHARED); writes to a temporary folder.
# NETFLOW_STORE_RATE: datagrams a second.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
generator="${NETFLOW_SHARED:-../shared}/tools/gen_traffic.c"
for needed in cc nfcapd nfdump zstd python3; do
    command -v "$needed" >/dev/null || { echo "skipped: $needed is not installed"; exit 0; }
done
[ -f "$generator" ] || { echo "skipped: no $generator"; exit 0; }
[ -n "${NETFLOW_STORE_BUILT:-}" ] || cargo build --quiet --release --bins
programs="${CARGO_TARGET_DIR:-target}/release"
folder=${NETFLOW_STORE_FOLDER:-$(mktemp -d)}
[ -n "${NETFLOW_STORE_FOLDER:-}" ] || trap 'rm -rf "$folder"' EXIT
if [ ! -f "$folder/B-5.pcap" ]; then
    cc -O2 -o "$folder/generate" "$generator" -lm
    for trace in A B; do
        "$folder/generate" "$trace" "$folder/$trace.pcap" >/dev/null
        for version in 9 5; do
            "$programs/netflow-exporter" --read "$folder/$trace.pcap" --write "$folder/$trace-$version.pcap" --quiet \
                --export-version "$version" --active-timeout 60s --inactive-timeout 15s --max-flows 262144
        done
        rm "$folder/$trace.pcap"
    done
fi

python3 - "$programs/netflow-collector" "$folder" "$rounds" "${NETFLOW_STORE_RATE:-12000}" <<'PYTHON'
import json, os, shutil, signal, socket, statistics, struct, subprocess, sys, time
from glob import glob

collector, folder, rounds, rate = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
    free.bind(("127.0.0.1", 0))
    PORT = free.getsockname()[1]

def payloads(path):
    data = open(path, "rb").read()
    link, at, found = struct.unpack_from("<I", data, 20)[0], 24, []
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        packet = data[at + 16 + (14 if link == 1 else 0):at + 16 + length]
        at += 16 + length
        found.append(packet[(packet[0] & 15) * 4 + 8:])
    return found

def bound():
    with open("/proc/net/udp") as table:
        return any(f":{PORT:04X} " in line for line in table)

def send(datagrams):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    start = time.monotonic()
    for sent, datagram in enumerate(datagrams, 1):
        out.sendto(datagram, ("127.0.0.1", PORT))
        if sent % 32 == 0:
            wait = start + sent / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)

def run(command, datagrams):
    """CPU seconds, user and system, until the process has ended by itself."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not bound():
        time.sleep(0.02)
    send(datagrams)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, status, usage = os.wait4(process.pid, 0)
    return usage.ru_utime + usage.ru_stime

def emptied(name):
    path = f"{folder}/{name}"
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    return path

def ours(datagrams, addresses):
    path = emptied("store")
    cpu = run([collector, "listen", "--bind", f"127.0.0.1:{PORT}", "--store", path, "--quiet",
               "--store-addresses", addresses, "--summary", f"{folder}/summary.json"], datagrams)
    summary = json.load(open(f"{folder}/summary.json"))["store"]
    return cpu, summary["written_octets"], summary["durable_flows"]

def theirs(datagrams, flags):
    path = emptied("nfcapd")
    cpu = run(["nfcapd", "-w", path, "-b", "127.0.0.1", "-p", str(PORT), "-t", "3600", "-B", str(32 << 20), *flags], datagrams)
    file = max(glob(f"{path}/nfcapd.*"), key=os.path.getsize)
    text = subprocess.run(["nfdump", "-r", file, "-I"], capture_output=True, text=True).stdout
    flows = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Flows:"))
    return cpu, os.path.getsize(file), flows, file

for trace in ("B", "A"):
    for version in (9, 5):
        datagrams = payloads(f"{folder}/{trace}-{version}.pcap")
        results = {"addresses as text": [], "addresses as octets": [], "nfcapd -y (LZ4)": []}
        for _ in range(rounds):
            results["addresses as text"].append(ours(datagrams, "text"))
            results["addresses as octets"].append(ours(datagrams, "octets"))
            results["nfcapd -y (LZ4)"].append(theirs(datagrams, ["-y"])[:3])
        # What nfdump would take with zstd: this version has none, so its file is compressed as a whole, which flatters it.
        _, _, flows, file = theirs(datagrams, [])
        zstd = len(subprocess.run(["zstd", "-q", "-3", "-c", file], capture_output=True).stdout) / flows
        median = {name: statistics.median(cpu / flows * 1e9 for cpu, _, flows in runs) for name, runs in results.items()}
        size = {name: runs[-1][1] / runs[-1][2] for name, runs in results.items()}
        base = median["nfcapd -y (LZ4)"]
        print(f"trace {trace}, v{version}: {flows} flows in {len(datagrams)} datagrams")
        for name in results:
            print(f"  {name:<19} {median[name]:6.0f} ns CPU a flow, {median[name] / base:5.2f} of nfcapd's   {size[name]:6.2f} octets a flow, {size[name] / zstd:4.2f}   {results[name][-1][2]} stored")
        print(f"  nfcapd, then zstd -3 over the whole file: {zstd:6.2f} octets a flow, 1.00", flush=True)
PYTHON
