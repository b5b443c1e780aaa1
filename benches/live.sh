#!/usr/bin/env bash
# netflow-exporter on an interface beside softflowd and pmacctd (nfprobe): packets lost, CPU time for each packet, memory.
#
#   benches/live.sh [compare] [drops] [threads]
#
# tcpreplay plays trace A into a virtual cable, on one core; the programs have the other one. `compare` plays at the rates
# RATES (default "100000 300000") to each of them: CPU time by the scheduler's own count, and memory. No sender on one core
# overruns a whole core that meters. So `drops` gives each program PERCENT (default 3) of its core, by the kernel's
# bandwidth control, and looks for the highest rate at which it loses less than one packet in 500, and 1,500. `threads`
# does so with one percent for one capture thread, and for each of two. Packets lost are those sent that are in no flow at
# the collector. PROGRAMS (default "ours softflowd pmacctd") leaves some out. Each program takes less than a minute a part.
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

python3 - "$release" "$folder" "$network" "$groups" "${PERCENT:-3}" "${RATES:-100000 300000}" \
    "${PROGRAMS:-ours softflowd pmacctd}" "${@:-compare drops threads}" <<'PYTHON'
import glob, json, os, re, signal, struct, subprocess, sys, time

release, folder, network, groups, percent, rates, programs, *parts = sys.argv[1:]
parts = " ".join(parts).split()
PORT, PACKETS, CEILING = 9995, 300_000, 450_000
# Packets in the last block of the kernel's buffer, which softflowd does not get as long as it is not full.
LAST_BLOCK = 1_500

# The beginning of the trace, which the sender keeps in memory.
with open(f"{folder}/whole.pcap", "rb") as whole, open(f"{folder}/trace.pcap", "wb") as trace:
    trace.write(whole.read(24))
    for _ in range(PACKETS):
        header = whole.read(16)
        trace.write(header + whole.read(struct.unpack("<I", header[8:12])[0]))
os.remove(f"{folder}/whole.pcap")

def inside(*command):
    return ["ip", "netns", "exec", network, *command]

def write(path, text):
    with open(path, "w") as file:
        file.write(str(text))

def group(name, share):
    """A group of threads that has so many percent of a core; all of it for None. The least is a millisecond a turn."""
    path = f"{groups}.{name}"
    os.makedirs(path, exist_ok=True)
    if share:
        write(f"{path}/cpu.cfs_period_us", 100_000 // share)
    write(f"{path}/cpu.cfs_quota_us", 1_000 if share else -1)
    return path

def tree(pid):
    """A process and its children."""
    children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    return [pid] + [each for child in children for each in tree(int(child))]

def usage(pid):
    """CPU nanoseconds and peak memory in MiB of a process and its children."""
    nanos, memory = 0, 0
    for each in tree(pid):
        for path in glob.glob(f"/proc/{each}/task/*/schedstat"):
            nanos += int(open(path).read().split()[0])
        status = open(f"/proc/{each}/status").read()
        memory += int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024
    return nanos, memory

def command(program, threads):
    target = f"127.0.0.1:{PORT}"
    if program == "ours":
        return [f"{release}/netflow-exporter", "--interface", "in0", "--direction", "in", "--collector", target,
                "--max-flows", "131072", "--active-timeout", "60s", "--mtu", "1500", "--capture-threads", str(threads)]
    if program == "softflowd":
        return ["softflowd", "-d", "-i", "in0", "-n", target, "-v", "9", "-m", "131072", "-c", f"{folder}/control",
                "-p", f"{folder}/softflowd.pid", "-t", "maxlife=60"]
    write(f"{folder}/pmacctd.conf",
          f"daemonize: false\npcap_interface: in0\nplugins: nfprobe\nnfprobe_receiver: {target}\n"
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
    return sum(needle in line for line in text.splitlines()[1:])

def meters(pid):
    """The capture threads."""
    tasks = glob.glob(f"/proc/{pid}/task/*")
    return [path.rsplit("/", 1)[1] for path in tasks if open(f"{path}/comm").read().startswith("meter-")]

def measure(program, rate, share=None, threads=1, seconds=2.0, apart=False):
    """Lost of sent, CPU nanoseconds a packet, MiB, and the rate that the sender reached. A `share` is that of the
    program or, `apart`, of each capture thread."""
    flows = f"{folder}/flows.json"
    collector = subprocess.Popen(
        inside("taskset", "-c", "0", f"{release}/netflow-collector", "listen", "--bind", f"127.0.0.1:{PORT}",
               "--receive-buffer", "67108864", "--format", "json", "--output", flows),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: bound("udp", f":{PORT:04X} "))
    paths = [group("process", None if apart else share)]
    # Inside of the network there are no groups to be seen.
    start = inside("taskset", "-c", "1", *command(program, threads))
    start = f"echo $$ > {paths[0]}/cgroup.procs && exec " + " ".join(start)
    process = subprocess.Popen(["sh", "-c", start], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: bound("packet", " 0003 ") >= threads)
    time.sleep(0.5)
    if apart:
        for number, thread in enumerate(meters(process.pid)):
            paths.append(group(f"thread{number}", share))
            write(f"{paths[-1]}/tasks", thread)
    before, _ = usage(process.pid)
    count = int(rate * seconds)
    sender = subprocess.run(
        inside("taskset", "-c", "0", "tcpreplay", "-q", "-i", "out0", "--preload-pcap", "--pps", str(rate),
               "--loop", str(-(-count // PACKETS)), "--limit", str(count), f"{folder}/trace.pcap"),
        capture_output=True, text=True)
    sent = int(re.search(r"Successful packets:\s+(\d+)", sender.stdout).group(1))
    reached = float(re.search(r"([\d.]+) pps", sender.stdout).group(1))
    time.sleep(0.3)
    after, memory = usage(process.pid)
    # What is in the buffers may take its time; the end is not measured.
    for path in paths:
        write(f"{path}/cpu.cfs_quota_us", -1)
    time.sleep(0.3)
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
    time.sleep(0.2)
    collector.terminate()
    collector.wait(10)
    got = sum(json.loads(line)["packets"] for line in open(flows))
    return 1 - got / sent, (after - before) / sent, memory, reached

def limit(program, share, threads=1, apart=False):
    """The highest rate found at which practically none is lost; whether it is all that can be sent."""
    low, high, rate = 0, None, 30_000 if program == "pmacctd" else 100_000
    while high is None or high > low * 1.1:
        lost, nanos, memory, reached = measure(program, rate, share, threads, apart=apart)
        print(f"    {program:<10} {reached:>9.0f} packets/s  {lost:7.2%} lost  {nanos:6.0f} ns each", flush=True)
        if lost * 2 * rate < LAST_BLOCK + 2 * rate / 500:
            low = min(rate, reached)
            if high is None and rate >= CEILING or reached < rate * 0.9:
                return low, True
        else:
            high = min(rate, reached)
        rate = min(rate * 2, CEILING) if high is None else int((low * high) ** 0.5) if low else high // 2
    return low, False

def told(rate, is_ceiling):
    return f"{'at least ' if is_ceiling else ''}{rate:.0f} packets/s"

chosen = programs.split()
if "compare" in parts:
    for rate in map(int, rates.split()):
        for program in chosen:
            lost, nanos, memory, reached = measure(program, rate, seconds=4)
            print(f"{program:<10} {reached:>9.0f} packets/s {lost:7.2%} lost {nanos:6.0f} ns each {memory:6.1f} MiB", flush=True)
if "drops" in parts:
    found = {}
    for program in chosen:
        found[program] = limit(program, int(percent))
        print(f"{program}: {told(*found[program])} without loss, with {percent} percent of a core", flush=True)
    if "ours" in found:
        for program in chosen[1:]:
            print(f"times {program}: {found['ours'][0] / found[program][0]:.1f}")
if "threads" in parts and "ours" in chosen:
    one, two = limit("ours", 1, 1, True), limit("ours", 1, 2, True)
    print(f"one capture thread with a percent of a core: {told(*one)}; two with one each: {told(*two)} "
          f"({two[0] / one[0]:.2f} times)")
PYTHON
