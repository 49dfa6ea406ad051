"""What users made on a synced table, and who reads it, over many runs: nothing lost, nothing mixed."""

import threading
from collections.abc import Callable

import psycopg
import pytest

from kit.api import Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.source import FEED, Source, products, served
from kit.synced import SyncedTable, register

ROWS = 300
# All prices are one in each version, and the number of rows never changes.
WHOLE = "SELECT count(*) = 300 AND count(DISTINCT price) = 1 FROM {}"


class Reader:
    """Asks again and again whether the table is whole, from before the runs until after them."""

    def __init__(self, login: Login, table: str) -> None:
        self.login, self.query = login, WHOLE.format(table)
        self.answers, self.error = set(), None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with self.login.connect() as connection:
                while not self._done.is_set():
                    self.answers.add(connection.execute(self.query).fetchone()[0])
        except Exception as error:  # noqa: BLE001 - raised in the test's own thread
            self.error = error

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self.error:
            raise self.error


def step(source: Source, number: int) -> None:
    """One version: every row changes, one goes and one comes."""
    ids = [100 + i for i in range(ROWS - 1)] + [10_000 + number]
    changed = products(ids, f"step {number}").set_column(2, "price", [[number] * ROWS])
    source.delta.write(source.name, changed, mode="overwrite")


@pytest.mark.parametrize(("policy", "runs"), [("SNAPSHOT", 3), ("TRIGGERED", 50)])
def test_nothing_is_lost_or_mixed(
    api: Api,
    catalog: str,
    instance: dict,
    delta: DeltaTables,
    login: Login,
    policy: str,
    runs: int,
) -> None:
    first = products([100 + i for i in range(ROWS)])
    first = first.set_column(2, "price", [[0] * ROWS])
    source = Source(delta, first, configuration=FEED)
    name = f"{catalog}.{catalog}.products"
    register(api, name, source.location)
    key = ["product_id"]
    table = SyncedTable.create(api, f"{name}_synced", instance["name"], name, key, policy)
    table.wait_online()
    relation = table.name.split(".", 1)[1]
    with login.connect() as connection:
        make_things(connection, relation, catalog)
        before = things(connection, relation)
    with login.connect(autocommit=False) as old, Reader(login, relation) as reader:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        seen = old.execute(f"SELECT * FROM {relation} ORDER BY product_id").fetchall()
        for number in range(1, runs + 1):
            step(source, number)
            assert table.refresh()["state"] == "COMPLETED", table.status()
        assert old.execute(f"SELECT * FROM {relation} ORDER BY product_id").fetchall() == seen
        old.rollback()
    assert reader.answers == {True}
    assert served(login, relation) == source.rows()
    with login.connect() as connection:
        assert things(connection, relation) == before
        view = connection.execute(f"SELECT count(*) FROM {relation}_view").fetchone()[0]
        assert view == ROWS

    # A run that would delete a row that others refer to fails and names it.
    source.table.delete("product_id = 100")
    assert table.refresh()["state"] == "FAILED"
    assert "100" in table.status()["message"] and "orders" in table.status()["message"]
    assert served(login, relation) != source.rows()


def make_things(connection: psycopg.Connection, relation: str, schema: str) -> None:
    for statement in (
        f"CREATE INDEX by_name ON {relation} (name) WHERE price > 0",
        f"CREATE UNIQUE INDEX one_name ON {relation} (product_id, name)",
        f"COMMENT ON TABLE {relation} IS 'mine'",
        f"CREATE VIEW {relation}_view AS SELECT product_id, name FROM {relation}",
        f"GRANT SELECT ON {relation} TO PUBLIC",
        f"CREATE TABLE {schema}.orders (id int PRIMARY KEY, product_id bigint NOT NULL "
        f"REFERENCES {relation} (product_id))",
        f"INSERT INTO {schema}.orders VALUES (1, 100)",
    ):
        connection.execute(statement)


def things(connection: psycopg.Connection, relation: str) -> list[tuple]:
    """What hangs on the table, in words."""
    queries: Callable[[str], list[tuple]] = lambda query: connection.execute(query).fetchall()
    return [
        *queries(f"SELECT indexdef FROM pg_indexes WHERE schemaname || '.' || tablename = '{relation}' ORDER BY 1"),
        *queries(f"SELECT obj_description('{relation}'::regclass)"),
        *queries(f"SELECT relacl::text FROM pg_class WHERE oid = '{relation}'::regclass"),
        *queries(f"SELECT '{relation}'::regclass::oid"),
        *queries(f"SELECT conname FROM pg_constraint WHERE confrelid = '{relation}'::regclass"),
    ]
