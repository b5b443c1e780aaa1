#!/usr/bin/env bash
# netflow-exporter on an interface beside softflowd and pmacctd (nfprobe): packets lost, CPU time for each packet, memory.
#
#   benches/live.sh [compare] [share]
#
# tcpreplay plays trace A into a virtual cable, on one core; the programs have the other one. `compare` plays at the rates
# RATES (default "100000 300000") to each of them. `share` gives netflow-exporter PERCENT (default 5) of its core, by the
# kernel's bandwidth control, and looks for the rate at which it begins to lose packets. Packets lost are those sent that
# are in no flow at the collector. Each of the two takes less than a minute.
#
# Needs root, cc, tcpreplay, iproute2, softflowd, pmacct, python3, cgroups with cpu.cfs_quota_us, and the trace generator
# in ../shared (NETFLOW_SHARED); writes to a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."
generator="${NETFLOW_SHARED:-../shared}/tools/gen_traffic.c"
for needed in cc tcpreplay ip softflowd softflowctl pmacctd python3; do
    command -v "$needed" >/dev/null || { echo "skipped: $needed is not installed"; exit 0; }
done
[ -f "$generator" ] || { echo "skipped: no $generator"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "skipped: network namespaces need root"; exit 0; }
[ -d /sys/fs/cgroup/cpu ] || { echo "skipped: no cgroups with bandwidth control"; exit 0; }
cargo build --quiet --release --features live --bin netflow-exporter --bin netflow-collector
release="${CARGO_TARGET_DIR:-target}/release"
folder=$(mktemp -d)
network="nfx-bench-$$"
groups="/sys/fs/cgroup/cpu/$network"
cleanup() {
    ip netns pids "$network" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    ip netns del "$network" 2>/dev/null || true
    for group in "$groups".*; do rmdir "$group" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap cleanup EXIT
cc -O2 -o "$folder/generate" "$generator" -lm
"$folder/generate" A "$folder/whole.pcap" >/dev/null
ip netns add "$network"
ip -n "$network" link set lo up
ip netns exec "$network" sh -c 'for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done'
ip -n "$network" link add out0 mtu 9000 type veth peer name in0 mtu 9000
for end in out0 in0; do ip -n "$network" link set "$end" up; done

python3 - "$release" "$folder" "$network" "$groups" "${PERCENT:-5}" "${RATES:-100000 300000}" "${@:-compare share}" <<'PYTHON'
import glob, json, os, re, signal, struct, subprocess, sys, time

release, folder, network, groups, percent, rates, *parts = sys.argv[1:]
parts = " ".join(parts).split()
PERIOD, PORT, PACKETS = 20_000, 9995, 300_000
quota = PERIOD * int(percent) // 100

# The beginning of the trace, which the sender keeps in memory.
with open(f"{folder}/whole.pcap", "rb") as whole, open(f"{folder}/trace.pcap", "wb") as trace:
    trace.write(whole.read(24))
    for _ in range(PACKETS):
        header = whole.read(16)
        trace.write(header + whole.read(struct.unpack("<I", header[8:12])[0]))
os.remove(f"{folder}/whole.pcap")

def inside(*command):
    return ["ip", "netns", "exec", network, *command]

def group(name, limited):
    path = f"{groups}.{name}"
    os.makedirs(path, exist_ok=True)
    for key, value in (("cpu.cfs_period_us", PERIOD), ("cpu.cfs_quota_us", quota if limited else -1)):
        with open(f"{path}/{key}", "w") as file:
            file.write(str(value))
    return path

def tree(pid):
    """A process and its children."""
    children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    return [pid] + [each for child in children for each in tree(int(child))]

def usage(pid):
    """CPU seconds and peak memory in MiB of a process and its children."""
    seconds, memory = 0, 0
    for each in tree(pid):
        fields = open(f"/proc/{each}/stat").read().rsplit(")", 1)[1].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        status = open(f"/proc/{each}/status").read()
        memory += int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024
    return seconds, memory

def command(program):
    target = f"127.0.0.1:{PORT}"
    if program == "ours":
        return [f"{release}/netflow-exporter", "--interface", "in0", "--direction", "in", "--collector", target,
                "--max-flows", "131072", "--active-timeout", "60s", "--mtu", "1500"]
    if program == "softflowd":
        return ["softflowd", "-d", "-i", "in0", "-n", target, "-v", "9", "-m", "131072", "-c", f"{folder}/control",
                "-p", f"{folder}/softflowd.pid", "-t", "maxlife=60"]
    with open(f"{folder}/pmacctd.conf", "w") as conf:
        conf.write(f"daemonize: false\npcap_interface: in0\nplugins: nfprobe\nnfprobe_receiver: {target}\n"
                   "nfprobe_version: 9\nnfprobe_maxflows: 131072\nplugin_pipe_size: 67108864\n"
                   "plugin_buffer_size: 65536\naggregate: src_host, dst_host, src_port, dst_port, proto, tos\n"
                   "nfprobe_timeouts: maxlife=60\n")
    return ["pmacctd", "-f", f"{folder}/pmacctd.conf"]

def wait_for(what, seconds=20):
    end = time.time() + seconds
    while not what():
        if time.time() > end:
            raise SystemExit("a program does not start")
        time.sleep(0.05)

def bound(table, needle):
    text = subprocess.run(inside("cat", f"/proc/net/{table}"), capture_output=True, text=True).stdout
    return any(needle in line for line in text.splitlines()[1:])

def measure(program, rate, seconds=2.0, limited=True):
    """Lost of sent, CPU nanoseconds a packet, MiB, and the rate that the sender reached."""
    flows = f"{folder}/flows.json"
    collector = subprocess.Popen(
        inside("taskset", "-c", "0", f"{release}/netflow-collector", "listen", "--bind", f"127.0.0.1:{PORT}",
               "--receive-buffer", "67108864", "--format", "json", "--output", flows),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: bound("udp", f":{PORT:04X} "))
    path = group("process", limited)
    start = f"echo $$ > {path}/cgroup.procs; exec taskset -c 1 " + " ".join(command(program))
    process = subprocess.Popen(inside("sh", "-c", start), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: bound("packet", " 0003 "))
    time.sleep(1.0)
    before, _ = usage(process.pid)
    count = int(rate * seconds)
    sender = subprocess.run(
        inside("taskset", "-c", "0", "tcpreplay", "-q", "-i", "out0", "--preload-pcap", "--pps", str(rate),
               "--loop", str(-(-count // PACKETS)), "--limit", str(count), f"{folder}/trace.pcap"),
        capture_output=True, text=True)
    sent = int(re.search(r"Successful packets:\s+(\d+)", sender.stdout).group(1))
    reached = float(re.search(r"([\d.]+) pps", sender.stdout).group(1))
    time.sleep(0.5)
    after, memory = usage(process.pid)
    # What is in the buffers may take its time; the end is not measured.
    with open(f"{path}/cpu.cfs_quota_us", "w") as file:
        file.write("-1")
    time.sleep(0.5)
    if program == "softflowd":
        subprocess.run(["softflowctl", "-c", f"{folder}/control", "shutdown"], capture_output=True)
    elif program == "pmacctd":
        process.send_signal(signal.SIGINT)
    else:
        process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
    time.sleep(0.3)
    collector.terminate()
    collector.wait(10)
    got = 0
    for line in open(flows):
        got += json.loads(line)["packets"]
    return 1 - got / sent, (after - before) / sent * 1e9, memory, reached

def limit(program):
    """The highest rate found at which less than one in 500 is lost."""
    low, high, ceiling = 0, None, 450_000
    rate, turns = 20_000, 0
    while turns < 9 and (high is None or high > low * 1.2):
        lost, nanos, memory, reached = measure(program, rate)
        print(f"    {program:<10} {reached:>9.0f} packets/s  {lost:7.2%} lost  {nanos:7.0f} ns each  {memory:6.1f} MiB", flush=True)
        turns += 1
        if lost < 0.002:
            low = rate
            if high is None and rate >= ceiling:
                return low, True
        else:
            high = rate
        rate = min(rate * 2, ceiling) if high is None else int((low * high) ** 0.5) if low else high // 3
    return low, False

if "compare" in parts:
    for rate in map(int, rates.split()):
        for program in ("ours", "softflowd", "pmacctd"):
            lost, nanos, memory, reached = measure(program, rate, limited=False)
            print(f"{program:<10} {reached:>9.0f} packets/s {lost:7.2%} lost {nanos:6.0f} ns each {memory:6.1f} MiB", flush=True)
if "share" in parts:
    print(f"with {percent} percent of a core")
    rate, is_ceiling = limit("ours")
    print(f"ours: {'at least ' if is_ceiling else ''}{rate} packets/s without loss")
PYTHON
