"""TRIGGERED and CONTINUOUS: the change data feed followed, through crashes, stops and gaps."""

import json
import re
import subprocess
from dataclasses import replace
from collections.abc import Callable

import pyarrow
import pytest

from kit.api import INSTANCES, SYNCED_TABLES, Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.names import unique
from kit.server import Server, binary, clean_environment
from kit.source import FEED, Source, products, served
from kit.synced import ONLINE, SyncedTable, body_of, make_schema, register
from kit.waiting import eventually

@pytest.fixture
def source(delta: DeltaTables) -> Source:
    return Source(delta, products(list(range(100))), configuration=FEED)


@pytest.fixture
def synced(api: Api, catalog: str, instance: dict, source: Source) -> Callable[..., SyncedTable]:
    """Starts to sync the source with a policy into the shared instance."""

    def start(policy: str, **spec: object) -> SyncedTable:
        name = f"{catalog}.{catalog}.products"
        register(api, name, source.location)
        return SyncedTable.create(
            api, f"{name}_synced", instance["name"], name, ["product_id"], policy, **spec
        )

    return start


def relation(table: SyncedTable) -> str:
    return table.name.split(".", 1)[1]


# --- TRIGGERED ------------------------------------------------------------------------------------


def test_triggered_applies_what_has_changed(synced, source: Source, login: Login) -> None:
    table = synced("TRIGGERED")
    status = table.wait_online()
    assert status["triggered_update_status"]["last_processed_commit_version"] == 0
    with login.connect() as connection:
        connection.execute(f"CREATE INDEX by_name ON {relation(table)} (name)")
        connection.execute(f"CREATE VIEW {relation(table)}_view AS SELECT * FROM {relation(table)}")

    source.append(products([200, 201]))
    source.table.delete("product_id < 10")
    source.table.update(predicate="product_id = 50", updates={"product_id": "500", "name": "'moved'"})
    source.merge(products([60, 300], "merged"))
    # Nothing is applied before it is asked for.
    assert table.status()["last_sync"]["delta_table_sync_info"]["delta_commit_version"] == 0
    assert table.refresh()["state"] == "COMPLETED"
    status = table.status()
    assert status["detailed_state"] == ONLINE
    assert status["last_sync"]["delta_table_sync_info"]["delta_commit_version"] == 4
    # The key that moved went and came.
    assert "4 rows inserted, 1 updated, 11 deleted; 93 rows" in status["message"]
    assert served(login, f"{relation(table)}_view") == source.rows()


def metrics_of(api: Api, table: SyncedTable) -> dict[str, float]:
    """What `/metrics` says of a table, by metric and its other labels."""
    lines = re.findall(
        rf'^(lakeport_sync_\w+)\{{table="{re.escape(table.name)}"(?:,(.*))?\}} (\S+)$',
        api.send("GET", "/metrics").text,
        re.MULTILINE,
    )
    return {f"{name} {labels}".strip(): float(value) for name, labels, value in lines}


def test_metrics_tell_what_runs_have_come_to(api: Api, synced, source: Source) -> None:
    table = synced("TRIGGERED")
    table.wait_online()
    loaded = metrics_of(api, table)
    assert loaded['lakeport_sync_runs_total result="ok"'] == 1
    assert loaded["lakeport_sync_rows_total"] == 100 and loaded["lakeport_sync_bytes_total"] > 1_000
    for phase in ("reading", "indexing", "applying"):
        assert loaded[f'lakeport_sync_phase_seconds_total phase="{phase}"'] > 0, loaded
    assert loaded["lakeport_sync_version"] == 0 and loaded["lakeport_sync_lag_seconds"] >= 0

    source.append(products([200, 201]))
    table.refresh()
    applied = metrics_of(api, table)
    assert applied["lakeport_sync_rows_total"] == 102
    assert applied["lakeport_sync_bytes_total"] > loaded["lakeport_sync_bytes_total"]
    assert (applied["lakeport_sync_version"], applied["lakeport_sync_lag_versions"]) == (1, 0)

    # What was seen and could not be applied.
    before = set(source.delta.data_files("products"))
    source.append(products([300]))
    [new] = set(source.delta.data_files("products")) - before
    new.unlink()
    assert table.refresh()["state"] == "FAILED"
    failed = metrics_of(api, table)
    assert failed['lakeport_sync_runs_total result="failed"'] >= 1
    assert (failed["lakeport_sync_version"], failed["lakeport_sync_lag_versions"]) == (1, 1)


def test_added_columns_flow_through(synced, source: Source, login: Login) -> None:
    table = synced("TRIGGERED")
    table.wait_online()
    wider = products([700]).append_column("color", pyarrow.array(["red"]))
    source.append(wider, schema_mode="merge")
    assert table.refresh()["state"] == "COMPLETED"
    assert served(login, relation(table)) == source.rows()


def test_a_gap_fails_and_a_full_refresh_heals_it(synced, source: Source, login: Login) -> None:
    table = synced("TRIGGERED")
    table.wait_online()
    before = source.rows()
    source.table.alter.set_table_properties({"delta.enableChangeDataFeed": "false"})
    source.append(products([800]))
    source.table.alter.set_table_properties(FEED)
    assert table.refresh()["state"] == "FAILED"
    status = table.wait_failed()
    assert status["detailed_state"] == "SYNCED_TABLE_ONLINE_PIPELINE_FAILED"
    assert "delta.enableChangeDataFeed" in status["message"]
    assert "full refresh" in status["message"]
    assert served(login, relation(table)) == before

    assert table.refresh(full_refresh=True)["state"] == "COMPLETED"
    assert "full refresh was asked for" in table.status()["message"]
    assert served(login, relation(table)) == source.rows()


def test_timeseries_key_keeps_the_newest(api, catalog, instance, delta, login: Login) -> None:
    rows = products([1, 1, 2]).set_column(2, "price", pyarrow.array([5, 9, 1], pyarrow.int64()))
    source = Source(delta, rows, configuration=FEED)
    name = f"{catalog}.{catalog}.products"
    register(api, name, source.location)
    body = body_of(f"{name}_synced", instance["name"], name, ["product_id"], "TRIGGERED")
    body["spec"]["timeseries_key"] = "nothing"
    refusal = api.refused(400, "POST", SYNCED_TABLES, body)
    assert "timeseries_key" in refusal.message and '"nothing"' in refusal.message

    table = SyncedTable.create(
        api, f"{name}_synced", instance["name"], name, ["product_id"], "TRIGGERED", timeseries_key="price"
    )
    table.wait_online()
    assert served(login, relation(table)) == [(1, "first", 9), (2, "first", 1)]
    source.append(products([2]))  # Its price is 20.
    source.table.delete("price = 9")
    assert table.refresh()["state"] == "COMPLETED"
    assert served(login, relation(table)) == [(1, "first", 5), (2, "first", 20)]


@pytest.mark.parametrize("policy", ["TRIGGERED", "CONTINUOUS"])
def test_a_source_without_a_feed_fails_until_it_has_one(
    api: Api, catalog: str, instance: dict, delta: DeltaTables, login: Login, policy: str
) -> None:
    source = Source(delta, products([1]))
    name = f"{catalog}.{catalog}.products"
    register(api, name, source.location)
    body = body_of(f"{name}_synced", instance["name"], name, ["product_id"], policy)
    told = api.ok("POST", SYNCED_TABLES, body)["data_synchronization_status"]
    assert "delta.enableChangeDataFeed = true" in told["message"]
    table = SyncedTable(api, f"{name}_synced")
    status = table.wait_failed()
    assert status["detailed_state"] == "SYNCED_TABLE_OFFLINE_FAILED"
    assert "SOURCE_READ_ERROR" in status["message"]
    assert "delta.enableChangeDataFeed = true" in status["message"]
    events = api.ok("GET", f"{table.pipeline}/events")["events"]
    assert any(event["level"] == "WARN" and name in event["message"] for event in events), events

    source.table.alter.set_table_properties(FEED)
    table.start_update()
    table.wait_version(1)
    assert served(login, relation(table)) == source.rows()
    table.delete(purge_data="true")


# --- CONTINUOUS -----------------------------------------------------------------------------------


def test_continuous_follows_until_it_is_stopped(
    api: Api, synced, source: Source, login: Login
) -> None:
    table = synced("CONTINUOUS")
    status = table.wait_following()
    assert status["continuous_update_status"]["last_processed_commit_version"] == 0
    for step in range(5):
        source.merge(products([step, 1000 + step], f"step {step}"))
        eventually(
            lambda: served(login, relation(table)) == source.rows(), f"step {step} is visible"
        )
    assert table.wait_version(5)["detailed_state"] == "SYNCED_TABLE_ONLINE_CONTINUOUS_UPDATE"
    assert api.ok("GET", table.pipeline)["state"] == "RUNNING"

    api.ok("POST", f"{table.pipeline}/stop", {})
    table.wait_online()
    stopped = source.rows()
    source.table.delete("product_id > 50")
    assert api.ok("GET", table.pipeline)["state"] == "IDLE"
    assert served(login, relation(table)) == stopped

    table.start_update()
    table.wait_following()
    table.wait_version(6)
    assert served(login, relation(table)) == source.rows()
    table.delete(purge_data="true")


def test_continuous_is_refreshed_in_full(synced, source: Source, login: Login) -> None:
    table = synced("CONTINUOUS")
    table.wait_following()
    source.table.alter.set_table_properties({"delta.enableChangeDataFeed": "false"})
    table.wait_failed()
    source.append(products([800]))
    source.table.alter.set_table_properties(FEED)
    table.start_update(full_refresh=True)
    table.wait_following()
    table.wait_version(3)
    source.append(products([801]))
    table.wait_version(4)
    assert served(login, relation(table)) == source.rows()


def test_the_official_sdk_sees_it_follow(synced, source: Source, workspace) -> None:
    table = synced("CONTINUOUS")
    table.wait_following()
    got = workspace.database.get_synced_database_table(name=table.name)
    status = got.data_synchronization_status
    assert status.detailed_state.value == "SYNCED_TABLE_ONLINE_CONTINUOUS_UPDATE"
    assert status.continuous_update_status.last_processed_commit_version == 0
    assert got.spec.scheduling_policy.value == "CONTINUOUS"


def test_continuous_goes_on_when_its_instance_does(
    api: Api, catalog: str, own_instance: dict, source: Source
) -> None:
    name = f"{catalog}.{catalog}.products"
    register(api, name, source.location)
    instance = own_instance["name"]
    table = SyncedTable.create(api, f"{name}_synced", instance, name, ["product_id"], "CONTINUOUS")
    table.wait_following()
    api.ok("PATCH", f"{INSTANCES}/{instance}", {"stopped": True}, update_mask="stopped")
    api.wait_for_state(instance, "STOPPED")
    source.append(products([900]))
    eventually(table.status, "it waits", until=lambda seen: "waiting for" in seen.get("message", ""))
    api.ok("PATCH", f"{INSTANCES}/{instance}", {"stopped": False}, update_mask="stopped")
    api.wait_for_state(instance, "AVAILABLE")
    table.wait_version(1)
    source.append(products([901]))
    table.wait_version(2)
    assert served(Login.to(api, own_instance), relation(table)) == source.rows()


# --- kill -9 --------------------------------------------------------------------------------------


def own_table(server: Server, source: Source, policy: str) -> tuple[Api, SyncedTable, Login]:
    """A synced table on a server that may be killed."""
    api, name = Api(server.http, server.token), unique("i")
    api.create_instance(name)
    login = Login.to(api, api.wait_for_state(name, "AVAILABLE"))
    make_schema(api, "lake", "shop")
    register(api, "lake.shop.products", source.location)
    table = SyncedTable.create(
        api, "lake.shop.synced", name, "lake.shop.products", ["product_id"], policy
    )
    return api, table, login


def test_killed_while_it_follows(own_server: Server, source: Source) -> None:
    _, table, login = own_table(own_server, source, "CONTINUOUS")
    table.wait_following()
    for step in range(4):
        source.merge(products(list(range(step, 100 + 30 * step, 2)), f"step {step}"))
        own_server.kill9()
        source.append(products([5000 + step]))
        own_server.start()
        table.wait_version(source.version)
        assert served(login, "shop.synced") == source.rows()


def test_killed_during_an_update(own_server: Server, delta: DeltaTables) -> None:
    count = 200_000
    source = Source(delta, products(list(range(count))), configuration=FEED)
    api, table, login = own_table(own_server, source, "TRIGGERED")
    table.wait_online()
    source.table.update(predicate="product_id % 12 = 0", updates={"name": "'changed'"})
    pipeline, update = table.pipeline, table.start_update()
    eventually(
        lambda: api.ok("GET", f"{pipeline}/updates/{update}")["update"]["state"],
        "the update runs",
        until=lambda state: state != "QUEUED",
    )
    own_server.kill9()
    own_server.start()
    table.wait_version(1)
    assert served(login, "shop.synced") == source.rows()
    assert api.ok("GET", f"{pipeline}/updates/{update}")["update"]["state"] == "COMPLETED"


# --- lakeport sync run ----------------------------------------------------------------------------


def test_the_command_line_follows_a_source(
    server: Server, instance: dict, source: Source, login: Login
) -> None:
    # A database without managed synced tables, whose positions would be the system's.
    login = replace(login, dbname="postgres")
    table = f"public.{unique('t')}"

    def run(*options: str) -> dict:
        target = f"instance:{instance['name']}/postgres"
        command = [str(binary()), "sync", "run", "--source", source.location, "--target", target]
        command += ["--table", table, "--key", "product_id", "--mode", "triggered", *options]
        environment = clean_environment() | {"DATABRICKS_CONFIG_FILE": str(server.config_file)}
        done = subprocess.run(
            [*command, "--output", "json"], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert run()["outcome"] == "loaded"
    source.merge(products([1, 1000], "merged"))
    assert run() | {"commit_timestamp_ms": None} == {
        "outcome": "changed",
        "version": 1,
        "commit_timestamp_ms": None,
        "rows": 101,
        "inserted": 1,
        "updated": 1,
        "deleted": 0,
        "null_key_rows": 0,
        "swapped": False,
        "reload": None,
    }
    assert run()["outcome"] == "unchanged"
    assert run("--full-refresh")["reload"] == "a full refresh was asked for"
    assert served(login, table) == source.rows()
