"""Delta tables in Azure's and Google's kinds of store: registered, synced, and keys that are wrong."""

import shutil
from collections.abc import Iterator

import pyarrow
import pytest

from kit.api import UNITY, Api
from kit.cloud_stores import Azure, Google
from kit.login import Login
from kit.names import unique
from kit.server import Server, configured
from kit.synced import SyncedTable, make_schema, register

ROWS = pyarrow.table(
    {"id": pyarrow.array(range(500), pyarrow.int64()), "name": [f"n{i}" for i in range(500)]}
)
KINDS = {"azure": Azure, "google": Google}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Azure | Google]]:
    if shutil.which("node") is None:
        pytest.skip("no node: Azure's server is an npm package")
    running = {}
    try:
        for name, kind in KINDS.items():
            running[name] = kind(tmp_path_factory.mktemp(name))
        yield running
    finally:
        for store in running.values():
            store.close()


@pytest.fixture(scope="module")
def reading(
    stores: dict[str, Azure | Google], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    closed = stores["azure"].settings_with_wrong_key()
    text = "".join(store.settings() for store in stores.values()) + closed
    with configured(tmp_path_factory.mktemp("config"), text) as running:
        yield running


@pytest.fixture(scope="module")
def here(reading: Server) -> Api:
    return Api(reading.http, reading.token)


@pytest.fixture(scope="module")
def schema(here: Api) -> str:
    name = unique("c")
    make_schema(here, name, "s")
    return f"{name}.s"


@pytest.fixture(scope="module")
def login(here: Api) -> Login:
    name = unique("i")
    here.create_instance(name)
    return Login.to(here, here.wait_for_state(name, "AVAILABLE"))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_a_cloud_store_are_synced(
    stores: dict[str, Azure | Google], here: Api, schema: str, login: Login, kind: str
) -> None:
    source = f"{schema}.{kind}"
    table = register(here, source, stores[kind].write(unique("t"), ROWS))
    assert [column["name"] for column in table["columns"]] == ["id", "name"]
    body = {"table_id": table["table_id"], "operation": "READ"}
    given = here.ok("POST", f"{UNITY}/temporary-table-credentials", body)
    assert stores[kind].handed_out(given), given

    instance = here.ok("GET", "/api/2.0/database/instances")["database_instances"][0]["name"]
    name = f"{schema.split('.')[0]}.served.{kind}"
    SyncedTable.create(here, name, instance, source, ["id"]).wait_online()
    query = f"select count(*), min(name), max(id) from served.{kind}"
    with login.connect() as connection:
        assert connection.execute(query).fetchone() == (500, "n0", 499)


def test_a_wrong_key_is_told_and_never_shown(
    stores: dict[str, Azure | Google], reading: Server, here: Api, schema: str
) -> None:
    store = stores["azure"]
    location = store.write(f"closed/{unique('t')}", ROWS)
    catalog, name = schema.split(".")
    body = {"name": "closed", "catalog_name": catalog, "schema_name": name}
    body |= {"table_type": "EXTERNAL", "data_source_format": "DELTA", "storage_location": location}
    told = here.refused(400, "POST", f"{UNITY}/tables", body).message
    assert "403" in told and location in told
    for secret in (Azure.KEY, "d3Jvbmc="):
        assert secret not in told and secret not in reading.log.read_text()
