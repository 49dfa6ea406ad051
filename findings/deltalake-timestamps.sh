#!/usr/bin/env bash
# deltalake 1.6.6 shows 1816 where a Delta table says 9999: Spark's default timestamps, read by its SQL.
#
# Spark writes timestamps in Parquet's old form of 96 bits unless it is told otherwise. `QueryBuilder` decodes them to
# nanoseconds in 64 bits, which end in 2262, and counts around without an error; `to_pyarrow_table` refuses the
# same table; DuckDB 1.5.5 reads the file as it was written. Needs Python 3.10 or newer, and pip.
# Ends with 1 if any of the three answers has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet deltalake==1.6.6 pyarrow==26.0.1 duckdb==1.5.5
"$folder/venv/bin/python" - "$folder/table" <<'PYTHON'
import datetime as dt
import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, QueryBuilder

table = pathlib.Path(sys.argv[1])
(table / "_delta_log").mkdir(parents=True)
written = dt.datetime(9999, 12, 31, 23, 59, 59)
rows = pa.table({"at": pa.array([written], pa.timestamp("us"))})
pq.write_table(rows, table / "a.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
schema = {"type": "struct", "fields": [{"name": "at", "type": "timestamp", "nullable": True, "metadata": {}}]}
metadata = {
    "id": "3b9aca00-0000-4000-8000-000000000000",
    "format": {"provider": "parquet", "options": {}},
    "schemaString": json.dumps(schema),
    "partitionColumns": [],
    "configuration": {},
    "createdTime": 0,
}
size = (table / "a.parquet").stat().st_size
add = {"path": "a.parquet", "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": True}
actions = [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, {"metaData": metadata}, {"add": add}]
(table / "_delta_log" / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)))

delta = DeltaTable(str(table))
[shown] = pa.table(QueryBuilder().register("t", delta).execute("select at from t").read_all()).column("at").to_pylist()
try:
    delta.to_pyarrow_table()
    refusal = "none"
except pa.ArrowInvalid as error:
    refusal = str(error)
print("written:            ", written)
print("QueryBuilder shows: ", shown)
print("to_pyarrow_table:   ", refusal)
sys.exit(not (shown.year == 1816 and "would lose data" in refusal))
PYTHON
duck=$("$folder/venv/bin/python" -c "
import duckdb, sys
print(duckdb.sql(f\"select \\\"at\\\"::text from read_parquet('{sys.argv[1]}/a.parquet')\").fetchone()[0])" "$folder/table")
echo "DuckDB shows:        $duck"
[[ $duck == "9999-12-31 23:59:59"* ]]
