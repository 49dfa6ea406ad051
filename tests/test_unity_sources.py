"""One table by three ways: the embedded catalog, an outside catalog server, an object store."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pytest
from deltalake import write_deltalake

from kit.api import SYNCED_TABLES, UNITY, Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.names import unique
from kit.object_store import ObjectStore
from kit.server import Server, configured
from kit.synced import SyncedTable, body_of, make_schema, register

ROWS = pyarrow.table(
    {
        "id": pyarrow.array(range(300), pyarrow.int64()),
        "name": [None if i % 7 == 0 else f"n{i}" for i in range(300)],
        "price": pyarrow.array([i / 4 for i in range(300)], pyarrow.float64()),
    }
)
WAYS = ("embedded", "outside", "store")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    running = ObjectStore(tmp_path_factory.mktemp("store"))
    running.make_bucket("lake")
    yield running
    running.close()


@pytest.fixture(scope="module")
def reading(
    server: Server, store: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that asks the shared one for every catalog that it does not know itself."""
    folder, text = tmp_path_factory.mktemp("config"), store.settings("lake")
    asking = ("--catalog-url", server.http)
    with configured(folder, text, *asking, LAKEPORT_CATALOG_TOKEN=server.token) as running:
        yield running


@pytest.fixture(scope="module")
def here(reading: Server) -> Api:
    return Api(reading.http, reading.token)


@pytest.fixture(scope="module")
def target(here: Api) -> dict:
    name = unique("i")
    here.create_instance(name)
    return here.wait_for_state(name, "AVAILABLE")


def test_the_same_rows_by_all_three_ways(
    api: Api, here: Api, target: dict, store: ObjectStore, delta: DeltaTables
) -> None:
    files = delta.write("orders", ROWS)
    in_store = f"s3://lake/{unique('t')}"
    write_deltalake(in_store, ROWS, storage_options=store.writer_options)
    own, outside = unique("own"), unique("outside")
    make_schema(here, own, "s")
    make_schema(api, outside, "s")
    register(here, f"{own}.s.embedded", files)
    register(here, f"{own}.s.store", in_store)
    register(api, f"{outside}.s.outside", files)
    assert here.ok("GET", f"{UNITY}/catalogs/{outside}")["catalog_type"] == "FOREIGN_CATALOG"
    sources = (f"{own}.s.embedded", f"{outside}.s.outside", f"{own}.s.store")
    for source, way in zip(sources, WAYS, strict=True):
        name = f"{own}.served.{way}"
        SyncedTable.create(here, name, target["name"], source, ["id"]).wait_online()
    with Login.to(here, target).connect() as connection:
        query = "select * from served.{} order by id"
        rows = [connection.execute(query.format(way)).fetchall() for way in WAYS]
    expected = [tuple(row.values()) for row in ROWS.to_pylist()]
    assert rows == [expected] * 3


def test_what_the_outside_catalog_does_not_have(here: Api, target: dict) -> None:
    body = body_of(f"c.s.{unique('t')}", target["name"], f"{unique('no')}.s.t", ["id"])
    assert "not found" in here.refused(404, "POST", SYNCED_TABLES, body).message


def test_a_wrong_token_for_the_outside_catalog_is_told(
    api: Api, server: Server, delta: DeltaTables, tmp_path: Path
) -> None:
    outside = unique("outside")
    make_schema(api, outside, "s")
    register(api, f"{outside}.s.t", delta.write("t", ROWS))
    stranger = Server("--catalog-url", server.http, LAKEPORT_CATALOG_TOKEN="lkpt_wrong")
    try:
        strange = Api(stranger.start().http, stranger.token)
        name = unique("i")
        strange.create_instance(name)
        strange.wait_for_state(name, "AVAILABLE")
        body = body_of(f"c.s.{unique('t')}", name, f"{outside}.s.t", ["id"])
        refused = strange.send("POST", SYNCED_TABLES, body)
        assert 400 <= refused.status_code < 600 and "catalog" in refused.text
        assert "lkpt_wrong" not in refused.text + stranger.log.read_text()
    finally:
        stranger.close()
