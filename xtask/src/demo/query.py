"""Queries the Parquet files of a folder with DuckDB. Prints the number of rows on the first line, then the services."""

import sys

import duckdb

lake = f"read_parquet('{sys.argv[1]}/**/*.parquet', hive_partitioning = true)"
[(rows,)] = duckdb.sql(f"select count(*) from {lake}").fetchall()
print(rows)
services = duckdb.sql(
    f"select eventsource, count(*), count(distinct useridentity.arn), min(eventtime) from {lake} "
    "group by eventsource order by count(*) desc, eventsource limit 5"
)
for service, events, principals, first in services.fetchall():
    print(f"{service:<32} {events:>6} events {principals:>5} principals, first {first}")
