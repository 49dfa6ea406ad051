"""Delta tables to be loaded: their shapes, sizes, and how they are made."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.compute as pc
from deltalake import write_deltalake

from bench.plan import Plan

CHUNK = 1_000_000
FILES = 8


@dataclass(frozen=True)
class Shape:
    title: str
    key: list[str]
    rows: int
    rounds: int
    # Rows from one number to another.
    make: Callable[[int, int], pyarrow.Table]
    # Whether other tools make the same table of it.
    has_peers: bool = True
    files: int = FILES

    @property
    def compared(self) -> list[str]:
        """Columns by their value: not everybody keeps the scale of decimals."""
        schema = self.make(0, 1).schema
        return [
            f"trim_scale({field.name})" if pyarrow.types.is_decimal(field.type) else field.name
            for field in schema
        ]

    def write(self, folder: Path) -> Path:
        location = folder / "table"
        size = max(1, min(self.rows // self.files, CHUNK))
        for first in range(0, self.rows, size):
            rows = self.make(first, min(first + size, self.rows))
            write_deltalake(str(location), rows, mode="append")
        return location


def remove(location: Path) -> None:
    shutil.rmtree(location)


def shapes(plan: Plan) -> list[Shape]:
    rows, rounds = plan.snapshot_rows, plan.snapshot_rounds
    few = max(2, rounds - 2)
    scalars = "rows of 10 scalars"
    return [
        Shape(f"{rows:,} {scalars}", ["id"], rows, rounds, ten_scalars),
        Shape(f"{10 * rows:,} {scalars}", ["id"], 10 * rows, few, ten_scalars),
        Shape(f"{rows:,} rows of lineitem", ["orderkey", "linenumber"], rows, rounds, lineitem),
        Shape(f"{rows // 10:,} rows of 100 numbers", ["id"], rows // 10, few, wide, False),
        Shape(f"{rows // 5:,} rows of nested values", ["id"], rows // 5, few, nested, False),
        Shape(f"{rows // 5:,} rows in 1,000 files", ["id"], rows // 5, few, ten_scalars, False, 1_000),
    ]


def numbers(first: int, end: int) -> pyarrow.Array:
    return pyarrow.array(range(first, end), pyarrow.int64())


def modulo(values: pyarrow.Array, by: int) -> pyarrow.Array:
    return pc.subtract(values, pc.multiply(pc.divide(values, by), by))


def money(values: pyarrow.Array, by: int) -> pyarrow.Array:
    whole = pc.cast(modulo(values, by), pyarrow.int32())
    return pc.cast(whole, pyarrow.decimal128(15, 2))


def text(prefix: str, values: pyarrow.Array) -> pyarrow.Array:
    return pc.binary_join_element_wise(prefix, pc.cast(values, pyarrow.string()), "")


def pick(values: pyarrow.Array, choices: list[str]) -> pyarrow.Array:
    return pc.take(pyarrow.array(choices), modulo(values, len(choices)))


def day(values: pyarrow.Array, shift: int) -> pyarrow.Array:
    days = pc.cast(pc.add(modulo(values, 2_500), 8_000 + shift), pyarrow.int32())
    return pc.cast(days, pyarrow.date32())


def ten_scalars(first: int, end: int) -> pyarrow.Table:
    i = numbers(first, end)
    return pyarrow.table(
        {
            "id": i,
            "quantity": pc.cast(modulo(i, 1_000_003), pyarrow.int32()),
            "shelf": pc.cast(modulo(i, 30_000), pyarrow.int16()),
            "sold": pc.equal(modulo(i, 2), 1),
            "weight": pc.divide(pc.cast(i, pyarrow.float64()), 3.0),
            "score": pc.cast(pc.divide(pc.cast(modulo(i, 7_919), pyarrow.float64()), 8.0), pyarrow.float32()),
            "price": money(i, 99_991),
            "day": day(i, 0),
            "at": pc.cast(pc.multiply(i, 1_000_003), pyarrow.timestamp("us", "UTC")),
            "title": text("the title of item number ", i),
        }
    )


def lineitem(first: int, end: int) -> pyarrow.Table:
    """In the shape of TPC-H's table; its values are not TPC-H's."""
    i = numbers(first, end)
    return pyarrow.table(
        {
            "orderkey": pc.divide(i, 4),
            "partkey": modulo(pc.multiply(i, 7_919), 200_000),
            "suppkey": modulo(pc.multiply(i, 104_729), 10_000),
            "linenumber": pc.cast(modulo(i, 4), pyarrow.int32()),
            "quantity": money(i, 50),
            "extendedprice": money(i, 99_991),
            "discount": money(i, 11),
            "tax": money(i, 9),
            "returnflag": pick(i, ["R", "A", "N"]),
            "linestatus": pick(i, ["O", "F"]),
            "shipdate": day(i, 0),
            "commitdate": day(i, 30),
            "receiptdate": day(i, 60),
            "shipinstruct": pick(i, ["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"]),
            "shipmode": pick(i, ["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"]),
            "comment": text("carefully final deposits ", i),
        }
    )


def wide(first: int, end: int) -> pyarrow.Table:
    i = numbers(first, end)
    floats = pc.cast(i, pyarrow.float64())
    return pyarrow.table({"id": i, **{f"n{n}": pc.divide(floats, n + 1.0) for n in range(99)}})


def nested(first: int, end: int) -> pyarrow.Table:
    tags = [[f"t{i % 5}", f"u{i % 3}"] for i in range(first, end)]
    places = [{"city": f"c{i % 97}", "zip": i} for i in range(first, end)]
    return pyarrow.table({"id": numbers(first, end), "tags": tags, "place": places})
