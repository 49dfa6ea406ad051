"""DuckDB reads a Delta table into a new PostgreSQL table and builds its key: prints the seconds.

    python duck.py LOCATION CONNINFO TABLE KEY
"""

import sys
import time

import duckdb
import duckdb_extensions

location, conninfo, table, key = sys.argv[1:]
duck = duckdb.connect(config={"allow_unsigned_extensions": "true"})
for extension in ("delta", "postgres_scanner"):
    duckdb_extensions.import_extension(extension, con=duck)
    duck.load_extension(extension)

begun = time.perf_counter()
duck.execute(f"ATTACH '{conninfo}' AS pg (TYPE postgres)")
duck.execute(f"CREATE TABLE pg.public.{table} AS SELECT * FROM delta_scan('{location}')")
duck.execute(f"CALL postgres_execute('pg', 'ALTER TABLE {table} ADD PRIMARY KEY ({key})')")
print(time.perf_counter() - begun)
