"""Unity Catalog: registering an external Delta table and looking it up."""

import json
from pathlib import Path

import pyarrow
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.catalog import DataSourceFormat, TableType

from kit.api import UNITY, Api
from kit.delta import DeltaTables
from kit.names import unique
from kit.server import Server
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
    assert {s.name for s in workspace.schemas.list(catalog)} == {catalog, "default"}
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


def test_a_table_is_what_its_log_says(api: Api, catalog: str, delta: DeltaTables) -> None:
    schema = pyarrow.schema(
        [
            pyarrow.field("day", pyarrow.date32(), metadata={"comment": "of the sale"}),
            pyarrow.field("amount", pyarrow.decimal128(10, 2), nullable=False),
            pyarrow.field("tags", pyarrow.list_(pyarrow.string())),
        ]
    )
    rows = pyarrow.table({"day": [], "amount": [], "tags": []}, schema=schema)
    location = delta.write(
        "sales",
        rows,
        description="what was sold",
        partition_by=["day"],
        configuration={"delta.enableChangeDataFeed": "true"},
    )
    table = register(api, f"{catalog}.{catalog}.sales", location)
    assert table["comment"] == "what was sold"
    assert table["properties"]["delta.enableChangeDataFeed"] == "true"
    columns = {column["name"]: column for column in table["columns"]}
    assert columns["day"]["comment"] == "of the sale" and columns["day"]["partition_index"] == 0
    amount = columns["amount"]
    assert amount["type_name"] == "DECIMAL"
    assert (amount["type_precision"], amount["type_scale"]) == (10, 2)
    assert json.loads(amount["type_json"])["nullable"] is False
    assert columns["tags"]["type_name"] == "ARRAY"


def test_type_json_is_the_field_as_spark_writes_it(
    api: Api, catalog: str, delta: DeltaTables
) -> None:
    def field(name: str, kind: object, nullable: bool = True, **metadata: object) -> dict:
        return {"name": name, "type": kind, "nullable": nullable, "metadata": metadata}

    inner = [field("a b", "long", False), field("c", "decimal(10,2)", comment="inner")]
    fields = [
        field("id", "integer", False, comment="key"),
        field("code", "string", __CHAR_VARCHAR_TYPE_STRING="char(5)"),
        field("list", {"type": "array", "elementType": "short", "containsNull": False}),
        field(
            "map",
            {
                "type": "map",
                "keyType": "string",
                "valueType": {"type": "struct", "fields": inner},
                "valueContainsNull": False,
            },
        ),
        field("at", "timestamp_ntz"),
        field("anything", "variant"),
    ]
    location = delta.write("typed", ROWS)
    (first,) = (delta.path("typed") / "_delta_log").glob("*.json")
    actions = [json.loads(line) for line in first.read_text().splitlines()]
    features = ["timestampNtz", "variantType"]
    logged = [one | {"metadata": one["metadata"] | {"delta.identity.start": 1}} for one in fields]
    for action in actions:
        if "metaData" in action:
            schema = {"type": "struct", "fields": logged}
            action["metaData"]["schemaString"] = json.dumps(schema)
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7}
            action["protocol"] |= {"readerFeatures": features, "writerFeatures": features}
    first.write_text("\n".join(json.dumps(action) for action in actions))
    table = register(api, f"{catalog}.{catalog}.typed", location)
    assert [json.loads(column["type_json"]) for column in table["columns"]] == fields


def test_owner_comment_properties_and_keys_are_the_catalogs(
    api: Api, workspace: WorkspaceClient, catalog: str, table: dict
) -> None:
    path = f"{UNITY}/tables/{catalog}.{catalog}.users"
    changed = api.ok("PATCH", path, {"comment": "people", "properties": {"a": "b"}})
    assert (changed["comment"], changed["properties"]) == ("people", {"a": "b"})
    assert changed["updated_by"] == api.user_name()
    workspace.catalogs.update(catalog, comment="of a test")
    workspace.schemas.update(f"{catalog}.{catalog}", comment="also")
    assert workspace.catalogs.get(catalog).comment == "of a test"
    assert workspace.schemas.get(f"{catalog}.{catalog}").comment == "also"
    assert "renamed" in api.refused(400, "PATCH", path, {"new_name": "other"}).message

    key = {"primary_key_constraint": {"name": "pk", "child_columns": ["id"]}}
    body = {"full_name_arg": f"{catalog}.{catalog}.users", "constraint": key}
    api.ok("POST", f"{UNITY}/constraints", body)
    assert api.ok("GET", path)["table_constraints"] == [key]
    api.refused(409, "POST", f"{UNITY}/constraints", body)
    other = {"primary_key_constraint": {"name": "x", "child_columns": ["no_such"]}}
    refusal = api.refused(400, "POST", f"{UNITY}/constraints", body | {"constraint": other})
    assert "no_such" in refusal.message
    api.ok("DELETE", f"{UNITY}/constraints/{catalog}.{catalog}.users", constraint_name="pk")
    assert "table_constraints" not in api.ok("GET", path)


def test_pages_and_summaries(api: Api, catalog: str, delta: DeltaTables) -> None:
    location = delta.write("users", ROWS)
    names = [f"t{number}" for number in range(5)]
    for name in names:
        register(api, f"{catalog}.{catalog}.{name}", location)
    where = {"catalog_name": catalog, "schema_name": catalog}
    first = api.ok("GET", f"{UNITY}/tables", **where, max_results=3)
    assert [table["name"] for table in first["tables"]] == names[:3]
    token = first["next_page_token"]
    rest = api.ok("GET", f"{UNITY}/tables", **where, max_results=3, page_token=token)
    assert [table["name"] for table in rest["tables"]] == names[3:]
    assert "next_page_token" not in rest
    assert len(api.ok("GET", f"{UNITY}/tables", **where, max_results=0)["tables"]) == 5
    api.refused(400, "GET", f"{UNITY}/tables", **where, max_results=-1)
    api.refused(400, "GET", f"{UNITY}/tables", **where, page_token="made-up")
    found = api.ok("GET", f"{UNITY}/table-summaries", catalog_name=catalog, table_name_pattern="t_")
    assert [s["full_name"] for s in found["tables"]] == [f"{catalog}.{catalog}.{n}" for n in names]
    api.refused(400, "DELETE", f"{UNITY}/schemas/{catalog}.{catalog}")
    api.ok("DELETE", f"{UNITY}/schemas/{catalog}.{catalog}", force="true")
    api.refused(404, "GET", f"{UNITY}/tables/{catalog}.{catalog}.t0")


def test_locations_outside_of_what_may_be_read(
    api: Api, catalog: str, delta: DeltaTables, tmp_path: Path, server: Server
) -> None:
    (tmp_path / "link").symlink_to("/etc")
    for location in (
        "file:///etc",
        "file:///proc/self",
        f"{delta.folder.as_uri()}/../../etc",
        f"{delta.folder.as_uri()}/%2e%2e/x",
        (tmp_path / "link").as_uri(),
        (server.data_dir / "clusters").as_uri(),
        "http://169.254.169.254/latest/meta-data",
        "s3://169.254.169.254/latest",
        "abfss://c@169.254.169.254/t",
        "s3://bucket-that-nobody-configured/t",
        "s3://user:password@bucket/t",
        "relative/path",
    ):
        body = {"name": "x", "catalog_name": catalog, "schema_name": catalog}
        refusal = api.refused(400, "POST", f"{UNITY}/tables", body | {"storage_location": location})
        assert "storage_location" in refusal.message, location
        assert "password" not in refusal.message or "may not hold" in refusal.message


def test_names_that_are_none(api: Api, catalog: str, delta: DeltaTables) -> None:
    location = delta.write("users", ROWS)
    for name in ("", "a.b", "a b", "a/b", "x" * 256, "a\u0000b"):
        body = {"name": name, "catalog_name": catalog, "schema_name": catalog}
        body["storage_location"] = location
        assert "name" in api.refused(400, "POST", f"{UNITY}/tables", body).message, name
    for name in ('quo"te', "it's", "UPPER", "ünï", "x" * 255):
        register(api, f"{catalog}.{catalog}.{name}", location)
        assert api.ok("GET", f"{UNITY}/tables/{catalog}.{catalog}.{name}")["name"] == name


def test_a_log_that_is_newer_than_the_reader_names_the_feature(
    api: Api, catalog: str, delta: DeltaTables
) -> None:
    location = delta.write("users", ROWS)
    (first,) = (delta.path("users") / "_delta_log").glob("*.json")
    actions = [json.loads(line) for line in first.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": ["timeMachine"],
                "writerFeatures": ["timeMachine"],
            }
    first.write_text("\n".join(json.dumps(action) for action in actions))
    body = {"name": "x", "catalog_name": catalog, "schema_name": catalog}
    refusal = api.refused(400, "POST", f"{UNITY}/tables", body | {"storage_location": location})
    assert "timeMachine" in refusal.message


def test_a_log_that_names_files_of_others_is_refused(
    api: Api, catalog: str, instance: dict, delta: DeltaTables
) -> None:
    delta.write("secret", ROWS)
    (file,) = delta.data_files("secret")
    location = delta.write("users", ROWS)
    (first,) = (delta.path("users") / "_delta_log").glob("*.json")
    actions = [json.loads(line) for line in first.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"]["path"] = file.as_uri()
    first.write_text("\n".join(json.dumps(action) for action in actions))
    body = {"name": "x", "catalog_name": catalog, "schema_name": catalog}
    refusal = api.refused(400, "POST", f"{UNITY}/tables", body | {"storage_location": location})
    assert "outside of the table's folder" in refusal.message
