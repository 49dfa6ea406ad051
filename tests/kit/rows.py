"""Rows of many types for Delta tables, and reading them back from PostgreSQL for comparison."""

import io
import json
from collections.abc import Callable
from decimal import Decimal

import psycopg
import pyarrow
import pyarrow.compute as pc
import pyarrow.csv

KEY = "id"
MICROSECONDS = "(extract(epoch FROM {}) * 1000000)::bigint"

# Name, type in Delta (by Arrow), a value for each row number, and how to select it without loss.
COLUMNS: list[tuple[str, pyarrow.DataType, Callable[[int], object], str]] = [
    (KEY, pyarrow.int64(), lambda i: i, "{}"),
    ("quantity", pyarrow.int32(), lambda i: 919 * i - 1_000_003, "{}"),
    ("shelf", pyarrow.int16(), lambda i: i % 30_000 - 10_000, "{}"),
    ("sold", pyarrow.bool_(), lambda i: i % 2 == 1, "{}::text"),
    ("weight", pyarrow.float64(), lambda i: (i - 1_000) / 3, "{}"),
    ("score", pyarrow.float32(), lambda i: i / 7, "{}"),
    ("price", pyarrow.decimal128(18, 4), lambda i: Decimal(7919 * i - 10**9).scaleb(-4), "{}"),
    ("day", pyarrow.date32(), lambda i: i % 30_000 - 10_000, "{}"),
    ("at", pyarrow.timestamp("us", "UTC"), lambda i: (i - 10_000) * 1_000_003, MICROSECONDS),
    ("title", pyarrow.string(), lambda i: f'tïtle, "{i}"\t🙂' if i % 7 else "", "{}"),
    ("digest", pyarrow.binary(), lambda i: i.to_bytes(8, "big"), "encode({}, 'hex')"),
    (
        "tags",
        pyarrow.list_(pyarrow.string()),
        lambda i: [f"t{i % 5}", "", None][: i % 4],
        "{}::text",
    ),
]


def many(count: int, first: int = 0) -> pyarrow.Table:
    """`count` rows of 12 types, of which every column but the key is null in every eleventh row."""
    columns = {
        name: pyarrow.array(
            [value(i) if i % 11 != position else None for i in range(first, first + count)], kind
        )
        for position, (name, kind, value, _) in enumerate(COLUMNS, start=-1)
    }
    return pyarrow.table(columns)


def as_read_back(table: pyarrow.Table) -> pyarrow.Table:
    """What `read_back` must give for these rows."""
    table = table.sort_by(KEY).combine_chunks()
    convert = {
        "sold": lambda column: pc.cast(column, pyarrow.string()),
        "at": lambda column: pc.cast(column, pyarrow.int64()),
        "digest": lambda column: strings(column, bytes.hex),
        "tags": lambda column: strings(column, lambda v: json.dumps(v, ensure_ascii=False)),
    }
    for position, name in enumerate(table.column_names):
        if name in convert:
            table = table.set_column(position, name, convert[name](table[name]))
    return table


def strings(column: pyarrow.ChunkedArray, show) -> pyarrow.Array:
    shown = (None if value is None else show(value) for value in column.to_pylist())
    return pyarrow.array(shown, pyarrow.string())


def read_back(connection: psycopg.Connection, relation: str) -> pyarrow.Table:
    """Every row of a relation by its key, through COPY."""
    selected = ", ".join(f"{how.format(name)} AS {name}" for name, _, _, how in COLUMNS)
    query = f"COPY (SELECT {selected} FROM {relation} ORDER BY {KEY}) TO STDOUT (FORMAT csv)"
    text = io.BytesIO()
    with connection.cursor().copy(query) as copy:
        for block in copy:
            text.write(block)
    text.seek(0)
    expected = as_read_back(many(0)).schema
    return pyarrow.csv.read_csv(
        text,
        read_options=pyarrow.csv.ReadOptions(column_names=expected.names),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        # COPY writes null as nothing, and the empty string in quotes.
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=expected,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    ).combine_chunks()
