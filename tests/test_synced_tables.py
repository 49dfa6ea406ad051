"""Synced tables: a Delta table served from PostgreSQL, row for row, and refreshed under readers."""

import hashlib
import threading

import psycopg
import pytest

from kit import rows
from kit.api import INSTANCES, PIPELINES, SYNCED_TABLES, Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.synced import SyncedTable, body_of, register
from kit.waiting import eventually

MILLION = 1_000_000


@pytest.fixture
def users(api: Api, catalog: str, instance: dict, delta: DeltaTables) -> SyncedTable:
    """A synced table of a thousand rows, online; `delta` holds its source as "users"."""
    register(api, f"{catalog}.{catalog}.users", delta.write("users", rows.many(1000)))
    return SyncedTable.create(
        api,
        f"{catalog}.{catalog}.users_synced",
        instance["name"],
        f"{catalog}.{catalog}.users",
        [rows.KEY],
    )


def relation(table: SyncedTable) -> str:
    """The table in PostgreSQL: the schema and the name of the three-part name."""
    return table.name.split(".", 1)[1]


def count(table: SyncedTable) -> str:
    return f"SELECT count(*) FROM {relation(table)}"


def test_a_million_rows_and_a_refresh_under_readers(
    api: Api, catalog: str, own_instance: dict, delta: DeltaTables
) -> None:
    first = rows.many(MILLION)
    register(api, f"{catalog}.{catalog}.sales", delta.write("sales", first))
    synced = SyncedTable.create(
        api,
        f"{catalog}.{catalog}.sales_synced",
        own_instance["name"],
        f"{catalog}.{catalog}.sales",
        [rows.KEY],
    )
    synced.wait_online()
    login = Login.to(api, own_instance)
    with login.connect() as connection:
        assert rows.read_back(connection, relation(synced)).equals(rows.as_read_back(first))

    # Rows that go, rows that come, and rows that change: the whole table, one key later.
    second = rows.many(MILLION + 1000, first=500)
    delta.write("sales", second, mode="overwrite")
    with Reader(login, count(synced)) as reader:
        assert synced.refresh()["state"] == "COMPLETED"
    assert reader.seen <= {MILLION, MILLION + 1000}, "a mixture of two versions was seen"
    assert MILLION in reader.seen
    with login.connect() as connection:
        assert rows.read_back(connection, relation(synced)).equals(rows.as_read_back(second))


class Reader:
    """Runs a query in a loop beside the test, from before the body until after it."""

    def __init__(self, login: Login, query: str) -> None:
        self.login, self.query = login, query
        self.seen: set[int] = set()
        self.error: Exception | None = None
        self._begun, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with self.login.connect() as connection:
                while not self._done.is_set():
                    self.seen.add(connection.execute(self.query).fetchone()[0])
                    self._begun.set()
        except Exception as error:  # noqa: BLE001 - raised in the test's own thread
            self.error = error
        finally:
            self._begun.set()

    def __enter__(self) -> "Reader":
        self._thread.start()
        self._begun.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self.error:
            raise self.error


def test_states_and_progress(users: SyncedTable, instance: dict) -> None:
    status = users.wait_online()
    assert status["pipeline_id"] and status["last_sync"]["sync_end_timestamp"]
    assert status["last_sync"]["delta_table_sync_info"]["delta_commit_version"] == 0
    table = users.get()
    assert table["effective_database_instance_name"] == instance["name"]
    assert table["effective_logical_database_name"] == "databricks_postgres"
    assert table["unity_catalog_provisioning_state"] == "ACTIVE"
    assert table["spec"]["scheduling_policy"] == "SNAPSHOT"


def test_it_is_listed(api: Api, users: SyncedTable, instance: dict) -> None:
    listed = api.ok("GET", f"{INSTANCES}/{instance['name']}/synced_tables")["synced_tables"]
    assert users.name in [table["name"] for table in listed]


def test_primary_key_is_there(users: SyncedTable, login: Login) -> None:
    users.wait_online()
    key = login.value(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        f" WHERE conrelid = '{relation(users)}'::regclass AND contype = 'p'"
    )
    assert key == "PRIMARY KEY (id)"


def test_pipeline_tells_its_updates(api: Api, users: SyncedTable, delta: DeltaTables) -> None:
    pipeline = f"{PIPELINES}/{users.wait_online()['pipeline_id']}"
    delta.write("users", rows.many(10, first=1000), mode="append")
    update = users.refresh()
    assert update["state"] == "COMPLETED" and update["cause"]

    updates = api.ok("GET", f"{pipeline}/updates")["updates"]
    assert update["update_id"] == updates[0]["update_id"], "newest first"
    got = api.ok("GET", pipeline)
    assert (got["state"], got["health"]) == ("IDLE", "HEALTHY")
    assert got["latest_updates"][0]["update_id"] == update["update_id"]
    events = api.ok("GET", f"{pipeline}/events")["events"]
    assert events and all(e["id"] and e["timestamp"] and e["message"] for e in events)
    sync = users.status()["last_sync"]["delta_table_sync_info"]
    assert sync["delta_commit_version"] == 1


def test_official_sdk_follows_the_pipeline(users: SyncedTable, workspace) -> None:
    pipeline_id = users.wait_online()["pipeline_id"]
    update_id = workspace.pipelines.start_update(pipeline_id).update_id
    update = workspace.pipelines.get_update(pipeline_id, update_id).update
    assert update.update_id == update_id and update.state is not None
    assert update_id in [
        seen.update_id for seen in workspace.pipelines.list_updates(pipeline_id).updates
    ]
    assert list(workspace.pipelines.list_pipeline_events(pipeline_id))
    got = workspace.database.get_synced_database_table(name=users.name)
    assert got.data_synchronization_status.detailed_state is not None


def test_what_users_made_survives_a_refresh(
    users: SyncedTable, login: Login, delta: DeltaTables
) -> None:
    users.wait_online()
    table = relation(users)
    with login.connect() as connection:
        connection.execute(f"CREATE INDEX users_by_shelf ON {table} (shelf)")
        connection.execute(f"COMMENT ON TABLE {table} IS 'served'")
        connection.execute(f"CREATE VIEW {table}_view AS SELECT id FROM {table}")
        delta.write("users", rows.many(900, first=300), mode="overwrite")
        assert users.refresh()["state"] == "COMPLETED"
        survived = connection.execute(
            "SELECT to_regclass(%s) IS NOT NULL, obj_description(%s::regclass, 'pg_class')",
            (table.split(".")[0] + ".users_by_shelf", table),
        ).fetchone()
        assert survived == (True, "served")
        through_view = connection.execute(f"SELECT min(id), count(*) FROM {table}_view")
        assert through_view.fetchone() == (300, 900)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {table} SELECT * FROM {table}",
        "UPDATE {table} SET id = id",
        "DELETE FROM {table}",
        "TRUNCATE {table}",
        "ALTER TABLE {table} DISABLE TRIGGER ALL",
        "ALTER TABLE {table} OWNER TO CURRENT_USER",
        "ALTER TABLE {table} ADD COLUMN mine int",
        "DROP TRIGGER lakeport_read_only ON {table}",
        "ALTER TRIGGER lakeport_read_only ON {table} RENAME TO mine",
        "CREATE TABLE mine () INHERITS ({table})",
        "CREATE RULE mine AS ON INSERT TO {table} DO INSTEAD NOTHING",
        "CREATE POLICY mine ON {table}",
        "ALTER TABLE {table} RENAME TO mine",
        "CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "SET ROLE lb_writer",
        "SET ROLE lb_tables",
        "DELETE FROM lakeport_sync.positions",
        "CREATE OR REPLACE FUNCTION lakeport_guard.refuse_write() RETURNS trigger LANGUAGE sql AS ''",
    ],
)
def test_only_the_sync_writes(users: SyncedTable, login: Login, statement: str) -> None:
    users.wait_online()
    refused = (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege)
    with login.connect() as connection, pytest.raises(refused):
        connection.execute(statement.format(table=relation(users)))
    assert login.value(count(users)) == 1000


def test_a_squatted_guard_gives_no_power(
    api: Api, catalog: str, own_instance: dict, delta: DeltaTables
) -> None:
    login = Login.to(api, own_instance)
    with login.connect() as connection:
        connection.execute("CREATE SCHEMA lakeport_guard")
        for returns in ("trigger", "event_trigger"):
            connection.execute(
                f"CREATE FUNCTION lakeport_guard.refuse_{'write' if returns == 'trigger' else 'ddl'}()"
                f" RETURNS {returns} LANGUAGE plpgsql AS"
                " 'begin execute ''alter role current_user superuser''; end'"
            )
    register(api, f"{catalog}.{catalog}.users", delta.write("users", rows.many(10)))
    name, source = f"{catalog}.{catalog}.synced", f"{catalog}.{catalog}.users"
    synced = SyncedTable.create(api, name, own_instance["name"], source, [rows.KEY])
    assert "lakeport_guard" in synced.wait_failed()["message"]
    assert login.value("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    with login.connect() as connection:
        connection.execute("DROP SCHEMA lakeport_guard CASCADE")
    assert synced.refresh()["state"] == "COMPLETED"


@pytest.mark.parametrize(
    ("database", "schema"),
    [
        ("template1", "public"),
        ("lakeport", "public"),
        ("databricks_postgres", "pg_catalog"),
        ("databricks_postgres", "lakeport_guard"),
        ("databricks_postgres", "information_schema"),
    ],
)
def test_places_of_the_system_are_refused(
    api: Api, catalog: str, instance: dict, delta: DeltaTables, database: str, schema: str
) -> None:
    register(api, f"{catalog}.{catalog}.users", delta.write("users", rows.many(10)))
    source = f"{catalog}.{catalog}.users"
    body = body_of(f"{catalog}.{schema}.t", instance["name"], source, [rows.KEY])
    body["logical_database_name"] = database
    api.refused(400, "POST", SYNCED_TABLES, body)


def test_a_full_refresh_compares_every_row(users: SyncedTable, api: Api, login: Login) -> None:
    pipeline = f"{PIPELINES}/{users.wait_online()['pipeline_id']}"
    update = api.ok("POST", f"{pipeline}/updates", {"full_refresh": True})["update_id"]
    eventually(
        lambda: api.ok("GET", f"{pipeline}/updates/{update}")["update"]["state"],
        "the update ends",
        until=lambda state: state == "COMPLETED",
    )
    assert "applied already" not in users.status()["message"]
    assert login.value(count(users)) == 1000


def test_the_last_sync_is_not_told_while_a_full_refresh_runs(
    users: SyncedTable, api: Api, login: Login
) -> None:
    pipeline = f"{PIPELINES}/{users.wait_online()['pipeline_id']}"
    # The lock that keeps two runs off one table, held by somebody else.
    digest = hashlib.sha256(relation(users).replace(".", "\0").encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    with login.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [key])
        api.ok("POST", f"{pipeline}/updates", {"full_refresh": True})
        eventually(users.status, "it runs", until=lambda status: "last_sync" not in status)
        assert login.value(count(users)) == 1000
    eventually(users.status, "it has ended", until=lambda status: "last_sync" in status)
    # Any other update leaves it where it was.
    with login.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [key])
        update = f"{pipeline}/updates/{users.start_update()}"

        def state() -> str:
            return api.ok("GET", update)["update"]["state"]

        eventually(state, "it runs", until=lambda state: state == "RUNNING")
        assert users.status()["last_sync"]
    eventually(state, "it has ended", until=lambda state: state == "COMPLETED")


def test_a_schema_that_was_dropped_is_made_again(users: SyncedTable, login: Login) -> None:
    users.wait_online()
    with login.connect() as connection:
        connection.execute(f"DROP SCHEMA {relation(users).split('.')[0]} CASCADE")
    assert users.refresh()["state"] == "COMPLETED"
    assert login.value(count(users)) == 1000
    # It was given to its readers anew, and to nobody else.
    with login.connect() as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute(f"DELETE FROM {relation(users)}")


def test_a_database_can_be_dropped_after_a_run(
    api: Api, catalog: str, own_instance: dict, delta: DeltaTables
) -> None:
    login = Login.to(api, own_instance)
    with login.connect() as connection:
        connection.execute("CREATE DATABASE elsewhere")
    source = f"{catalog}.{catalog}.users"
    register(api, source, delta.write("users", rows.many(10)))
    place = {"database_instance_name": own_instance["name"], "logical_database_name": "elsewhere"}
    body = body_of(f"{source}_synced", own_instance["name"], source, [rows.KEY]) | place
    api.ok("POST", SYNCED_TABLES, body)
    SyncedTable(api, f"{source}_synced").wait_online()
    with login.connect() as connection:
        # The run's connection is kept, and is another role's.
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="terminate"):
            connection.execute("DROP DATABASE elsewhere WITH (FORCE)")
        connection.execute("DROP DATABASE elsewhere")


def test_delete_keeps_the_rows(users: SyncedTable, login: Login) -> None:
    users.wait_online()
    users.delete()
    assert login.value(count(users)) == 1000
    with login.connect() as connection:
        connection.execute(f"DELETE FROM {relation(users)}")  # Nobody else's table any more.


def test_delete_with_purge_drops_them(users: SyncedTable, login: Login) -> None:
    users.wait_online()
    users.delete(purge_data="true")
    assert login.value(f"SELECT to_regclass('{relation(users)}')") is None


def test_unknown_source_and_instance_are_not_found(
    api: Api, catalog: str, instance: dict, delta: DeltaTables
) -> None:
    register(api, f"{catalog}.{catalog}.users", delta.write("users", rows.many(10)))
    name, source = f"{catalog}.{catalog}.synced", f"{catalog}.{catalog}.users"
    for body in (
        body_of(name, instance["name"], f"{catalog}.{catalog}.missing", [rows.KEY]),
        body_of(name, "no-such-instance", source, [rows.KEY]),
    ):
        refusal = api.refused(404, "POST", SYNCED_TABLES, body)
        assert "not found" in refusal.message.lower()
    api.refused(404, "GET", f"{SYNCED_TABLES}/{name}")


@pytest.mark.parametrize("keys", [[], None])
def test_a_key_is_required(api: Api, catalog: str, instance: dict, delta: DeltaTables, keys):
    register(api, f"{catalog}.{catalog}.users", delta.write("users", rows.many(10)))
    body = body_of(
        f"{catalog}.{catalog}.synced", instance["name"], f"{catalog}.{catalog}.users", keys
    )
    assert "primary_key_columns" in api.refused(400, "POST", SYNCED_TABLES, body).message


def test_a_name_has_three_parts(api: Api, catalog: str, instance: dict) -> None:
    body = body_of("users", instance["name"], f"{catalog}.{catalog}.users", [rows.KEY])
    assert "name" in api.refused(400, "POST", SYNCED_TABLES, body).message
