"""Delta tables in an object store: registered, previewed, synced; and a store that is down."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pytest
from deltalake import write_deltalake

from kit.api import UNITY, Api
from kit.delta import DeltaTables
from kit.flaky_store import Fault, FlakyStore
from kit.login import Login
from kit.names import unique
from kit.object_store import ACCESS, ObjectStore
from kit.server import Server, binary, clean_environment, configured
from kit.synced import SyncedTable, make_schema, register
from kit.waiting import eventually

ROWS = pyarrow.table(
    {"id": pyarrow.array(range(500), pyarrow.int64()), "name": [f"n{i}" for i in range(500)]}
)
HAND_OUT = """
[object_store.hand_out]
access_key_id = "guest"
secret_access_key = "guest-secret"
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    running = ObjectStore(tmp_path_factory.mktemp("store"))
    running.make_bucket("lake")
    running.make_bucket("other")
    running.make_bucket("far")
    yield running
    running.close()


@pytest.fixture(scope="module")
def flaky(store: ObjectStore) -> Iterator[FlakyStore]:
    way = FlakyStore(store.url)
    yield way
    way.close()


@pytest.fixture(scope="module")
def lake(
    store: ObjectStore, flaky: FlakyStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that may read two buckets of the store, one by a way that can be disturbed, and one at an
    address where nobody is."""
    far = store.settings("far", endpoint=flaky.url)
    dead = store.settings("dead", endpoint="http://127.0.0.1:9")
    text = store.settings("lake") + HAND_OUT + far + dead
    with configured(tmp_path_factory.mktemp("config"), text) as running:
        yield running


@pytest.fixture(scope="module")
def lake_api(lake: Server) -> Api:
    return Api(lake.http, lake.token)


@pytest.fixture
def schema(lake_api: Api) -> str:
    name = unique("c")
    make_schema(lake_api, name, name)
    return f"{name}.{name}"


def write(store: ObjectStore, bucket: str, name: str, rows: pyarrow.Table = ROWS) -> str:
    location = f"s3://{bucket}/{name}"
    write_deltalake(location, rows, storage_options=store.writer_options)
    return location


def test_the_same_rows_from_a_store_and_from_files(
    lake: Server, lake_api: Api, store: ObjectStore, schema: str, delta: DeltaTables
) -> None:
    far = f"{schema}.far"
    table = register(lake_api, far, write(store, "lake", unique("t")))
    assert [column["name"] for column in table["columns"]] == ["id", "name"]
    near = f"{schema}.near"
    register(lake_api, near, delta.write("near", ROWS))

    name = unique("i")
    lake_api.create_instance(name)
    instance = lake_api.wait_for_state(name, "AVAILABLE")
    for source, target in ((far, "far"), (near, "near")):
        table = f"{schema.split('.')[0]}.served.{target}"
        SyncedTable.create(lake_api, table, name, source, ["id"]).wait_online()
    login = Login.to(lake_api, instance)
    with login.connect() as connection:
        rows = [
            connection.execute(f"select * from served.{name} order by id").fetchall()
            for name in ("far", "near")
        ]
    assert rows[0] == rows[1] and len(rows[0]) == 500
    lake_api.delete_instance(name)


@pytest.mark.parametrize(("fault", "told"), [("cut", ""), ("denied", "403")])
def test_data_that_does_not_arrive_is_fetched_later(
    lake_api: Api, store: ObjectStore, flaky: FlakyStore, schema: str, fault: Fault, told: str
) -> None:
    source, name = f"{schema}.far", unique("i")
    location = write(store, "far", unique("t"))
    register(lake_api, source, location)
    lake_api.create_instance(name)
    login = Login.to(lake_api, lake_api.wait_for_state(name, "AVAILABLE"))
    table = SyncedTable.create(lake_api, f"{schema}_served.far", name, source, ["id"])
    table.wait_online()
    # Nothing of it can be left in a cache of the writer's.
    more = ROWS.set_column(0, "id", pyarrow.array(range(500, 1_000), pyarrow.int64()))
    write_deltalake(location, more, mode="append", storage_options=store.writer_options)
    flaky.fault = fault
    try:
        table.start_update()
        message = eventually(
            lambda: table.status()["message"], "it says why", until=lambda text: location in text
        )
        assert told in message and ACCESS["secret_access_key"] not in message, message
        count = f"SELECT count(*) FROM {table.name.split('.', 1)[1]}"
        assert login.value(count) == 500, "what was there is served"
        assert flaky.met > 0
    finally:
        flaky.fault = None
    table.wait_version(1)
    assert login.value(count) == 1_000
    lake_api.delete_instance(name)


def test_credentials_are_handed_out_only_if_some_were_set_aside(
    lake_api: Api, store: ObjectStore, schema: str
) -> None:
    table = register(lake_api, f"{schema}.t", write(store, "lake", unique("t")))
    path = "/api/2.0/unity-catalog/temporary-table-credentials"
    body = {"table_id": table["table_id"], "operation": "READ"}
    given = lake_api.ok("POST", path, body)
    assert given["aws_temp_credentials"] == {
        "access_key_id": "guest",
        "secret_access_key": "guest-secret",
    }
    assert given["url"] == table["storage_location"]
    refusal = lake_api.refused(400, "POST", path, body | {"operation": "READ_WRITE"})
    assert "hand_out_write" in refusal.message
    assert ACCESS["secret_access_key"] not in refusal.message


def test_preview_shows_rows(
    lake: Server, lake_api: Api, store: ObjectStore, schema: str
) -> None:
    rows = pyarrow.table({"id": [1, 2], "name": ["ü", None], "tags": [["a"], []]})
    register(lake_api, f"{schema}.t", write(store, "lake", unique("t"), rows))
    environment = clean_environment() | {
        "DATABRICKS_CONFIG_FILE": str(lake.config_file),
        "AWS_ENDPOINT_URL": store.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": ACCESS["region"],
    }
    command = [str(binary()), "tables", "preview", f"{schema}.t"]

    def run(*flags: str) -> str:
        done = subprocess.run(
            [*command, *flags], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    text = run("--output", "text")
    assert [line.split() for line in text.splitlines()] == [
        ["id", "name", "tags"],
        ["1", "ü", "[a]"],
        ["2", "NULL", "[]"],
        [],
        ["2", "of", "2", "rows", "at", "version", "0"],
    ]
    assert json.loads(run("--output", "json", "--limit", "1"))["rows"] == [
        {"id": "1", "name": "ü", "tags": "[a]"}
    ]


def test_what_is_not_configured_is_not_read(
    lake_api: Api, store: ObjectStore, schema: str
) -> None:
    location = write(store, "other", unique("t"))
    catalog, name = schema.split(".")
    body = {"name": "t", "catalog_name": catalog, "schema_name": name}
    unknown = body | {"storage_location": location}
    refusal = lake_api.refused(400, "POST", f"{UNITY}/tables", unknown)
    assert "[[object_store]]" in refusal.message
    nothing = body | {"storage_location": "s3://lake/nothing-here"}
    lake_api.refused(400, "POST", f"{UNITY}/tables", nothing)


def test_a_store_that_is_down_is_an_error_that_says_so(lake_api: Api, schema: str) -> None:
    catalog, name = schema.split(".")
    body = {"name": "t", "catalog_name": catalog, "schema_name": name}
    answer = lake_api.send("POST", f"{UNITY}/tables", body | {"storage_location": "s3://dead/t"})
    assert answer.status_code in (400, 503), answer.text
    assert "s3://dead/t" in answer.json()["message"]
    assert ACCESS["secret_access_key"] not in answer.text


def test_a_configuration_that_cannot_be_is_named(tmp_path: Path) -> None:
    config = tmp_path / "lakeport.toml"
    for text, word in [
        ('[[object_store]]\nprefix = "lake"', "object_store.prefix"),
        ('[[object_store]]\nprefix = "s3://a/"\nsecret = "x"', "secret"),
        ('[[catalog]]\nname = "a"\nurl = "nonsense"', "catalog.url"),
        ('allowed_locations = ["lake"]', "allowed_locations"),
    ]:
        config.write_text(text)
        data = str(tmp_path / "d")
        command = [str(binary()), "serve", "--config", str(config), "--data-dir", data]
        done = subprocess.run(
            command, env=clean_environment(), capture_output=True, text=True, timeout=60
        )
        assert done.returncode != 0 and word in done.stderr, (text, done.stderr)
    assert not os.path.exists(tmp_path / "d")
