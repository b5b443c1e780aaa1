"""The load, the turns and the table of benches/collector.sh."""

import glob, json, os, signal, socket, statistics, struct, subprocess, sys, time

collector, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
ROUTERS = 8
DATAGRAMS = 16_000


def datagrams(path):
    """The UDP payloads of a capture of Ethernet or raw IPv4."""
    with open(path, "rb") as file:
        data = file.read()
    link, at, found = struct.unpack("<I", data[20:24])[0], 24, []
    while at < len(data) and len(found) < DATAGRAMS:
        length = struct.unpack("<I", data[at + 8 : at + 12])[0]
        frame = data[at + 16 + (14 if link == 1 else 0) : at + 16 + length]
        found.append(frame[(frame[0] & 15) * 4 + 8 :])
        at += 16 + length
    return found


def send(payloads, port):
    """Sends all of them from every router, no faster than the receive buffer is emptied."""
    sockets = []
    for router in range(ROUTERS):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind((f"127.0.1.{router + 1}", 0))
        sender.connect(("127.0.0.1", port))
        sockets.append(sender)
    share = len(payloads) // ROUTERS
    for index in range(share):
        for router, sender in enumerate(sockets):
            sender.send(payloads[router * share + index])
        if index % 16 == 0:
            while waiting(port) > 1 << 20:
                time.sleep(0.001)
    while waiting(port) > 0:
        time.sleep(0.01)
    return share * ROUTERS


def waiting(port):
    """Octets in the receive buffers of a port."""
    needle, total = f":{port:04X} ", 0
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        with open(table) as lines:
            total += sum(int(line.split()[4].split(":")[1], 16) for line in lines if needle in line)
    return total


def bound(port):
    needle = f":{port:04X} "
    return any(needle in open(table).read() for table in ("/proc/net/udp", "/proc/net/udp6"))


def run(command, payloads, port):
    """CPU seconds of a collector, from its start to its end, and datagrams that were sent."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not bound(port):
        if process.poll() is not None:
            raise SystemExit(f"{command} ended")
        time.sleep(0.01)
    begun = time.monotonic()
    sent = send(payloads, port)
    wall = time.monotonic() - begun
    time.sleep(0.2)
    # Which nfacctd does not end by SIGTERM alone.
    os.kill(process.pid, signal.SIGINT)
    deadline = time.monotonic() + 20
    while True:
        pid, _, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline:
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.01)
    return usage.ru_utime + usage.ru_stime, sent, wall


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def size(pattern):
    return sum(os.path.getsize(path) for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))


for version in (5, 9):
    payloads = datagrams(f"{folder}/v{version}.pcap")
    results, octets, flows = {}, {}, {}
    for turn in range(rounds):
        for name in ("netflow-collector", "netflow-collector, 2 workers", "netflow-collector, CSV", "nfcapd", "nfacctd"):
            port, place = free_port(), f"{folder}/{name.replace(' ', '')}{version}{turn}"
            os.makedirs(place)
            summary = f"{place}.json"
            ours = [collector, "listen", "--bind", f"127.0.0.1:{port}", "--quiet", "--summary", summary]
            if name.startswith("netflow-collector, CSV"):
                command = [*ours, "--format", "csv", "--output", "/dev/null"]
            elif name.startswith("netflow-collector"):
                command = [*ours, "--store", place, *(["--workers", "2"] if "2" in name else [])]
            elif name == "nfcapd":
                command = ["nfcapd", "-w", place, "-p", str(port), "-b", "127.0.0.1", "-y", "-B", "4000000"]
            else:
                with open(f"{place}.conf", "w") as file:
                    file.write(
                        f"daemonize: false\nnfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\nplugins: print\n"
                        f"plugin_pipe_size: 50000000\nplugin_buffer_size: 100000\n"
                        f"aggregate: src_host, dst_host, src_port, dst_port, proto, tos, in_iface, out_iface, src_as, dst_as\n"
                        f"print_output_file: {place}/flows.csv\nprint_output: csv\nprint_refresh_time: 60\n"
                    )
                command = ["nfacctd", "-f", f"{place}.conf"]
            cpu, sent, wall = run(command, payloads, port)
            if os.path.exists(summary):
                account = json.load(open(summary))
                flows[name] = account["data_records"]
                assert account["kernel_drops"] == 0 and account["datagrams"] == sent, account
            results.setdefault(name, []).append((cpu, wall))
            octets[name] = size(f"{place}/**")
    count = flows["netflow-collector"]
    base = statistics.median(cpu for cpu, _ in results["nfcapd"])
    print(f"v{version}: {count} flows of {ROUTERS} routers")
    for name, turns in results.items():
        cpu = statistics.median(cpu for cpu, _ in turns)
        stored = f"{octets[name] / count:6.1f} octets a flow" if octets[name] else ""
        print(f"  {name:<30}{cpu / count * 1e9:8.0f} ns CPU a flow{cpu / base:7.2f} nfcapd  {stored}")
