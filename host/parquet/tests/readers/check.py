"""Reads Parquet files with DuckDB and pyarrow, and compares them with the records they were made of.

check.py cloudtrail FILE.parquet RECORDS.ndjson
check.py types FILE.parquet
"""

import collections
import datetime
import json
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def same(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: found {found!r:.2000}, expected {expected!r:.2000}")


def first(pairs):
    """An object whose first member counts if a key is repeated, as in Wattle."""
    members = {}
    for key, value in pairs:
        members.setdefault(key, value)
    return members


def get(record, *keys):
    """The value at keys in any case; the first member counts."""
    for wanted in keys:
        if not isinstance(record, dict):
            return None
        record = next((value for key, value in record.items() if key.lower() == wanted), None)
    return record


def text(value):
    """A value as a text column has it; objects and arrays stay, since a text column has their JSON as it was written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value is None or isinstance(value, (str, dict, list)) else json.dumps(value)


def unlike(found, expected):
    """The first text that is not the expected one; where an object or array is expected, it must be its JSON."""
    for number, (text, value) in enumerate(zip(found, expected, strict=True)):
        if isinstance(value, (dict, list)) and text is not None:
            text = json.loads(text, object_pairs_hook=first)
        if text != value:
            return f"row {number}: found {text!r:.500}, expected {value!r:.500}"
    return None


def cloudtrail(file, records):
    with open(records, encoding="utf-8") as lines:
        lines = [line.rstrip("\n") for line in lines]
    records = [json.loads(line, object_pairs_hook=first) for line in lines]
    db = duckdb.connect()
    db.execute("CREATE VIEW trail AS SELECT * FROM read_parquet('" + file + "')")

    described = {name: kind for name, kind, *_ in db.execute("DESCRIBE trail").fetchall()}
    same("number of columns", len(described), 30)
    for name in ["eventtime", "eventname", "readonly", "requestparameters", "edgedevicedetails"]:
        same(f"type of {name}", described[name], "VARCHAR")
    same("type of record", described["record"], "JSON")
    same("type of resources", described["resources"], "STRUCT(arn VARCHAR, accountid VARCHAR, \"type\" VARCHAR)[]")
    same(
        "type of tlsdetails",
        described["tlsdetails"],
        "STRUCT(tlsversion VARCHAR, ciphersuite VARCHAR, clientprovidedhostheader VARCHAR)",
    )
    same(
        "type of webidfederationdata",
        db.execute("SELECT typeof(useridentity.sessioncontext.webidfederationdata) FROM trail LIMIT 1").fetchone()[0],
        "STRUCT(federatedprovider VARCHAR, attributes MAP(VARCHAR, VARCHAR))",
    )
    same("rows", db.execute("SELECT count(*) FROM trail").fetchone()[0], len(records))
    same("records, byte for byte", [r for (r,) in db.execute("SELECT record FROM trail").fetchall()], lines)

    # Every column of text, and nested ones.
    paths = [(name,) for name, kind in described.items() if kind == "VARCHAR"]
    paths += [("useridentity", name) for name in ["type", "arn", "accountid", "invokedby", "accesskeyid", "username"]]
    paths += [("useridentity", "sessioncontext", "sessionissuer", "arn"), ("tlsdetails", "tlsversion")]
    paths += [("useridentity", "sessioncontext", "attributes", "mfaauthenticated")]
    for path in paths:
        column = ".".join(path)
        found = [value for (value,) in db.execute(f"SELECT {column} FROM trail").fetchall()]
        same(column, unlike(found, [text(get(record, *path)) for record in records]), None)

    def resources(record):
        found = get(record, "resources")
        wanted = ("arn", "accountid", "type")
        return found if found is None else [{key: text(get(element, key)) for key in wanted} for element in found]

    expected = [resources(record) for record in records]
    same("resources", [r for (r,) in db.execute("SELECT resources FROM trail").fetchall()], expected)

    # Queries as people write them, against a model.
    query = """
        SELECT useridentity.arn, eventname, count(*) FROM trail
        WHERE errorcode IS NOT NULL AND eventtime >= '2000' GROUP BY ALL ORDER BY ALL NULLS LAST
    """
    counts = collections.Counter(
        (text(get(r, "useridentity", "arn")), text(get(r, "eventname"))) for r in records if get(r, "errorcode") is not None
    )
    order = sorted(counts, key=lambda key: tuple((part is None, part) for part in key))
    same("errors by identity", db.execute(query).fetchall(), [(*key, counts[key]) for key in order])
    query = "SELECT record->>'$.eventSource' AS s, count(*) FROM trail GROUP BY ALL ORDER BY s NULLS LAST"
    counts = collections.Counter(record.get("eventSource") for record in records)
    order = sorted(counts, key=lambda source: (source is None, source))
    same("sources in the record", db.execute(query).fetchall(), [(key, counts[key]) for key in order])
    query = "SELECT count(*) FROM (SELECT unnest(resources) AS r FROM trail) WHERE r.accountid IS NOT NULL"
    accounts = sum(element["accountid"] is not None for found in expected for element in found or [])
    same("resources with an account", db.execute(query).fetchone()[0], accounts)

    # pyarrow reads the same table, and finds the metadata.
    table = pq.read_table(file)
    same("rows of pyarrow", table.num_rows, len(records))
    same("record in pyarrow", [str(value) for value in table["record"].to_pylist()], lines)
    same("arn in pyarrow", table["useridentity"].combine_chunks().field("arn").to_pylist(),
         [text(get(r, "useridentity", "arn")) for r in records])
    same("resources in pyarrow", table["resources"].to_pylist(), expected)
    metadata = pq.ParquetFile(file).metadata
    same("created by", metadata.created_by.startswith("wattle version "), True)
    for name in ["eventname", "eventtime"]:
        low, high = None, None
        for group in range(metadata.num_row_groups):
            columns = [metadata.row_group(group).column(i) for i in range(metadata.num_columns)]
            found = next(c for c in columns if c.path_in_schema == name).statistics
            low = min(filter(None, [low, found.min]))
            high = max(filter(None, [high, found.max]))
        values = [value for value in (text(get(r, name)) for r in records) if value is not None]
        same(f"statistics of {name}", (low, high), (min(values), max(values)))
    print(f"{len(records)} records, {metadata.num_row_groups} row groups: as expected")


def types(file):
    """The file of `types_are_those_of_the_readers`."""
    db = duckdb.connect()
    described = [(name, kind) for name, kind, *_ in db.execute(f"DESCRIBE SELECT * FROM '{file}'").fetchall()]
    expected = [
        ("s", "VARCHAR"),
        ("i", "INTEGER"),
        ("l", "BIGINT"),
        ("d", "DOUBLE"),
        ("b", "BOOLEAN"),
        ("t", "TIMESTAMP WITH TIME ZONE"),
        ("day", "DATE"),
        ("j", "JSON"),
        ("o", "STRUCT(x INTEGER, y STRUCT(z VARCHAR))"),
        ("a", "BIGINT[][]"),
        ("m", "MAP(VARCHAR, DOUBLE[])"),
    ]
    same("types", described, expected)
    rows = db.execute(f"SELECT * EXCLUDE t, epoch_us(t) AS t FROM '{file}'").fetchall()
    full = ("é😀\x00", -7, 9007199254740993, 0.1, True, datetime.date(2023, 11, 8), '{"k":[1]}',
            {"x": 1, "y": {"z": "w"}}, [[1, None], [], None], {"k": [0.5, None], "e": [], "n": None}, 1699444800123456)
    edges = ("", 2**31 - 1, -(2**63), -1.7976931348623157e308, False, datetime.date(1969, 12, 31), "12",
             {"x": None, "y": None}, [], {}, -1)
    same("rows", rows, [full, (None,) * 11, edges])
    table = pq.read_table(file)
    kinds = dict(zip(table.schema.names, table.schema.types))
    for name, kind in [("i", pa.int32()), ("l", pa.int64()), ("d", pa.float64()), ("b", pa.bool_()), ("s", pa.string()),
                       ("t", pa.timestamp("us", tz="UTC")), ("day", pa.date32())]:
        same(f"type of {name} in pyarrow", kinds[name], kind)
    row = table.slice(0, 1).to_pylist()[0]
    same("lists in pyarrow", row["a"], [[1, None], [], None])
    same("maps in pyarrow", row["m"], [("k", [0.5, None]), ("e", []), ("n", None)])
    same("whole numbers in pyarrow", table["l"].to_pylist(), [9007199254740993, None, -(2**63)])
    print("types: as expected")


{"cloudtrail": cloudtrail, "types": types}[sys.argv[1]](*sys.argv[2:])
