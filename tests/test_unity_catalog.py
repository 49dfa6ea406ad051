"""Unity Catalog: registering an external Delta table and looking it up."""

import pyarrow
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.catalog import DataSourceFormat, TableType

from kit.api import UNITY, Api
from kit.delta import DeltaTables
from kit.names import unique
from kit.synced import register

ROWS = pyarrow.table({"id": pyarrow.array([1, 2], pyarrow.int64()), "name": ["a", "b"]})


@pytest.fixture
def table(api: Api, catalog: str, delta: DeltaTables) -> dict:
    return register(api, f"{catalog}.{catalog}.users", delta.write("users", ROWS))


def test_a_registered_table_is_found(api: Api, catalog: str, table: dict, delta: DeltaTables):
    got = api.ok("GET", f"{UNITY}/tables/{catalog}.{catalog}.users")
    assert got["table_id"] == table["table_id"]
    assert got["full_name"] == f"{catalog}.{catalog}.users"
    assert (got["table_type"], got["data_source_format"]) == ("EXTERNAL", "DELTA")
    assert got["storage_location"].removeprefix("file://").rstrip("/") == str(delta.path("users"))
    assert api.ok("GET", f"{UNITY}/tables/{catalog}.{catalog}.users/exists")["table_exists"]


def test_official_sdk_registers_and_lists(
    workspace: WorkspaceClient, catalog: str, delta: DeltaTables
) -> None:
    workspace.tables.create(
        name="users",
        catalog_name=catalog,
        schema_name=catalog,
        table_type=TableType.EXTERNAL,
        data_source_format=DataSourceFormat.DELTA,
        storage_location=delta.write("users", ROWS),
    )
    assert [t.name for t in workspace.tables.list(catalog, catalog)] == ["users"]
    assert [s.name for s in workspace.schemas.list(catalog)] == [catalog]
    assert catalog in [c.name for c in workspace.catalogs.list()]
    assert workspace.tables.exists(f"{catalog}.{catalog}.users").table_exists


def test_names_that_are_taken(api: Api, catalog: str, table: dict) -> None:
    taken = [
        ("catalogs", {"name": catalog}),
        ("schemas", {"name": catalog, "catalog_name": catalog}),
        (
            "tables",
            {
                "name": "users",
                "catalog_name": catalog,
                "schema_name": catalog,
                "table_type": "EXTERNAL",
                "data_source_format": "DELTA",
                "storage_location": "file:///tmp/elsewhere",
            },
        ),
    ]
    for kind, body in taken:
        refusal = api.refused(409, "POST", f"{UNITY}/{kind}", body)
        assert "already exists" in refusal.message, kind


def test_unknown_names_are_not_found(api: Api, catalog: str) -> None:
    nowhere = unique("nowhere")
    for path in (f"catalogs/{nowhere}", f"schemas/{catalog}.{nowhere}"):
        assert "not found" in api.refused(404, "GET", f"{UNITY}/{path}").message.lower()
    missing = f"{UNITY}/tables/{catalog}.{catalog}.{nowhere}"
    assert "not found" in api.refused(404, "GET", missing).message.lower()
    body = {"name": "s", "catalog_name": nowhere}
    assert nowhere in api.refused(404, "POST", f"{UNITY}/schemas", body).message


def test_other_formats_are_refused(api: Api, catalog: str) -> None:
    body = {
        "name": "users",
        "catalog_name": catalog,
        "schema_name": catalog,
        "table_type": "EXTERNAL",
        "data_source_format": "CSV",
        "storage_location": "file:///tmp/users.csv",
    }
    assert "DELTA" in api.refused(400, "POST", f"{UNITY}/tables", body).message


def test_deleting_a_table_leaves_its_files(
    api: Api, catalog: str, table: dict, delta: DeltaTables
) -> None:
    api.ok("DELETE", f"{UNITY}/tables/{catalog}.{catalog}.users")
    api.refused(404, "GET", f"{UNITY}/tables/{catalog}.{catalog}.users")
    assert delta.data_files("users")
