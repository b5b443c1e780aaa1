"""Reads a store with engines that are not ours, and compares every column of every row with the flows as JSON lines.

usage: store_engines.py STORE JSON_LINES text|octets ENGINE...

The third argument is the form of the store's addresses.
"""

import ipaddress
import json
import sys
from glob import glob

store, lines, form, engines = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
ADDRESSES = ("sampler_address", "src_addr", "dst_addr", "next_hop", "bgp_next_hop")
TIMES = ("time_received_ns", "time_flow_start_ns", "time_flow_end_ns")


def address(octets):
    """An address that the store has as octets, as text; the standard library prints mapped ones as hexadecimal."""
    found = ipaddress.ip_address(octets)
    mapped = getattr(found, "ipv4_mapped", None)
    return f"::ffff:{mapped}" if mapped else str(found)


def row(cells):
    """A row without its nulls, in a form that can be sorted and compared."""
    kept = {}
    for name, value in cells.items():
        if value is None or name in ("date", "hour"):
            continue
        if name in TIMES:
            # The format has signed times: those behind the year 2262, which broken records have, wrap.
            value = int(value) % 2**64
        elif name == "fields":
            # As text: the order of its members is part of it.
            value = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        elif isinstance(value, bytes):
            value = address(value)
        elif isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
            value = [address(one) if isinstance(one, bytes) else one for one in value]
        kept[name] = value
    return json.dumps(kept, sort_keys=True)


def expected():
    found = []
    for line in open(lines, encoding="utf-8"):
        # Floats keep their digits: as text.
        text = line.rstrip("\n")
        cells = json.loads(text)
        if "fields" in cells:
            cells["fields"] = text[text.index(',"fields":') + len(',"fields":'):-1]
        found.append(row(cells))
    return sorted(found)


def duckdb():
    import duckdb
    times = ", ".join(f"epoch_ns({name}) AS {name}" for name in TIMES)
    files = f"read_parquet('{store}/**/*.parquet', hive_partitioning = false)"
    result = duckdb.sql(f"SELECT * REPLACE ({times}) FROM {files}")
    return [dict(zip(result.columns, cells)) for cells in result.fetchall()]


def pyarrow():
    import pyarrow
    import pyarrow.parquet
    rows = []
    for file in glob(f"{store}/**/*.parquet", recursive=True):
        table = pyarrow.parquet.ParquetFile(file).read()
        for name in TIMES:
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, table[name].cast(pyarrow.int64()))
        rows += table.to_pylist()
    return rows


def chdb():
    import chdb
    times = ", ".join(f"toUnixTimestamp64Nano({name}) AS {name}" for name in TIMES)
    settings = "output_format_json_quote_64bit_integers = 0, use_hive_partitioning = 0"
    if form == "octets":
        octets = ", ".join(f"hex({name}) AS {name}" for name in ADDRESSES)
        times += f", {octets}, arrayMap(one -> hex(one), mpls_ip) AS mpls_ip"
    answer = chdb.query(
        f"SELECT * REPLACE ({times}) FROM file('{store}/**/*.parquet', Parquet) SETTINGS {settings}",
        "JSONEachRow",
    )
    rows = []
    for line in answer.data().splitlines():
        # A list that is absent reads as an empty one: this engine has no lists that may be null.
        cells = {name: value for name, value in json.loads(line).items() if value != []}
        if form == "octets":
            for name in ADDRESSES:
                cells[name] = bytes.fromhex(cells[name]) if cells.get(name) else None
            if "mpls_ip" in cells:
                cells["mpls_ip"] = [bytes.fromhex(one) for one in cells["mpls_ip"]]
        rows.append(cells)
    return rows


want = expected()
for engine in engines:
    got = sorted(row(cells) for cells in {"duckdb": duckdb, "pyarrow": pyarrow, "chdb": chdb}[engine]())
    if got != want:
        different = [(g, w) for g, w in zip(got, want) if g != w][:3]
        sys.exit(f"{engine}: {len(got)} rows, {len(want)} expected; first differences: {different}")
    print(engine, len(got))
