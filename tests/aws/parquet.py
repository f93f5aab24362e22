"""Reads Parquet files in a folder with partitions, and compares them with the records that the agent read.

parquet.py FOLDER RECORDS.ndjson
"""

import collections
import json
import pathlib
import sys

import duckdb
import pyarrow.dataset as ds


def same(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: found {found!r:.2000}, expected {expected!r:.2000}")


folder, file = sys.argv[1:]
with open(file, encoding="utf-8") as lines:
    lines = [line.rstrip("\n") for line in lines]
records = [json.loads(line) for line in lines]
sources = collections.Counter(record["eventSource"] for record in records)

# Names of the partitions, from the first object.
first = next(iter(sorted(pathlib.Path(folder).rglob("*.parquet"))))
partitions = [part.split("=")[0] for part in first.parts if "=" in part]


def partition(record):
    time = record["eventTime"]
    values = {"year": int(time[:4]), "month": int(time[5:7]), "day": int(time[8:10]), "region": record["awsRegion"]}
    return tuple(values[name] for name in partitions)


db = duckdb.connect()
# Without types, DuckDB takes `02` for text.
types = ", ".join(f"'{name}': {'VARCHAR' if name == 'region' else 'INTEGER'}" for name in partitions)
files = f"'{folder}/**/*.parquet', hive_partitioning = true, hive_types = {{{types}}}"
db.execute(f"CREATE VIEW trail AS SELECT * FROM read_parquet({files})")
same("rows", db.execute("SELECT count(*) FROM trail").fetchone()[0], len(records))
same("records", sorted(r for (r,) in db.execute("SELECT record FROM trail").fetchall()), sorted(lines))
query = "SELECT eventsource, count(*) FROM trail GROUP BY ALL"
same("sources", dict(db.execute(query).fetchall()), dict(sources))
names = ", ".join(partitions)
found = {tuple(row[:-1]): row[-1] for row in db.execute(f"SELECT {names}, count(*) FROM trail GROUP BY ALL").fetchall()}
same("partitions", found, dict(collections.Counter(map(partition, records))))

# Only the files of a partition are read.
wanted = partition(records[0])
where = " AND ".join(f"{name} = {value!r}" for name, value in zip(partitions, wanted))
query = f"SELECT useridentity.arn, eventname FROM trail WHERE {where}"
expected = sorted((str(r.get("userIdentity", {}).get("arn")), r["eventName"]) for r in records if partition(r) == wanted)
same("identities", sorted((str(arn), name) for arn, name in db.execute(query).fetchall()), expected)
plan = db.execute("EXPLAIN ANALYZE " + query).fetchall()[0][1]
files = len(list(first.parent.glob("*.parquet")))
same("files that were read", f"Total Files Read: {files}" in plan, True)

table = ds.dataset(folder, format="parquet", partitioning="hive").to_table()
same("rows of pyarrow", table.num_rows, len(records))
same("sources of pyarrow", dict(collections.Counter(table["eventsource"].to_pylist())), dict(sources))
found = collections.Counter(zip(*(table[name].to_pylist() for name in partitions)))
same("partitions of pyarrow", dict(found), dict(collections.Counter(map(partition, records))))
print(f"{len(records)} records in {len(found)} partitions: as expected")
