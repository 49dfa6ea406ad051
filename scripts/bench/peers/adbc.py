"""deltalake reads a Delta table, ADBC puts it into a new PostgreSQL table, and its key is built: prints the
seconds.

    python adbc.py LOCATION CONNINFO TABLE KEY
"""

import sys
import time

import adbc_driver_postgresql.dbapi
from deltalake import DeltaTable

location, conninfo, table, key = sys.argv[1:]

begun = time.perf_counter()
with adbc_driver_postgresql.dbapi.connect(conninfo) as connection:
    with connection.cursor() as cursor:
        dataset = DeltaTable(location).to_pyarrow_dataset()
        cursor.adbc_ingest(table, dataset.scanner().to_reader(), mode="create")
        cursor.execute(f"ALTER TABLE {table} ADD PRIMARY KEY ({key})")
    connection.commit()
print(time.perf_counter() - begun)
