"""Reads flows in goflow2's protobuf, from a file or from Kafka, and compares them with the flows as JSON lines.

usage: messages.py file MESSAGES JSON_LINES          messages behind their lengths
       messages.py broker                            a mock broker: prints its address, ends with standard input
       messages.py topic BROKERS TOPIC COUNT length|bare JSON_LINES
"""

import ipaddress
import json
import sys

# Numbers, names and types as goflow2 publishes them.
FIELDS = {
    1: ("type", "uint"), 3: ("sampling_rate", "uint"), 4: ("sequence_num", "uint"), 6: ("src_addr", "address"),
    7: ("dst_addr", "address"), 9: ("bytes", "uint"), 10: ("packets", "uint"), 11: ("sampler_address", "address"),
    12: ("next_hop", "address"), 13: ("next_hop_as", "uint"), 14: ("src_as", "uint"), 15: ("dst_as", "uint"),
    16: ("src_net", "uint"), 17: ("dst_net", "uint"), 18: ("in_if", "uint"), 19: ("out_if", "uint"), 20: ("proto", "uint"),
    21: ("src_port", "uint"), 22: ("dst_port", "uint"), 23: ("ip_tos", "uint"), 24: ("forwarding_status", "uint"),
    25: ("ip_ttl", "uint"), 26: ("tcp_flags", "uint"), 27: ("src_mac", "mac"), 28: ("dst_mac", "mac"),
    29: ("vlan_id", "uint"), 30: ("etype", "uint"), 31: ("icmp_type", "uint"), 32: ("icmp_code", "uint"),
    33: ("src_vlan", "uint"), 34: ("dst_vlan", "uint"), 35: ("fragment_id", "uint"), 36: ("fragment_offset", "uint"),
    37: ("ipv6_flow_label", "uint"), 38: ("ip_flags", "uint"), 70: ("observation_domain_id", "uint"),
    71: ("observation_point_id", "uint"), 80: ("mpls_ttl", "uints"), 81: ("mpls_label", "uints"),
    82: ("mpls_ip", "addresses"), 100: ("bgp_next_hop", "address"), 110: ("time_received_ns", "uint"),
    111: ("time_flow_start_ns", "uint"), 112: ("time_flow_end_ns", "uint"),
}
TYPES = {"NETFLOW_V5": 2, "NETFLOW_V9": 3, "IPFIX": 4}
ETYPES = {"IPv4": 0x0800, "IPv6": 0x86DD}


def varint(octets, at):
    number = shift = 0
    while True:
        octet = octets[at]
        number |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:
            return number, at


def fields(octets):
    """Any message of protobuf: number, wire type and value of each of its fields."""
    at = 0
    while at < len(octets):
        key, at = varint(octets, at)
        if key & 7 == 0:
            value, at = varint(octets, at)
        elif key & 7 == 2:
            length, at = varint(octets, at)
            value, at = octets[at:at + length], at + length
            assert len(value) == length
        else:
            raise ValueError(f"wire type {key & 7}")
        yield key >> 3, value


def understood(octets):
    flow = {}
    for number, value in fields(octets):
        name, kind = FIELDS[number]
        if kind == "address":
            value = str(ipaddress.ip_address(value))
        elif kind == "addresses":
            value = flow.get(name, []) + [str(ipaddress.ip_address(value))]
        elif kind == "mac":
            value = ":".join(f"{octet:02x}" for octet in value.to_bytes(6, "big"))
        elif kind == "uints":
            at, numbers = 0, flow.get(name, [])
            while at < len(value):
                item, at = varint(value, at)
                numbers = numbers + [item]
            value = numbers
        flow[name] = value
    return flow


def expected(line, keywords):
    flow = json.loads(line)
    known = {name for name, _ in FIELDS.values()}
    flow = {name: value for name, value in flow.items() if name in known and value is not None}
    flow["type"] = TYPES.get(flow["type"], 0)
    for name, kind in FIELDS.values():
        if kind == "address" and name in flow:
            flow[name] = str(ipaddress.ip_address(flow[name]))
        elif kind == "addresses" and name in flow:
            flow[name] = [str(ipaddress.ip_address(address)) for address in flow[name]]
    if "etype" in flow:
        flow["etype"] = ETYPES[flow["etype"]]
    if "proto" in flow:
        flow["proto"] = keywords[flow["proto"]] if flow["proto"] in keywords else int(flow["proto"])
    # A zero is not sent.
    return {name: value for name, value in flow.items() if value not in (0, [], "00:00:00:00:00:00")}


def keywords():
    names = json.loads(sys.argv[-1])
    return {name: number for number, name in enumerate(names) if name}


def compare(messages, path):
    names = keywords()
    want = [expected(line, names) for line in open(path, encoding="utf-8")]
    got = [understood(message) for message in messages]
    if len(got) != len(want):
        sys.exit(f"{len(got)} messages, {len(want)} flows")
    order = lambda flow: json.dumps(flow, sort_keys=True)
    for g, w in zip(sorted(got, key=order), sorted(want, key=order)):
        if g != w:
            sys.exit(f"{g}\nis not\n{w}")
    print("equal", len(got))


def split(octets):
    at = 0
    while at < len(octets):
        length, at = varint(octets, at)
        yield octets[at:at + length]
        at += length


def clickhouse(path):
    """Counts and sums as ClickHouse, in this process, reads them."""
    import chdb
    kinds = {"uint": "uint64", "mac": "uint64", "address": "bytes", "addresses": "repeated bytes", "uints": "repeated uint32"}
    lines = "".join(f"{kinds[kind]} {name} = {number}; " for number, (name, kind) in FIELDS.items())
    schema = f'syntax = "proto3"; message FlowMessage {{ {lines}}}'
    settings = f"format_schema_source = 'string', format_schema = '{schema}', format_schema_message_name = 'FlowMessage'"
    columns = "bytes UInt64, packets UInt64, src_addr String, time_flow_start_ns UInt64, mpls_label Array(UInt32)"
    sums = "count(), sum(bytes), sum(packets), uniqExact(src_addr), max(time_flow_start_ns), sum(arraySum(mpls_label))"
    answer = chdb.query(f"SELECT {sums} FROM file('{path}', 'Protobuf', '{columns}') SETTINGS {settings}", "CSV")
    return [int(number) for number in str(answer).strip().split(",")]


if sys.argv[1] == "file":
    octets = open(sys.argv[2], "rb").read()
    messages = list(split(octets))
    compare(messages, sys.argv[3])
    flows = [understood(message) for message in messages]
    sums = [
        len(flows), sum(flow.get("bytes", 0) for flow in flows) % 2**64,
        sum(flow.get("packets", 0) for flow in flows) % 2**64,
        len({flow.get("src_addr", "") for flow in flows}), max(flow.get("time_flow_start_ns", 0) for flow in flows),
        sum(sum(flow.get("mpls_label", [])) for flow in flows),
    ]
    answer = clickhouse(sys.argv[2])
    if answer != sums:
        sys.exit(f"ClickHouse: {answer}, not {sums}")
    print("clickhouse", len(flows))
elif sys.argv[1] == "broker":
    from confluent_kafka import Producer
    producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": "1"})
    metadata = producer.list_topics(timeout=30)
    broker = next(iter(metadata.brokers.values()))
    print(f"{broker.host}:{broker.port}", flush=True)
    sys.stdin.read()
elif sys.argv[1] == "topic":
    from confluent_kafka import Consumer
    brokers, topic, count, framing, path = sys.argv[2:7]
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    messages = []
    while len(messages) < int(count):
        message = consumer.poll(60)
        if message is None:
            sys.exit(f"only {len(messages)} messages came")
        if message.error() is None:
            value = message.value()
            if framing == "length":
                value, = split(value)
            messages.append(value)
    # More than there should be?
    extra = consumer.poll(0.5)
    if extra is not None and extra.error() is None:
        sys.exit("more messages than flows")
    consumer.close()
    compare(messages, path)
