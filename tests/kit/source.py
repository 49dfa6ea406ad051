"""Delta tables of products that change, and what is served of them."""

import pyarrow
from deltalake import DeltaTable

from kit.delta import DeltaTables
from kit.login import Login

FEED = {"delta.enableChangeDataFeed": "true"}


def products(ids: list[int], name: str = "first") -> pyarrow.Table:
    """Products in the shape of the examples: a key, a name and a price."""
    return pyarrow.table(
        {
            "product_id": pyarrow.array(ids, pyarrow.int64()),
            "name": [name] * len(ids),
            "price": pyarrow.array([10 * i for i in ids], pyarrow.int64()),
        }
    )


class Source:
    """A Delta table with a change data feed, and what it holds."""

    def __init__(
        self, delta: DeltaTables, rows: pyarrow.Table, name: str = "products", **options: object
    ) -> None:
        self.delta, self.name = delta, name
        self.location = delta.write(name, rows, **options)

    @property
    def table(self) -> DeltaTable:
        return DeltaTable(str(self.delta.path(self.name)))

    def append(self, rows: pyarrow.Table, **options: object) -> None:
        self.delta.write(self.name, rows, mode="append", **options)

    def merge(self, rows: pyarrow.Table) -> None:
        merge = self.table.merge(rows, "t.product_id = s.product_id", "s", "t")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()

    @property
    def version(self) -> int:
        return self.table.version()

    def rows(self) -> list[tuple]:
        held = self.table.to_pyarrow_table().sort_by("product_id").to_pylist()
        return [tuple(row.values()) for row in held]


def served(login: Login, relation: str) -> list[tuple]:
    with login.connect() as connection:
        return connection.execute(f"SELECT * FROM {relation} ORDER BY product_id").fetchall()
