"""The official workspace client, which also takes the spellings that guides show.

`create_database_instance(name=…, capacity=…)` and `register_database_instance(…)` are in many
guides, and in no release of the official SDK. Owns translating them; everything else is the SDK's own.
"""

from __future__ import annotations

from typing import Any

from databricks.sdk import WorkspaceClient as OfficialWorkspaceClient
from databricks.sdk.service import database as wire
from databricks.sdk.service._internal import Wait


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
    ) -> Wait[wire.DatabaseInstance]:
        """Creates an instance, given whole or by its fields; `.result()` waits for it."""
        if database_instance is not None:
            if name is not None or fields:
                raise TypeError("give the instance whole or by its fields, not both")
            return super().create_database_instance(database_instance)
        if name is None:
            raise TypeError("create_database_instance: name is missing")
        return super().create_database_instance(wire.DatabaseInstance(name=name, **fields))

    def register_database_instance(
        self,
        name: str,
        catalog: str,
        schema: str | None = None,
        *,
        database: str = "databricks_postgres",
    ) -> wire.DatabaseCatalog:
        """Registers a database of the instance as a catalog; the database is created if need be.

        A catalog shows a whole database: a schema is not registered but made sure to exist.
        """
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

    def _make_schema(self, instance: str, database: str, schema: str) -> None:
        from psycopg import sql

        from lakeport.connect import connect

        with connect(instance, self._workspace, database=database, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
            )


class WorkspaceClient(OfficialWorkspaceClient):
    """`databricks.sdk.WorkspaceClient`, with the `database` above."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._lakeport_database = DatabaseAPI(self)

    @property
    def database(self) -> DatabaseAPI:
        return self._lakeport_database
