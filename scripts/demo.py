"""The main job, step by step, through official clients; exits 0 only if all of it worked.

Starts a server in a temporary directory and leaves nothing behind. Run by scripts/demo.sh, which
puts the test kit on the path.
"""

import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pyarrow
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.catalog import DataSourceFormat, TableType
from databricks.sdk.service.database import (
    DatabaseInstance,
    SyncedDatabaseTable,
    SyncedTableSchedulingPolicy,
    SyncedTableSpec,
)

from kit.delta import DeltaTables
from kit.server import Server
from kit.synced import FAILED, ONLINE
from kit.waiting import eventually

ROWS = 100_000


@contextmanager
def step(what: str) -> Iterator[list[str]]:
    """One line: what was done, how long it took, and what it says of itself."""
    facts: list[str] = []
    begun = time.monotonic()
    yield facts
    took = time.monotonic() - begun
    print(f"  {took:7.3f} s  {what}" + (f": {', '.join(facts)}" if facts else ""), flush=True)


def main() -> None:
    # Whoever ends the demo early still gets everything stopped and removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended early"))
    print("Lakeport, the main job on real input:", flush=True)
    server = Server()
    try:
        with tempfile.TemporaryDirectory(prefix="lakeport-demo-") as folder:
            run(server, DeltaTables(Path(folder)))
        with step("server and databases stopped"):
            assert server.stop() == 0, "the server did not stop cleanly"
    finally:
        server.close()
    print("all of it worked")


def run(server: Server, tables: DeltaTables) -> None:
    with step("server started") as facts:
        server.start()
        facts.append(server.http)
    for variable in [v for v in os.environ if v.startswith(("DATABRICKS_", "PG"))]:
        del os.environ[variable]
    os.environ["DATABRICKS_CONFIG_FILE"] = str(server.config_file)
    w = WorkspaceClient()

    with step("instance created by the official Python SDK") as facts:
        instance = create_instance(w, "demo")
        facts += [instance.capacity, instance.read_write_dns]
    with step("credential for one hour"):
        token = w.database.generate_database_credential(
            request_id=str(uuid.uuid4()), instance_names=["demo"]
        ).token
    with step("psycopg over TLS, the token as the password") as facts:
        connection = psycopg.connect(
            host=instance.read_write_dns,
            dbname="databricks_postgres",
            user=w.current_user.me().user_name,
            password=token,
            sslmode="verify-full",
            sslrootcert=str(server.ca_file),
            autocommit=True,
        )
        facts.append(f"PostgreSQL {connection.execute('SHOW server_version').fetchone()[0]}")
    with connection:
        serve_delta_table(w, connection, tables)
    with step("instance deleted"):
        w.database.delete_database_instance(name="demo", purge=True)


def create_instance(w: WorkspaceClient, name: str) -> DatabaseInstance:
    w.database.create_database_instance(DatabaseInstance(name=name, capacity="CU_1"))
    # The SDK's own waiter asks once a second; here the time is the point.
    return eventually(
        lambda: w.database.get_database_instance(name),
        f"instance {name} is available",
        until=lambda seen: seen.state.value == "AVAILABLE",
    )


def serve_delta_table(
    w: WorkspaceClient, connection: psycopg.Connection, tables: DeltaTables
) -> None:
    with step("Delta table written") as facts:
        tables.write("users", users(ROWS))
        facts.append(f"{ROWS:,} rows")
    with step("registered in the catalog") as facts:
        register(w, tables.url("users"))
        facts.append("lake.shop.users")
    with step("synced into PostgreSQL") as facts:
        version = sync(w)
        facts += ["shop.users_synced", f"Delta version {version}"]
    with step("rows read back and compared") as facts:
        compare(connection, ROWS)
        facts.append(f"{ROWS:,} equal")
    tables.write("users", users(ROWS + 1000), mode="overwrite")
    with step("changed, and synced again") as facts:
        refresh(w)
        compare(connection, ROWS + 1000)
        facts.append(f"{ROWS + 1000:,} equal")


def users(count: int) -> pyarrow.Table:
    return pyarrow.table({"id": range(count), "name": [f"user {i}" for i in range(count)]})


def register(w: WorkspaceClient, location: str) -> None:
    w.catalogs.create(name="lake")
    w.schemas.create(name="shop", catalog_name="lake")
    w.tables.create(
        name="users",
        catalog_name="lake",
        schema_name="shop",
        table_type=TableType.EXTERNAL,
        data_source_format=DataSourceFormat.DELTA,
        storage_location=location,
    )


def sync(w: WorkspaceClient) -> int:
    w.database.create_synced_database_table(
        SyncedDatabaseTable(
            name="lake.shop.users_synced",
            database_instance_name="demo",
            logical_database_name="databricks_postgres",
            spec=SyncedTableSpec(
                source_table_full_name="lake.shop.users",
                primary_key_columns=["id"],
                scheduling_policy=SyncedTableSchedulingPolicy.SNAPSHOT,
                create_database_objects_if_missing=True,
            ),
        )
    )
    status = eventually(
        lambda: w.database.get_synced_database_table(
            "lake.shop.users_synced"
        ).data_synchronization_status,
        "lake.shop.users_synced is online",
        until=lambda seen: seen.detailed_state.value in (ONLINE, *FAILED),
    )
    assert status.detailed_state.value == ONLINE, status.message
    return status.last_sync.delta_table_sync_info.delta_commit_version


def refresh(w: WorkspaceClient) -> None:
    table = w.database.get_synced_database_table("lake.shop.users_synced")
    pipeline = table.data_synchronization_status.pipeline_id
    update = w.pipelines.start_update(pipeline).update_id
    ended = eventually(
        lambda: w.pipelines.get_update(pipeline, update).update,
        f"update {update} ends",
        until=lambda seen: seen.state.value in ("COMPLETED", "FAILED", "CANCELED"),
    )
    assert ended.state.value == "COMPLETED", ended


def compare(connection: psycopg.Connection, count: int) -> None:
    served = connection.execute("SELECT id, name FROM shop.users_synced ORDER BY id").fetchall()
    assert served == [
        (i, f"user {i}") for i in range(count)
    ], "the rows differ from the Delta table"


if __name__ == "__main__":
    main()
