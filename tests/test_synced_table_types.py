"""Every Delta type that a synced table carries, with its awkward values."""

import datetime as dt
import math
from decimal import Decimal

import pyarrow

from kit.api import Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.synced import SyncedTable, register

UTC = dt.UTC

# Name, Arrow type, values, type in PostgreSQL, and the values that psycopg gives if not the same.
Column = tuple[str, pyarrow.DataType, list, str, list | None]
COLUMNS: list[Column] = [
    ("key", pyarrow.string(), ["", "a", "ü🙂"], "text", None),
    ("truth", pyarrow.bool_(), [True, False, None], "boolean", None),
    ("tiny", pyarrow.int8(), [-128, 127, None], "smallint", None),
    ("small", pyarrow.int16(), [-(2**15), 2**15 - 1, None], "smallint", None),
    ("plain", pyarrow.int32(), [-(2**31), 2**31 - 1, None], "integer", None),
    ("big", pyarrow.int64(), [-(2**63), 2**63 - 1, None], "bigint", None),
    ("single", pyarrow.float32(), [0.5, math.inf, None], "real", None),
    ("double", pyarrow.float64(), [5e-324, -math.inf, None], "double precision", None),
    (
        "narrow",
        pyarrow.decimal128(9, 2),
        [Decimal("-1234567.89"), Decimal("0.00"), None],
        "numeric(9,2)",
        None,
    ),
    (
        "wide",
        pyarrow.decimal128(38, 10),
        [Decimal("9" * 28 + "." + "9" * 10), Decimal("-0.0000000001"), None],
        "numeric(38,10)",
        None,
    ),
    ("day", pyarrow.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31), None], "date", None),
    (
        "zoned",
        pyarrow.timestamp("us", "UTC"),
        [
            dt.datetime(1600, 2, 29, 23, 59, 59, 999999, UTC),
            dt.datetime(2038, 1, 19, 3, 14, 8, 1, UTC),
            None,
        ],
        "timestamp with time zone",
        None,
    ),
    (
        "local",
        pyarrow.timestamp("us"),
        [dt.datetime(1969, 12, 31, 23, 59, 59, 999999), dt.datetime(2024, 3, 31, 2, 30), None],
        "timestamp without time zone",
        None,
    ),
    ("raw", pyarrow.binary(), [b"", bytes(range(256)), None], "bytea", None),
    ("items", pyarrow.list_(pyarrow.int32()), [[], [1, None, -3], None], "jsonb", None),
    (
        "record",
        pyarrow.struct([("x", pyarrow.int32()), ("tags", pyarrow.list_(pyarrow.string()))]),
        [{"x": 1, "tags": ['"', "\\"]}, {"x": None, "tags": None}, None],
        "jsonb",
        None,
    ),
    (
        "mapped",
        pyarrow.map_(pyarrow.string(), pyarrow.float64()),
        [[], [("a", 1.5), ("b", None)], None],
        "jsonb",
        [{}, {"a": 1.5, "b": None}, None],
    ),
    ("part", pyarrow.string(), ["x y", "ü/%", None], "text", None),
    ("part_day", pyarrow.date32(), [dt.date(2024, 2, 29), dt.date(1970, 1, 1), None], "date", None),
]


def test_every_type(
    api: Api, catalog: str, instance: dict, login: Login, delta: DeltaTables
) -> None:
    source = pyarrow.table({name: pyarrow.array(v, kind) for name, kind, v, _, _ in COLUMNS})
    location = delta.write("types", source, partition_by=["part", "part_day"])
    register(api, f"{catalog}.{catalog}.types", location)
    synced = SyncedTable.create(
        api,
        f"{catalog}.{catalog}.synced",
        instance["name"],
        f"{catalog}.{catalog}.types",
        ["key"],
    )
    synced.wait_online()

    with login.connect(options="-c timezone=UTC") as connection:
        declared = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            (f"{catalog}.synced",),
        ).fetchall()
        assert dict(declared) == {name: kind for name, _, _, kind, _ in COLUMNS}
        for name, _, values, _, seen in COLUMNS:
            query = f'SELECT "{name}" FROM {catalog}.synced ORDER BY key COLLATE "C"'
            got = [value for (value,) in connection.execute(query)]
            assert got == (values if seen is None else seen), name
