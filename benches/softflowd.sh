#!/usr/bin/env bash
# Whole-process CPU time and memory of netflow-exporter beside softflowd: both read a trace of two million packets and
# send NetFlow v9 to a socket on loopback. They take turns; the medians are compared.
#
#   benches/softflowd.sh [ROUNDS]
#
# Needs cc, softflowd and the trace generator in ../shared (NETFLOW_SHARED); writes to a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
generator="${NETFLOW_SHARED:-../shared}/tools/gen_traffic.c"
for needed in cc softflowd python3; do
    command -v "$needed" >/dev/null || { echo "skipped: $needed is not installed"; exit 0; }
done
[ -f "$generator" ] || { echo "skipped: no $generator"; exit 0; }
cargo build --quiet --release --bin netflow-exporter
exporter="${CARGO_TARGET_DIR:-target}/release/netflow-exporter"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cc -O2 -o "$folder/generate" "$generator" -lm
for trace in A B; do "$folder/generate" "$trace" "$folder/$trace.pcap" >/dev/null; done

python3 - "$exporter" "$folder" "$rounds" <<'PYTHON'
import os, socket, statistics, subprocess, sys, threading

exporter, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(("127.0.0.1", 0))
port = sink.getsockname()[1]

def drain():
    while True:
        sink.recv(65535)

threading.Thread(target=drain, daemon=True).start()

def run(command):
    """CPU seconds, user and system, and peak memory in MiB of one process."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command} failed: {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

for trace, flows in (("A", 262144), ("B", 2000000)):
    capture = f"{folder}/{trace}.pcap"
    ours = [exporter, "--read", capture, "--collector", f"127.0.0.1:{port}", "--rate-limit", "0", "--quiet",
            "--active-timeout", "60s", "--inactive-timeout", "15s", "--max-flows", "262144"]
    # By the clock of the packets, and with room for all flows.
    theirs = ["softflowd", "-d", "-r", capture, "-n", f"127.0.0.1:{port}", "-v", "9", "-a", "-m", str(flows),
              *[f for t in ("general", "tcp", "udp", "icmp", "tcp.rst", "tcp.fin") for f in ("-t", f"{t}=15")],
              "-t", "maxlife=60"]
    results = {"netflow-exporter": [], "softflowd": [], "softflowd, 8192 flows": []}
    default = [part if part != str(flows) else "8192" for part in theirs]
    for _ in range(rounds):
        results["netflow-exporter"].append(run(ours))
        results["softflowd"].append(run(theirs))
        results["softflowd, 8192 flows"].append(run(default))
    base = statistics.median(cpu for cpu, _ in results["netflow-exporter"])
    print(f"trace {trace}: 2,000,000 packets")
    for name, runs in results.items():
        cpu = statistics.median(cpu for cpu, _ in runs)
        memory = max(memory for _, memory in runs)
        print(f"  {name:<24} {cpu:6.3f} s CPU   {cpu / base:5.2f} times ours   {memory:7.1f} MiB")
PYTHON
