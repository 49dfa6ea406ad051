"""An instance at hand, with what tests and scripts do to it in one line each.

Owns no protocol: every step is the official SDK's, or SQL.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from databricks.sdk.errors import NotFound, ResourceConflict
from databricks.sdk.service import catalog as unity
from databricks.sdk.service import database as wire

from lakeport.connect import DEFAULT_DATABASE, Endpoint, endpoint

if TYPE_CHECKING:
    import psycopg

    from lakeport.workspace import WorkspaceClient

_WORKING = ("PROVISIONING", "UPDATING", "INITIAL_SNAPSHOT")


class Instance:
    """A database instance that is there; `create` makes one."""

    def __init__(
        self, name: str, workspace: WorkspaceClient, database: str = DEFAULT_DATABASE
    ) -> None:
        self.name = name
        self.database = database
        self.workspace = workspace
        self.endpoint: Endpoint = endpoint(name, workspace, database=database)

    @classmethod
    def create(cls, name: str, workspace: WorkspaceClient, **fields: Any) -> Instance:
        workspace.database.create_database_instance(
            name=name, **({"capacity": "CU_1"} | fields)
        ).result()
        return cls(name, workspace)

    def delete(self) -> None:
        self.workspace.database.delete_database_instance(name=self.name, purge=True)

    # --- SQL --------------------------------------------------------------------------------------

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        import psycopg

        settings = self.endpoint.libpq | {"password": self.endpoint.token()}
        return psycopg.connect(**(settings | options))

    def query(self, sql: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Runs one statement, commits, and returns its rows."""
        with self.connect() as connection:
            cursor = connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    @property
    def environment(self) -> dict[str, str]:
        """The six variables of Databricks Apps, and a token that is good for an hour."""
        where = self.endpoint
        variables = {
            "PGAPPNAME": where.instance,
            "PGHOST": where.host,
            "PGPORT": str(where.port),
            "PGDATABASE": where.database,
            "PGUSER": where.user,
            "PGSSLMODE": where.libpq["sslmode"],
            "PGPASSWORD": where.token(),
        }
        return variables | ({"PGSSLROOTCERT": where.ca_file} if where.ca_file else {})

    # --- Delta ------------------------------------------------------------------------------------

    def sync(
        self,
        location: str | os.PathLike[str],
        primary_key: Sequence[str],
        *,
        name: str | None = None,
        policy: str = "SNAPSHOT",
        timeout: float = 300,
    ) -> str:
        """Serves a Delta table from this instance, and returns the PostgreSQL table's name.

        Called again for a table that is synced already, it brings the newest version. `location` is
        a folder or a URL, `name` is catalog.schema.table [default: the folder's, in a catalog and a
        schema named after the instance].
        """
        location = _url(location)
        own = self.name.replace("-", "_")
        name = name or f"{own}.{own}.{Path(location).name}"
        source = self._register(f"{name}_source", location)
        table = self._synced(name, source, primary_key, policy)
        self._wait_online(name, table, timeout)
        _, schema, relation = name.split(".")
        return f'"{schema}"."{relation}"'

    def _register(self, name: str, location: str) -> str:
        """The Delta table under a three-part name, with the catalog and schema that it needs."""
        catalog, schema, table = name.split(".")
        w = self.workspace
        try:
            w.catalogs.get(catalog)
        except NotFound:
            _unless_there(w.catalogs.create, name=catalog)
        try:
            w.schemas.get(f"{catalog}.{schema}")
        except NotFound:
            _unless_there(w.schemas.create, name=schema, catalog_name=catalog)
        body = {
            "name": table,
            "catalog_name": catalog,
            "schema_name": schema,
            "table_type": unity.TableType.EXTERNAL.value,
            "data_source_format": unity.DataSourceFormat.DELTA.value,
            "storage_location": location,
        }
        # Releases of the SDK before 0.70 have no method for it.
        path = "/api/2.1/unity-catalog/tables"
        _unless_there(w.api_client.do, "POST", path, body=body)
        return name

    def _synced(
        self, name: str, source: str, primary_key: Sequence[str], policy: str
    ) -> wire.SyncedDatabaseTable:
        try:
            table = self.workspace.database.get_synced_database_table(name)
        except NotFound:
            return self.workspace.database.create_synced_database_table(
                wire.SyncedDatabaseTable(
                    name=name,
                    database_instance_name=self.name,
                    logical_database_name=self.database,
                    spec=wire.SyncedTableSpec(
                        source_table_full_name=source,
                        primary_key_columns=list(primary_key),
                        scheduling_policy=wire.SyncedTableSchedulingPolicy(policy),
                        create_database_objects_if_missing=True,
                    ),
                )
            )
        status = table.data_synchronization_status
        if policy != "CONTINUOUS" and status and status.pipeline_id:
            update = self.workspace.pipelines.start_update(status.pipeline_id)
            self._wait_update(status.pipeline_id, update.update_id or "")
        return table

    def _wait_update(self, pipeline: str, update: str) -> None:
        while True:
            seen = self.workspace.pipelines.get_update(pipeline, update).update
            state = seen.state.value if seen and seen.state else ""
            if state in ("COMPLETED", "FAILED", "CANCELED"):
                return
            time.sleep(0.05)

    def _wait_online(self, name: str, table: wire.SyncedDatabaseTable, timeout: float) -> None:
        end = time.monotonic() + timeout
        while True:
            status = table.data_synchronization_status
            state = status.detailed_state.value if status and status.detailed_state else ""
            if "FAILED" in state or "OFFLINE" in state:
                message = (status and status.message) or state
                raise RuntimeError(f"synced table {name}: {message}")
            if "ONLINE" in state and not any(word in state for word in _WORKING):
                return
            if time.monotonic() > end:
                raise TimeoutError(f"synced table {name} is still {state or 'unknown'}")
            time.sleep(0.05)
            table = self.workspace.database.get_synced_database_table(name)

    def __repr__(self) -> str:
        return f"Instance({self.name!r})"


def _unless_there(create: Any, *arguments: Any, **fields: Any) -> None:
    """Somebody else may make it at the same time; that it exists is all that matters."""
    with contextlib.suppress(ResourceConflict):
        create(*arguments, **fields)


def _url(location: str | os.PathLike[str]) -> str:
    if isinstance(location, str) and "://" in location:
        return location
    return Path(location).resolve().as_uri()
