"""The three examples of the official guides, through the official SDK, from a Delta table to a query and
back to a change, with every state that is seen on the way."""

import threading

import pyarrow
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.database import (
    SyncedDatabaseTable,
    SyncedTableSchedulingPolicy,
    SyncedTableSpec,
)

from kit.delta import DeltaTables
from kit.login import Login
from kit.source import FEED
from kit.synced import register
from kit.waiting import eventually

BEFORE_ONLINE = [
    "SYNCED_TABLE_PROVISIONING",
    "SYNCED_TABLE_PROVISIONING_PIPELINE_RESOURCES",
    "SYNCED_TABLE_PROVISIONING_INITIAL_SNAPSHOT",
]
RESTING, UPDATING = "SYNCED_TABLE_ONLINE_NO_PENDING_UPDATE", "SYNCED_TABLE_ONLINE_TRIGGERED_UPDATE"
FOLLOWING = "SYNCED_TABLE_ONLINE_CONTINUOUS_UPDATE"

ROWS = 150_000
IDS = pyarrow.array(range(ROWS), pyarrow.int64())
EXAMPLES = {
    "products": ("product_id", "TRIGGERED", {"name": [f"product {i}" for i in range(ROWS)]}),
    "profiles": ("user_id", "CONTINUOUS", {"email": [f"user{i}@example.com" for i in range(ROWS)]}),
    "features": ("user_id", "CONTINUOUS", {"score": [i / 7 for i in range(ROWS)]}),
}


class States:
    """Asks for a synced table's state over and over, and remembers each change."""

    def __init__(self, workspace: WorkspaceClient, name: str) -> None:
        self.workspace, self.name = workspace, name
        self.seen: list[str] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def look(self) -> str:
        got = self.workspace.database.get_synced_database_table(name=self.name)
        state = got.data_synchronization_status.detailed_state.value
        if not self.seen or self.seen[-1] != state:
            self.seen.append(state)
        return state

    def _run(self) -> None:
        while not self._done.is_set():
            self.look()

    def __enter__(self) -> "States":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def in_order(seen: list[str], documented: list[str]) -> bool:
    """Each state that was seen comes after the one before it; some pass too fast to be seen."""
    rest = iter(documented)
    return all(state in rest for state in seen)


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(
    api, workspace, catalog: str, instance: dict, delta: DeltaTables, login: Login, example: str
) -> None:
    key, policy, columns = EXAMPLES[example]
    rows = pyarrow.table({key: IDS, **columns})
    source = f"{catalog}.{catalog}.{example}"
    register(api, source, delta.write(example, rows, configuration=FEED))
    workspace.database.create_synced_database_table(
        SyncedDatabaseTable(
            name=f"{source}_synced",
            database_instance_name=instance["name"],
            logical_database_name="databricks_postgres",
            spec=SyncedTableSpec(
                source_table_full_name=source,
                primary_key_columns=[key],
                scheduling_policy=SyncedTableSchedulingPolicy(policy),
                create_database_objects_if_missing=True,
            ),
        )
    )
    online = FOLLOWING if policy == "CONTINUOUS" else RESTING
    with States(workspace, f"{source}_synced") as states:
        eventually(lambda: online in states.seen, f"{example} is online")
    # Rows are there before the state says so, and never after.
    count = f"SELECT count(*) FROM {catalog}.{example}_synced"
    assert login.value(count) == ROWS
    assert states.seen[0] in BEFORE_ONLINE
    assert in_order(states.seen, [*BEFORE_ONLINE, UPDATING, online]), states.seen
    last = workspace.database.get_synced_database_table(name=f"{source}_synced")
    assert last.data_synchronization_status.last_sync.delta_table_sync_info.delta_commit_version == 0

    changed = pyarrow.table({key: pyarrow.array([ROWS], pyarrow.int64()), **tail(columns)})
    delta.write(example, changed, mode="append")
    pipeline = last.data_synchronization_status.pipeline_id
    with States(workspace, f"{source}_synced") as states:
        if policy == "TRIGGERED":
            update = workspace.pipelines.start_update(pipeline).update_id
            eventually(
                lambda: workspace.pipelines.get_update(pipeline, update).update.state.value,
                f"{example} is updated",
                until=lambda state: state == "COMPLETED",
            )
        eventually(lambda: login.value(count), f"{example} has the change", lambda n: n == ROWS + 1)
    assert in_order(states.seen, [RESTING, UPDATING, RESTING]) or states.seen == [FOLLOWING]
    workspace.database.delete_synced_database_table(name=f"{source}_synced", purge_data=True)


def tail(columns: dict[str, list]) -> dict[str, list]:
    return {name: values[-1:] for name, values in columns.items()}
