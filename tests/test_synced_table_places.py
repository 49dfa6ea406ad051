"""Where synced tables go: one after the other under a name, side by side with syncs of people, many at once."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pyarrow
import pytest
from deltalake import write_deltalake

from kit.api import INSTANCES, SYNCED_TABLES, Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.names import unique
from kit.server import Server, binary, clean_environment
from kit.synced import SyncedTable, body_of, register
from kit.waiting import eventually

THREE = pyarrow.table({"id": pyarrow.array([1, 2, 3], pyarrow.int64()), "note": ["a", "b", "c"]})
FEED = {"delta.enableChangeDataFeed": "true"}


@pytest.fixture
def body(api: Api, catalog: str, instance: dict, delta: DeltaTables) -> dict:
    """A request for a synced table of three rows."""
    source = f"{catalog}.{catalog}.source"
    register(api, source, delta.write("source", THREE, configuration=FEED))
    return body_of(f"{catalog}.{catalog}.synced", instance["name"], source, ["id"])


def created(api: Api, body: dict) -> SyncedTable:
    api.ok("POST", SYNCED_TABLES, body)
    return SyncedTable(api, body["name"])


def delete(api: Api, body: dict, **query: str) -> None:
    """Without waiting for its end."""
    api.ok("DELETE", f"{SYNCED_TABLES}/{body['name']}", **query)


def rows(body: dict) -> str:
    return f"SELECT count(*) FROM {body['name'].split('.', 1)[1]}"


# --- Again under the same name --------------------------------------------------------------------


@pytest.mark.parametrize("query", [{"purge_data": "true"}, {}], ids=["purged", "kept"])
def test_a_synced_table_is_made_again_while_the_old_one_goes(
    api: Api, body: dict, login: Login, delta: DeltaTables, query: dict
) -> None:
    created(api, body).wait_online()
    first = SyncedTable(api, body["name"]).status()["pipeline_id"]
    for again in range(3):
        delete(api, body, **query)
        delta.write("source", THREE.slice(0, again + 1), mode="overwrite")
        table = created(api, body)
        assert table.wait_online()["pipeline_id"] != first
        assert login.value(rows(body)) == again + 1
    # It is as read-only as any.
    delete(api, body, **query)


def test_what_a_sync_has_left_is_taken_back_by_its_owner_only(
    api: Api, body: dict, login: Login
) -> None:
    created(api, body).wait_online()
    SyncedTable(api, body["name"]).delete()
    name = body["name"].split(".", 1)[1]
    with login.connect() as connection:
        # What depends on it is not dropped with it.
        connection.execute(f"CREATE VIEW {name}_view AS SELECT id FROM {name}")
        status = created(api, body).wait_failed()
        assert f"view {name}_view" in status["message"], status
        connection.execute(f"DROP VIEW {name}_view")
        assert SyncedTable(api, body["name"]).refresh()["state"] == "COMPLETED"
        SyncedTable(api, body["name"]).delete()

        # Another table of that name is nobody's to replace.
        connection.execute(f"DROP TABLE {name}")
        connection.execute(f"CREATE TABLE {name} AS SELECT 7 AS mine")
    refusal = api.refused(409, "POST", SYNCED_TABLES, body)
    assert "already exists" in refusal.message
    assert login.value(f"SELECT mine FROM {name}") == 7


# --- Beside the syncs of people --------------------------------------------------------------------


@pytest.fixture
def sync_run(server: Server):
    """`lakeport sync run` into an instance's database; gives its output, or its error if it fails."""

    def run(instance: dict, source: str, table: str, *options: str, code: int = 0) -> object:
        target = f"instance:{instance['name']}/databricks_postgres"
        command = [str(binary()), "sync", "run", "--source", source, "--target", target]
        done = subprocess.run(
            [*command, "--table", table, "--key", "id", *options, "--output", "json"],
            env=clean_environment() | {"DATABRICKS_CONFIG_FILE": str(server.config_file)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stderr if code else json.loads(done.stdout)

    return run


@pytest.mark.parametrize("first", ["person", "server"])
def test_syncs_of_people_and_of_the_server_are_in_one_database(
    api: Api, catalog: str, own_instance: dict, delta: DeltaTables, sync_run, first: str
) -> None:
    source = f"{catalog}.{catalog}.source"
    location = delta.write("source", THREE)
    register(api, source, location)
    body = body_of(f"{catalog}.served.t", own_instance["name"], source, ["id"])

    def by_server() -> None:
        created(api, body).wait_online()

    def by_person() -> None:
        assert sync_run(own_instance, location, "mine.t")["outcome"] == "loaded"

    for step in (by_person, by_server) if first == "person" else (by_server, by_person):
        step()
    delta.write("source", THREE.slice(0, 2), mode="overwrite")
    assert SyncedTable(api, body["name"]).refresh()["state"] == "COMPLETED"
    assert sync_run(own_instance, location, "mine.t")["deleted"] == 1
    login = Login.to(api, own_instance)
    assert login.value("SELECT count(*) FROM mine.t") == login.value("SELECT count(*) FROM served.t") == 2

    # Neither takes a name of the other, or advises to drop what the other needs.
    said = sync_run(own_instance, location, "served.t", code=1)
    assert "lb_tables" in said and "drop" not in said, said
    taken = body_of(f"{catalog}.mine.t", own_instance["name"], source, ["id"])
    assert "already exists" in api.refused(409, "POST", SYNCED_TABLES, taken).message


# --- Many at once -----------------------------------------------------------------------------------


def test_many_tables_join_and_leave_one_pipeline_at_once(
    api: Api, catalog: str, delta: DeltaTables
) -> None:
    name, source = unique("i"), f"{catalog}.{catalog}.source"
    api.create_instance(name)
    api.wait_for_state(name, "AVAILABLE")
    register(api, source, delta.write("source", THREE))
    first = created(api, body_of(f"{catalog}.s.first", name, source, ["id"]))
    pipeline = first.wait_online()["pipeline_id"]

    def one(number: int) -> set[int]:
        body = body_of(f"{catalog}.s.t{number}", name, source, ["id"])
        body["spec"]["existing_pipeline_id"] = pipeline
        seen = set()
        for _ in range(3):
            seen.add(api.send("POST", SYNCED_TABLES, body).status_code)
            seen.add(api.send("POST", f"/api/2.0/pipelines/{pipeline}/updates", {}).status_code)
            seen.add(api.send("DELETE", f"{SYNCED_TABLES}/{body['name']}").status_code)
        return seen

    with ThreadPoolExecutor(6) as pool:
        seen = set().union(*pool.map(one, range(6)))
    assert seen == {200}, seen

    # The instance goes while its tables still do.
    with ThreadPoolExecutor(6) as pool:
        bodies = [body_of(f"{catalog}.s.u{n}", name, source, ["id"]) for n in range(5)]
        posts = [pool.submit(api.send, "POST", SYNCED_TABLES, body) for body in bodies]
        gone = pool.submit(api.send, "DELETE", f"{INSTANCES}/{name}", None, purge="true")
        assert gone.result().status_code == 200
        assert all(post.result().status_code != 500 for post in posts), [p.result().text for p in posts]
    eventually(
        lambda: api.send("GET", f"{INSTANCES}/{name}").status_code,
        "the instance is gone",
        until=lambda status: status == 404,
    )


# --- Sources ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["loc%20pct", "back\\slash"])
def test_a_folder_is_the_one_of_its_name(
    api: Api, catalog: str, instance: dict, delta: DeltaTables, login: Login, folder: str
) -> None:
    misread = folder.replace("%20", " ").replace("\\", "/")
    (delta.path(misread)).parent.mkdir(parents=True, exist_ok=True)
    write_deltalake(str(delta.path(misread)), THREE.slice(0, 1))
    delta.path(folder).mkdir()
    # The writer takes a path for a URL too.
    write_deltalake(str(delta.path("plain")), THREE)
    delta.path("plain").rename(delta.path(folder).with_name("moved"))
    delta.path(folder).rmdir()
    delta.path("moved").rename(delta.path(folder))
    source = f"{catalog}.{catalog}.source"
    register(api, source, str(delta.path(folder)))
    body = body_of(f"{catalog}.{catalog}.synced", instance["name"], source, ["id"])
    created(api, body).wait_online()
    assert login.value(rows(body)) == 3


@pytest.mark.parametrize("policy", ["TRIGGERED", "CONTINUOUS"])
def test_a_source_that_gets_other_columns_is_followed_where_that_is_wanted(
    api: Api, body: dict, delta: DeltaTables, login: Login, policy: str
) -> None:
    body["spec"] |= {"scheduling_policy": policy, "lakeport": {"reload_on_gap": True}}
    table = created(api, body)
    table.wait_version(0)
    relation = body["name"].split(".", 1)[1]
    with login.connect() as connection:
        connection.execute(f"CREATE VIEW {relation}_ids AS SELECT id FROM {relation}")
    other = pyarrow.table({"id": pyarrow.array([3, 4], pyarrow.int64()), "size": [30, 40]})
    delta.write("source", other, mode="overwrite", schema_mode="overwrite")
    if policy == "TRIGGERED":
        assert table.refresh()["state"] == "COMPLETED"
    message = table.wait_version(1)["message"]
    assert 'no longer has the column "note"' in message, message
    assert login.value(f"SELECT array_agg(t ORDER BY id)::text FROM {relation} t") == '{"(3,30)","(4,40)"}'
    assert login.value(f"SELECT array_agg(id ORDER BY id) FROM {relation}_ids") == [3, 4]
    with login.connect() as connection:
        connection.execute(f"DROP VIEW {relation}_ids")
    table.delete(purge_data="true")


@pytest.mark.parametrize("policy", ["SNAPSHOT", "TRIGGERED"])
def test_a_source_that_gets_other_columns_names_the_command_that_heals(
    api: Api, body: dict, delta: DeltaTables, login: Login, policy: str
) -> None:
    body["spec"]["scheduling_policy"] = policy
    table = created(api, body)
    table.wait_online()
    delta.write("source", THREE.drop_columns(["note"]), mode="overwrite", schema_mode="overwrite")
    assert table.refresh()["state"] == "FAILED"
    message = table.wait_failed()["message"]
    assert f"lakeport sync trigger {body['name']} --full-refresh" in message, message
    assert table.refresh(full_refresh=True)["state"] == "COMPLETED"
    assert login.value(rows(body)) == 3
