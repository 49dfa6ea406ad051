"""The life of an instance through one version of the official SDK; run by test_sdk_versions.py.

Needs the profile in DATABRICKS_CONFIG_FILE. Works with every SDK since 0.61.0, so it uses only what
all of them have. Ends with the line "ok".
"""

import sys
import time
import uuid

import psycopg
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import DatabricksError, NotFound, ResourceConflict
from databricks.sdk.service.database import DatabaseInstance, DatabaseInstanceState


def main() -> None:
    w = WorkspaceClient()
    names = [f"sdk{uuid.uuid4().hex[:10]}" for _ in range(2)]
    try:
        create_and_find(w, *names)
        stop_start_resize(w, names[0])
        log_in(w, names[0])
        refusals(w, names[0])
    finally:
        delete(w, *names)
    print("ok")


def create_and_find(w: WorkspaceClient, first: str, second: str) -> None:
    wait = w.database.create_database_instance(
        DatabaseInstance(name=first, capacity="CU_1", retention_window_in_days=9)
    )
    made = wait.result()
    assert made.state == DatabaseInstanceState.AVAILABLE, made
    assert made.effective_stopped is False and made.effective_node_count == 1, made
    assert made.effective_retention_window_in_days == 9, made
    w.database.create_database_instance(DatabaseInstance(name=second, capacity="CU_1")).result()

    got = w.database.get_database_instance(name=first)
    assert (got.uid, got.creator) == (made.uid, w.current_user.me().user_name), got
    assert w.database.find_database_instance_by_uid(uid=made.uid).name == first
    paged = [i.name for i in w.database.list_database_instances(page_size=1)]
    assert {first, second} <= set(paged) and len(paged) == len(set(paged)), paged


def stop_start_resize(w: WorkspaceClient, name: str) -> None:
    stopped = DatabaseInstance(name=name, stopped=True)
    w.database.update_database_instance(name=name, database_instance=stopped, update_mask="stopped")
    assert wait_for(w, name, DatabaseInstanceState.STOPPED).effective_stopped is True
    started = DatabaseInstance(name=name, stopped=False)
    w.database.update_database_instance(name=name, database_instance=started, update_mask="stopped")
    wait_for(w, name, DatabaseInstanceState.AVAILABLE)
    bigger = DatabaseInstance(name=name, capacity="CU_2")
    w.database.update_database_instance(name=name, database_instance=bigger, update_mask="capacity")
    resized = wait_for(w, name, DatabaseInstanceState.AVAILABLE)
    assert (resized.capacity, resized.effective_retention_window_in_days) == ("CU_2", 9), resized


def wait_for(w: WorkspaceClient, name: str, state: DatabaseInstanceState) -> DatabaseInstance:
    end = time.monotonic() + 90
    while True:
        seen = w.database.get_database_instance(name=name)
        if seen.state == state:
            return seen
        assert time.monotonic() < end, f"{name} stays {seen.state}, wanted {state}"
        time.sleep(0.1)


def log_in(w: WorkspaceClient, name: str) -> None:
    credential = w.database.generate_database_credential(
        request_id=str(uuid.uuid4()), instance_names=[name]
    )
    assert credential.expiration_time, "a credential says when it ends"
    with psycopg.connect(
        host=w.database.get_database_instance(name=name).read_write_dns,
        dbname="databricks_postgres",
        user=w.current_user.me().user_name,
        password=credential.token,
        sslmode="require",
    ) as connection:
        assert connection.execute("SELECT 6 * 7").fetchone() == (42,)


def refusals(w: WorkspaceClient, taken: str) -> None:
    try:
        w.database.get_database_instance(name="no-such-instance")
        raise AssertionError("an unknown instance was found")
    except NotFound as error:
        assert "not found" in str(error).lower(), error
    try:
        w.database.create_database_instance(DatabaseInstance(name=taken, capacity="CU_8"))
        raise AssertionError("a taken name was given again")
    except ResourceConflict as error:
        assert "already exists" in str(error), error


def delete(w: WorkspaceClient, *names: str) -> None:
    for name in names:
        try:
            w.database.delete_database_instance(name=name, purge=True)
            while True:
                w.database.get_database_instance(name=name)
                time.sleep(0.1)
        except NotFound:
            continue
        except DatabricksError as error:
            print(f"{name} was not deleted: {error}", file=sys.stderr)
            raise


if __name__ == "__main__":
    main()
