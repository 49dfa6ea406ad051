"""The official workspace client, which also takes the spellings that guides show.

`create_database_instance(name=…, capacity=…)` and `register_database_instance(…)` are in many
guides, and in no release of the official SDK. Owns translating them; everything else is the SDK's own.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from databricks.sdk import WorkspaceClient as OfficialWorkspaceClient
from databricks.sdk.service import database as wire

from lakeport.waiting import Waiting


class DatabaseAPI(wire.DatabaseAPI):
    """`w.database`."""

    def __init__(self, workspace: OfficialWorkspaceClient) -> None:
        super().__init__(workspace.api_client)  # type: ignore[no-untyped-call]
        self._workspace = workspace

    def create_database_instance(
        self,
        database_instance: wire.DatabaseInstance | None = None,
        *,
        name: str | None = None,
        **fields: Any,
    ) -> Waiting[wire.DatabaseInstance]:
        """Creates an instance, given whole or by its fields; `.result()` waits for it.

        What is returned has the instance's fields at once: `read_write_dns` can be connected to, and
        the login waits for the instance.
        """
        instance = _whole(database_instance, name, fields)
        return Waiting.of(super().create_database_instance(instance))

    def create_database_instance_and_wait(
        self,
        database_instance: wire.DatabaseInstance | None = None,
        timeout: timedelta = timedelta(minutes=20),
        *,
        name: str | None = None,
        **fields: Any,
    ) -> wire.DatabaseInstance:
        """The same, and waits until the instance is available."""
        instance = _whole(database_instance, name, fields)
        return self.create_database_instance(instance).result(timeout=timeout)

    def register_database_instance(
        self,
        name: str,
        catalog: str,
        schema: str | None = None,
        *,
        database: str = "databricks_postgres",
    ) -> wire.DatabaseCatalog:
        """Registers a database of the instance as a catalog; the database is created if need be.

        Waits for an instance that is starting. A catalog shows a whole database: a schema is not
        registered but made sure to exist.
        """
        self._wait_while_starting(name)
        made = self.create_database_catalog(
            wire.DatabaseCatalog(
                name=catalog,
                database_instance_name=name,
                database_name=database,
                create_database_if_not_exists=True,
            )
        )
        if schema is not None:
            self._make_schema(name, database, schema)
        return made

    def start_database_instance(self, name: str) -> wire.DatabaseInstance:
        """Starts a stopped instance, and waits until it is available."""
        self.update_database_instance(
            name, wire.DatabaseInstance(name=name, stopped=False), update_mask="stopped"
        )
        return self.wait_get_database_instance_database_available(name)

    def stop_database_instance(self, name: str) -> wire.DatabaseInstance:
        """Asks an instance to stop; its sessions end."""
        return self.update_database_instance(
            name, wire.DatabaseInstance(name=name, stopped=True), update_mask="stopped"
        )

    def _wait_while_starting(self, name: str) -> None:
        """One that is stopped never becomes available by waiting: what comes next says so."""
        instance = self.get_database_instance(name)
        ends = (wire.DatabaseInstanceState.STOPPED, wire.DatabaseInstanceState.DELETING)
        if instance.state not in ends and not instance.stopped:
            self.wait_get_database_instance_database_available(name)

    def _make_schema(self, instance: str, database: str, schema: str) -> None:
        from psycopg import sql

        from lakeport.connect import connect

        with connect(instance, self._workspace, database=database, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
            )


def _whole(
    instance: wire.DatabaseInstance | None, name: str | None, fields: dict[str, Any]
) -> wire.DatabaseInstance:
    """The instance of a call that takes it whole or by its fields."""
    if instance is None:
        if name is None:
            raise TypeError("create_database_instance: name is missing")
        return wire.DatabaseInstance(name=name, **fields)
    if name is not None or fields:
        raise TypeError("give the instance whole or by its fields, not both")
    return instance


class WorkspaceClient(OfficialWorkspaceClient):
    """`databricks.sdk.WorkspaceClient`, with the `database` above."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._lakeport_database = DatabaseAPI(self)

    @property
    def database(self) -> DatabaseAPI:
        return self._lakeport_database
