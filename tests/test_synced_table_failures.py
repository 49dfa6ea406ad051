"""Delta tables that cannot be served: each fails with a message that says what to look at."""

import shutil
from collections.abc import Callable

import pyarrow
import pytest

from kit.api import CATALOGS, SYNCED_TABLES, Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.synced import SyncedTable, body_of, register

GOOD = pyarrow.table({"id": pyarrow.array([1, 2, 3], pyarrow.int64()), "note": ["a", "b", "c"]})


@pytest.fixture
def sync(api: Api, catalog: str, instance: dict) -> Callable[..., SyncedTable]:
    """Registers a Delta table as "source", lets it be damaged, and starts to sync it."""

    def start(location: str, damage: Callable[[], object] = lambda: None) -> SyncedTable:
        register(api, f"{catalog}.{catalog}.source", location)
        damage()
        return SyncedTable.create(
            api,
            f"{catalog}.{catalog}.synced",
            instance["name"],
            f"{catalog}.{catalog}.source",
            ["id"],
        )

    return start


def location_is_gone(delta: DeltaTables) -> None:
    shutil.rmtree(delta.path("source"))


def log_is_gone(delta: DeltaTables) -> None:
    shutil.rmtree(delta.path("source") / "_delta_log")


def file_is_gone(delta: DeltaTables) -> None:
    delta.data_files("source")[0].unlink()


def file_is_corrupt(delta: DeltaTables) -> None:
    file = delta.data_files("source")[0]
    file.write_bytes(b"PAR1" + b"\xff" * (file.stat().st_size - 8) + b"PAR1")


def file_is_cut(delta: DeltaTables) -> None:
    file = delta.data_files("source")[0]
    file.write_bytes(file.read_bytes()[:-20])


def log_is_corrupt(delta: DeltaTables) -> None:
    for entry in (delta.path("source") / "_delta_log").glob("*.json"):
        entry.write_text('{"add": ')


@pytest.mark.parametrize(
    "damage", [location_is_gone, log_is_gone, log_is_corrupt], ids=lambda damage: damage.__name__
)
def test_unreadable_source_is_refused_at_once(
    api: Api, catalog: str, instance: dict, delta: DeltaTables, damage
) -> None:
    source, synced = (f"{catalog}.{catalog}.{table}" for table in ("source", "synced"))
    register(api, source, delta.write("source", GOOD))
    damage(delta)
    body = body_of(synced, instance["name"], source, ["id"])
    refusal = api.refused(400, "POST", SYNCED_TABLES, body)
    assert source in refusal.message and "backtrace" not in refusal.message
    api.refused(404, "GET", f"{SYNCED_TABLES}/{synced}")


@pytest.mark.parametrize(
    "damage", [file_is_gone, file_is_corrupt, file_is_cut], ids=lambda damage: damage.__name__
)
def test_damaged_source(sync, delta: DeltaTables, login: Login, damage) -> None:
    synced = sync(delta.write("source", GOOD), lambda: damage(delta))
    status = synced.wait_failed()
    assert status["detailed_state"] == "SYNCED_TABLE_OFFLINE_FAILED"
    assert "source" in status["message"]
    nothing_is_served(synced, login)


def nothing_is_served(synced: SyncedTable, login: Login) -> None:
    relation = synced.name.split(".", 1)[1]
    exists = login.value(f"SELECT to_regclass('{relation}') IS NOT NULL")
    assert not exists or login.value(f"SELECT count(*) FROM {relation}") == 0


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ({"id": [1, 2, 2], "note": ["a", "b", "c"]}, ["duplicate", "id", "2"]),
        ({"id": [1, 2, 3], "note": ["a", "b\0c", "c"]}, ["note"]),
    ],
    ids=["duplicate key", "NUL in text"],
)
def test_rows_that_cannot_be_stored(sync, delta: DeltaTables, login: Login, rows, named) -> None:
    ids = pyarrow.array(rows["id"], pyarrow.int64())
    synced = sync(delta.write("source", pyarrow.table({"id": ids, "note": rows["note"]})))
    status = synced.wait_failed()
    assert status["detailed_state"] == "SYNCED_TABLE_OFFLINE_FAILED"
    for word in ("source", *named):
        assert word in status["message"].lower(), status["message"]
    nothing_is_served(synced, login)


def test_rows_with_a_null_key_are_left_out_and_counted(
    sync, delta: DeltaTables, login: Login
) -> None:
    ids = pyarrow.array([1, None, 3], pyarrow.int64())
    synced = sync(delta.write("source", pyarrow.table({"id": ids, "note": ["a", "b", "c"]})))
    status = synced.wait_online()
    assert "1 row" in status["message"] and "NULL" in status["message"], status["message"]
    relation = synced.name.split(".", 1)[1]
    assert login.value(f"SELECT array_agg(id ORDER BY id) FROM {relation}") == [1, 3]


def test_a_failed_refresh_keeps_the_old_rows(sync, delta: DeltaTables, login: Login) -> None:
    synced = sync(delta.write("source", GOOD))
    synced.wait_online()
    delta.write("source", GOOD, mode="append")  # Now every key is there twice.
    assert synced.refresh()["state"] == "FAILED"
    assert synced.status()["detailed_state"] == "SYNCED_TABLE_ONLINE_PIPELINE_FAILED"
    relation = synced.name.split(".", 1)[1]
    assert login.value(f"SELECT array_agg(id ORDER BY id) FROM {relation}") == [1, 2, 3]


def test_a_mended_source_is_served(sync, delta: DeltaTables, login: Login) -> None:
    location = delta.write("source", GOOD)
    file = delta.data_files("source")[0]
    content = file.read_bytes()
    synced = sync(location, file.unlink)
    synced.wait_failed()
    file.write_bytes(content)
    assert synced.refresh()["state"] == "COMPLETED"
    relation = synced.name.split(".", 1)[1]
    assert login.value(f"SELECT count(*) FROM {relation}") == 3


# --- targets ----------------------------------------------------------------------------------------


def test_a_target_that_exists_is_left_alone(
    api: Api, catalog: str, instance: dict, delta: DeltaTables, login: Login
) -> None:
    source, synced = (f"{catalog}.{catalog}.{table}" for table in ("source", "synced"))
    register(api, source, delta.write("source", GOOD))
    with login.connect() as connection:
        connection.execute(f"CREATE SCHEMA {catalog}")
        connection.execute(f"CREATE TABLE {catalog}.synced AS SELECT 7 AS mine")
    body = body_of(synced, instance["name"], source, ["id"])
    refusal = api.refused(409, "POST", SYNCED_TABLES, body)
    assert "already exists" in refusal.message and "synced" in refusal.message
    api.refused(404, "GET", f"{SYNCED_TABLES}/{synced}")
    assert login.value(f"SELECT mine FROM {catalog}.synced") == 7


def test_a_missing_schema_is_made_and_a_missing_database_if_that_is_asked_for(
    api: Api, catalog: str, instance: dict, delta: DeltaTables, login: Login
) -> None:
    source, synced = (f"{catalog}.{catalog}.{table}" for table in ("source", "synced"))
    register(api, source, delta.write("source", GOOD))
    body = body_of(synced, instance["name"], source, ["id"])
    del body["spec"]["create_database_objects_if_missing"]
    missing = body | {"logical_database_name": catalog}
    refusal = api.refused(400, "POST", SYNCED_TABLES, missing)
    assert refusal.message.startswith("logical_database_name")
    assert "create_database_objects_if_missing" in refusal.message
    api.refused(404, "GET", f"{SYNCED_TABLES}/{synced}")
    assert login.value(f"SELECT count(*) FROM pg_database WHERE datname = '{catalog}'") == 0
    api.ok("POST", SYNCED_TABLES, body)
    SyncedTable(api, synced).wait_online()
    owner = f"SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = '{catalog}'"
    assert login.value(owner) == login.user


def test_a_catalog_and_an_instance_that_disagree_are_refused(
    api: Api, catalog: str, instance: dict, own_instance: dict, delta: DeltaTables
) -> None:
    source, database = f"{catalog}.{catalog}.source", f"{catalog}_db"
    register(api, source, delta.write("source", GOOD))
    body = {"database_instance_name": instance["name"], "database_name": "databricks_postgres"}
    api.ok("POST", CATALOGS, {"name": database, **body})
    name = f"{database}.{catalog}.synced"
    refusal = api.refused(
        400, "POST", SYNCED_TABLES, body_of(name, own_instance["name"], source, ["id"])
    )
    assert "belongs to instance" in refusal.message and instance["name"] in refusal.message
    storage = {"storage_catalog": database, "storage_schema": "s"}
    wrong = body_of(name, instance["name"], source, ["id"])
    wrong["spec"]["new_pipeline_spec"] = storage
    refusal = api.refused(400, "POST", SYNCED_TABLES, wrong)
    assert refusal.message.startswith("spec.new_pipeline_spec.storage_catalog")
    api.refused(404, "GET", f"{SYNCED_TABLES}/{name}")
    api.ok("DELETE", f"{CATALOGS}/{database}")
