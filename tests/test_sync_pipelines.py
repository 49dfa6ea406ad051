"""Pipelines with several synced tables, pauses, schedules, settings and the commands for them."""

import json
import subprocess
import uuid
from collections.abc import Callable

import psycopg
import pyarrow
import pytest

from kit.api import PIPELINES, SYNCED_TABLES, Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.server import Server, binary, clean_environment
from kit.source import FEED, Source, products, served
from kit.synced import ONLINE, SyncedTable, body_of, register
from kit.waiting import eventually

LAKEPORT = "/api/2.0/lakeport"


@pytest.fixture
def sources(api: Api, catalog: str, delta: DeltaTables) -> Callable[[str], Source]:
    def make(name: str) -> Source:
        source = Source(delta, products(list(range(20))), name, configuration=FEED)
        register(api, f"{catalog}.{catalog}.{name}", source.location)
        return source

    return make


@pytest.fixture
def join(api: Api, catalog: str, instance: dict) -> Callable[..., SyncedTable]:
    """Syncs a source, alone or in the pipeline of another table."""

    def start(name: str, policy: str, beside: SyncedTable | None = None, **spec) -> SyncedTable:
        if beside:
            spec["existing_pipeline_id"] = beside.status()["pipeline_id"]
        name = f"{catalog}.{catalog}.{name}"
        key = ["product_id"]
        return SyncedTable.create(
            api, f"{name}_synced", instance["name"], name, key, policy, **spec
        )

    return start


def relation(table: SyncedTable) -> str:
    return table.name.split(".", 1)[1]


# --- several tables -------------------------------------------------------------------------------


def test_an_update_runs_all_tables_of_its_pipeline(api: Api, sources, join, login: Login) -> None:
    one, other = sources("one"), sources("other")
    first = join("one", "TRIGGERED")
    first.wait_online()
    second = join("other", "TRIGGERED", beside=first)
    second.wait_online()
    assert first.status()["pipeline_id"] == second.status()["pipeline_id"]
    pipeline = first.status()["pipeline_id"]
    more = api.ok("GET", f"{LAKEPORT}/pipelines/{pipeline}")
    assert more["synced_tables"] == [first.name, second.name]

    one.append(products([100]))
    other.append(products([200]))
    assert first.refresh()["state"] == "COMPLETED"
    assert served(login, relation(first)) == one.rows()
    assert served(login, relation(second)) == other.rows()

    one.append(products([101]))
    other.append(products([201]))
    selected = second.refresh(refresh_selection=[second.name])
    assert selected["state"] == "COMPLETED"
    assert served(login, relation(second)) == other.rows()
    assert served(login, relation(first)) != one.rows()
    refusal = api.refused(
        400, "POST", f"{PIPELINES}/{pipeline}/updates", {"refresh_selection": ["nobody"]}
    )
    assert refusal.message.startswith("refresh_selection") and '"nobody"' in refusal.message


def test_a_failing_table_holds_up_no_other(api: Api, sources, join, login: Login) -> None:
    good, bad = sources("good"), sources("bad")
    first = join("bad", "TRIGGERED")
    first.wait_online()
    second = join("good", "TRIGGERED", beside=first)
    second.wait_online()
    bad.table.alter.set_table_properties({"delta.enableChangeDataFeed": "false"})
    good.append(products([100]))
    assert second.refresh()["state"] == "FAILED"
    assert served(login, relation(second)) == good.rows()
    assert second.status()["detailed_state"] == ONLINE
    assert first.wait_failed()["detailed_state"] == "SYNCED_TABLE_ONLINE_PIPELINE_FAILED"
    assert api.ok("GET", second.pipeline)["health"] == "UNHEALTHY"
    # A table that goes takes its part of the failure with it, and nothing else.
    first.delete(purge_data="true")
    good.append(products([101]))
    assert second.refresh()["state"] == "COMPLETED"
    assert served(login, relation(second)) == good.rows()


def test_a_continuous_pipeline_takes_up_a_table(sources, join, login: Login) -> None:
    one, other = sources("one"), sources("other")
    first = join("one", "CONTINUOUS")
    first.wait_following()
    second = join("other", "CONTINUOUS", beside=first)
    second.wait_following()
    one.append(products([100]))
    other.append(products([200]))
    for table, source in ((first, one), (second, other)):
        table.wait_version(1)
        assert served(login, relation(table)) == source.rows()
    second.delete(purge_data="true")
    one.append(products([101]))
    first.wait_version(2)
    first.delete(purge_data="true")


def test_a_pipeline_that_cannot_be_shared_is_refused(
    api: Api, catalog: str, instance: dict, own_instance: dict, sources, join
) -> None:
    sources("one"), sources("other")
    first = join("one", "TRIGGERED")
    pipeline = first.status()["pipeline_id"]
    source, name = f"{catalog}.{catalog}.other", f"{catalog}.{catalog}.refused"

    def refusal(instance: str = instance["name"], policy: str = "TRIGGERED", **spec) -> str:
        body = body_of(name, instance, source, ["product_id"], policy)
        body["spec"] |= spec
        refused = api.refused(400, "POST", SYNCED_TABLES, body)
        api.refused(404, "GET", f"{SYNCED_TABLES}/{name}")
        return refused.message

    field = "spec.existing_pipeline_id"
    assert refusal(existing_pipeline_id="nonsense").startswith(field)
    assert "not found" in refusal(existing_pipeline_id=str(uuid.uuid4()))
    assert "TRIGGERED" in refusal(policy="SNAPSHOT", existing_pipeline_id=pipeline)
    assert "another instance" in refusal(own_instance["name"], existing_pipeline_id=pipeline)
    new = {"storage_catalog": catalog, "storage_schema": catalog}
    both = refusal(existing_pipeline_id=pipeline, new_pipeline_spec=new)
    assert both.startswith(field) and "new_pipeline_spec" in both
    half = refusal(new_pipeline_spec={"storage_catalog": catalog})
    assert half.startswith("spec.new_pipeline_spec.storage_schema")
    assert join("other", "TRIGGERED", new_pipeline_spec=new).wait_online()


# --- pauses and schedules -------------------------------------------------------------------------


def test_a_paused_pipeline_rests_and_goes_on(api: Api, sources, join, login: Login) -> None:
    source = sources("one")
    table = join("one", "CONTINUOUS")
    table.wait_following()
    more = f"{LAKEPORT}/pipelines/{table.status()['pipeline_id']}"
    assert api.ok("POST", f"{more}/pause")["paused"] is True
    eventually(table.status, "it rests", until=lambda seen: seen["detailed_state"] == ONLINE)
    assert "paused" in table.status()["message"]
    assert api.ok("GET", table.pipeline)["state"] == "IDLE"
    paused = source.rows()
    source.append(products([100]))
    refusal = api.refused(400, "POST", f"{table.pipeline}/updates", {})
    assert "paused" in refusal.message and "resume" in refusal.message
    assert served(login, relation(table)) == paused
    assert api.ok("POST", f"{more}/resume")["paused"] is False
    table.wait_version(1)
    assert served(login, relation(table)) == source.rows()
    table.delete(purge_data="true")


def test_a_schedule_starts_updates(api: Api, sources, join, login: Login) -> None:
    source = sources("one")
    table = join("one", "TRIGGERED")
    table.wait_online()
    schedule = f"{LAKEPORT}/pipelines/{table.status()['pipeline_id']}/schedule"
    source.append(products([100]))
    # Every second, so that nothing has to be waited for.
    every_second = {"cron": "* * * * * ?", "timezone": "Europe/Berlin"}
    set_to = api.ok("PUT", schedule, every_second)
    assert set_to["schedule"] == every_second and set_to["next_run"]
    table.wait_version(1)
    assert served(login, relation(table)) == source.rows()
    causes = {update["cause"] for update in api.ok("GET", f"{table.pipeline}/updates")["updates"]}
    assert "JOB_TASK" in causes
    assert "schedule" not in api.ok("DELETE", schedule)

    for wrong, field in (({"cron": "61 * * * *"}, "cron"), ({"cron": "* *"}, "cron")):
        assert api.refused(400, "PUT", schedule, wrong).message.startswith(field)
    nowhere = {"cron": "@daily", "timezone": "Mars/Olympus"}
    assert api.refused(400, "PUT", schedule, nowhere).message.startswith("timezone")


def test_a_continuous_pipeline_has_no_schedule(api: Api, sources, join) -> None:
    sources("one")
    table = join("one", "CONTINUOUS")
    schedule = f"{LAKEPORT}/pipelines/{table.status()['pipeline_id']}/schedule"
    assert "continuous" in api.refused(400, "PUT", schedule, {"cron": "@daily"}).message
    table.delete(purge_data="true")


# --- settings -------------------------------------------------------------------------------------


def test_nul_characters_follow_the_settings(
    api: Api, catalog: str, instance: dict, delta: DeltaTables, login: Login
) -> None:
    ids = pyarrow.array([1, 2], pyarrow.int64())
    rows = pyarrow.table({"id": ids, "note": ["a\0b", "c"], "list": [["x\0"], []]})
    name = f"{catalog}.{catalog}.nul"
    register(api, name, delta.write("nul", rows))
    lakeport = {"null_characters": "STRIP"}
    table = SyncedTable.create(
        api, f"{name}_synced", instance["name"], name, ["id"], lakeport=lakeport
    )
    table.wait_online()
    assert table.get()["spec"]["lakeport"] == lakeport
    query = f"SELECT note || (list ->> 0) FROM {relation(table)} WHERE id = 1"
    assert login.value(query) == "abx"

    settings = f"{LAKEPORT}/synced_tables/{table.name}/settings"
    changed = api.ok("PATCH", settings, {"null_characters": "REPLACE", "memory_bytes": 2**26})
    assert changed == {"null_characters": "REPLACE", "memory_bytes": 2**26}
    assert api.ok("GET", settings) == changed
    assert table.refresh(full_refresh=True)["state"] == "COMPLETED"
    assert login.value(query) == "a\ufffdbx\ufffd"
    for field, value in (
        ("null_characters", "DROP"),
        ("reload_share", 2),
        ("swap_share", -0.1),
        ("memory_bytes", 1),
    ):
        refusal = api.refused(400, "PATCH", settings, {field: value})
        assert refusal.message.startswith(f"settings.{field}")
    body = body_of(f"{name}_other", instance["name"], name, ["id"])
    body["spec"]["lakeport"] = {"null_characters": "DROP"}
    refusal = api.refused(400, "POST", SYNCED_TABLES, body)
    assert refusal.message.startswith("spec.lakeport.null_characters")


def test_a_gap_heals_by_itself_where_it_is_wanted(sources, join, login: Login) -> None:
    source = sources("one")
    table = join("one", "TRIGGERED", lakeport={"reload_on_gap": True})
    table.wait_online()
    source.table.alter.set_table_properties({"delta.enableChangeDataFeed": "false"})
    source.append(products([100]))
    source.table.alter.set_table_properties(FEED)
    assert table.refresh()["state"] == "COMPLETED"
    assert "delta.enableChangeDataFeed" in table.status()["message"]
    assert served(login, relation(table)) == source.rows()


def test_all_rows_are_replaced_at_once_where_it_is_wanted(sources, join, login: Login) -> None:
    source = sources("one")
    table = join("one", "SNAPSHOT", lakeport={"swap_share": 0.5})
    table.wait_online()
    source.table.update(updates={"name": "'new'"})
    assert table.refresh()["state"] == "COMPLETED"
    assert "replaced at once" in table.status()["message"]
    assert served(login, relation(table)) == source.rows()
    # It is guarded as before.
    with login.connect() as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute(f"TRUNCATE {relation(table)}")


def test_tries_are_told_while_something_is_in_the_way(sources, join, login: Login) -> None:
    source = sources("one")
    table = join("one", "TRIGGERED")
    table.wait_online()
    wider = products([100]).append_column("color", pyarrow.array(["red"]))
    source.append(wider, schema_mode="merge")
    with login.connect(autocommit=False) as reader:
        # Who reads in a transaction keeps the table from getting a column.
        reader.execute(f"SELECT count(*) FROM {relation(table)}")
        table.start_update()
        status = eventually(
            table.status, "it is tried again", until=lambda seen: "Tried" in seen.get("message", "")
        )
        assert "lock" in status["message"], status
        reader.rollback()
    table.wait_version(1)
    assert served(login, relation(table)) == source.rows()


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture
def lakeport(server: Server) -> Callable[..., object]:
    def run(*arguments: str, code: int = 0) -> object:
        profile = {"DATABRICKS_CONFIG_FILE": str(server.config_file)}
        done = subprocess.run(
            [str(binary()), "sync", *arguments, "--output", "json"],
            env=clean_environment() | profile,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stderr if code else json.loads(done.stdout)

    return run


def test_the_command_line_does_it_all(
    lakeport, sources, join, instance: dict, login: Login
) -> None:
    source = sources("one")
    table = join("one", "TRIGGERED")
    name = table.name
    table.wait_online()
    assert name in [listed["name"] for listed in lakeport("list", instance["name"])]
    assert lakeport("status", name)["data_synchronization_status"]["detailed_state"] == ONLINE

    source.append(products([100]))
    assert lakeport("trigger", name)["state"] == "COMPLETED"
    assert served(login, relation(table)) == source.rows()
    assert lakeport("trigger", name, "--full-refresh")["full_refresh"] is True
    messages = [event["message"] for event in lakeport("history", name)]
    assert any("1 rows inserted" in message for message in messages), messages

    assert lakeport("pause", name)["paused"] is True
    assert "paused" in lakeport("trigger", name, code=1)
    assert lakeport("resume", name)["paused"] is False
    assert lakeport("schedule", name, "0 3 * * *")["schedule"]["timezone"] == "UTC"
    assert lakeport("schedule", name)["schedule"]["cron"] == "0 3 * * *"
    assert "schedule" not in lakeport("schedule", name, "--remove")
    assert lakeport("settings", name, "--reload-on-gap", "--memory", "64") == {
        "reload_on_gap": True,
        "memory_bytes": 2**26,
    }
    assert lakeport("settings", name)["reload_on_gap"] is True

    source.table.alter.set_table_properties({"delta.enableChangeDataFeed": "false"})
    lakeport("settings", name, "--reload-on-gap=false")
    assert "delta.enableChangeDataFeed" in lakeport("trigger", name, code=1)
    assert "not found" in lakeport("status", "a.b.c", code=3)


def test_watching_ends_when_the_table_is_online(server: Server, sources, join) -> None:
    sources("one")
    table = join("one", "SNAPSHOT")
    profile = {"DATABRICKS_CONFIG_FILE": str(server.config_file)}
    done = subprocess.run(
        [str(binary()), "sync", "watch", table.name, "--until-online"],
        env=clean_environment() | profile,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert ONLINE in done.stdout.splitlines()[-1]
