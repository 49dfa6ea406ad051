"""Reads a table through DuckDB's extension for Unity Catalog. Arguments: server, catalog.schema.table; the token
is in TOKEN. Prints the names of all tables that it sees, and the rows."""

import json
import os
import sys
from pathlib import Path

import duckdb

HOST, NAME = sys.argv[1:]
EXTENSIONS = ("httpfs", "delta", "unity_catalog")

connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
packages = Path(duckdb.__file__).parents[1]
for extension in EXTENSIONS:
    found = packages.glob(f"duckdb_extension_{extension}/extensions/*/{extension}.duckdb_extension")
    connection.load_extension(str(next(found)))

token = os.environ["TOKEN"]
catalog, schema, _ = NAME.split(".")
connection.execute(
    f"CREATE SECRET (TYPE unity_catalog, TOKEN '{token}', ENDPOINT '{HOST}', AWS_REGION 'us-east-1')"
)
connection.execute(f"ATTACH '{catalog}' AS {catalog} (TYPE unity_catalog, DEFAULT_SCHEMA '{schema}')")
tables = connection.execute("SELECT schema, name FROM (SHOW ALL TABLES) ORDER BY ALL").fetchall()
rows = connection.execute(f"SELECT * FROM {NAME} ORDER BY ALL").fetchall()
print(json.dumps({"tables": tables, "rows": rows}))
