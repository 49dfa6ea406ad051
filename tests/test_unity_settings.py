"""Catalogs and schemas as infrastructure tools keep them: `default`, other names, and fields of the API."""

import pyarrow
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.catalog import EnablePredictiveOptimization

from kit.api import CATALOGS, SYNCED_TABLES, UNITY, Api
from kit.delta import DeltaTables
from kit.names import unique
from kit.people import person
from kit.synced import SyncedTable, make_schema, register

ROWS = pyarrow.table({"id": [1, 2], "name": ["a", "b"]})
OUT_OF_REACH = {
    "connection_name": "c",
    "custom_max_retention_hours": 24,
    "managed_encryption_settings": {},
    "options": {"a": "b"},
    "provider_name": "p",
    "share_name": "s",
}


def test_a_catalog_is_made_with_its_schema_default(api: Api) -> None:
    catalog = unique("c")
    api.ok("POST", f"{UNITY}/catalogs", {"name": catalog})
    schema = api.ok("GET", f"{UNITY}/schemas/{catalog}.default")
    assert (schema["full_name"], schema["owner"]) == (f"{catalog}.default", api.user_name())
    api.refused(409, "POST", f"{UNITY}/schemas", {"name": "default", "catalog_name": catalog})
    # Terraform deletes it at once, without `force`.
    api.ok("DELETE", f"{UNITY}/schemas/{catalog}.default")
    api.refused(404, "GET", f"{UNITY}/schemas/{catalog}.default")
    api.ok("DELETE", f"{UNITY}/catalogs/{catalog}")


def test_an_empty_default_goes_with_its_catalog_and_a_used_one_does_not(
    api: Api, delta: DeltaTables
) -> None:
    catalog = unique("c")
    api.ok("POST", f"{UNITY}/catalogs", {"name": catalog})
    register(api, f"{catalog}.default.users", delta.write("users", ROWS))
    assert "not empty" in api.refused(400, "DELETE", f"{UNITY}/catalogs/{catalog}").message
    assert api.ok("GET", f"{UNITY}/tables/{catalog}.default.users")
    api.ok("DELETE", f"{UNITY}/tables/{catalog}.default.users")
    api.ok("DELETE", f"{UNITY}/catalogs/{catalog}")
    api.refused(404, "GET", f"{UNITY}/schemas/{catalog}.default")


def test_a_new_name_is_that_of_all_that_lies_below(api: Api, catalog: str, delta: DeltaTables) -> None:
    table = register(api, f"{catalog}.{catalog}.users", delta.write("users", ROWS))
    grant = {"changes": [{"principal": "account users", "add": ["SELECT"]}]}
    for kind, place in (("schema", f"{catalog}.{catalog}"), ("table", f"{catalog}.{catalog}.users")):
        api.ok("PATCH", f"{UNITY}/permissions/{kind}/{place}", grant)
    new = unique("c")
    renamed = api.ok("PATCH", f"{UNITY}/catalogs/{catalog}", {"new_name": new, "comment": "moved"})
    assert (renamed["name"], renamed["comment"]) == (new, "moved")
    schema = api.ok("PATCH", f"{UNITY}/schemas/{new}.{catalog}", {"new_name": "s"})
    assert schema["full_name"] == f"{new}.s"
    found = api.ok("GET", f"{UNITY}/tables/{new}.s.users")
    assert (found["table_id"], found["full_name"]) == (table["table_id"], f"{new}.s.users")
    for kind, place in (("schema", f"{new}.s"), ("table", f"{new}.s.users")):
        given = api.ok("GET", f"{UNITY}/permissions/{kind}/{place}")["privilege_assignments"]
        assert given == [{"principal": "account users", "privileges": ["SELECT"]}]
    for gone in (f"catalogs/{catalog}", f"schemas/{new}.{catalog}", f"tables/{catalog}.{catalog}.users"):
        api.refused(404, "GET", f"{UNITY}/{gone}")
    # The old name is free, and the same name again changes nothing.
    make_schema(api, catalog, catalog)
    assert api.ok("PATCH", f"{UNITY}/catalogs/{new}", {"new_name": new})["name"] == new


def test_names_that_cannot_be_taken(api: Api, catalog: str, instance: dict) -> None:
    shown = unique("c")
    body = {"name": shown, "database_instance_name": instance["name"], "database_name": shown}
    api.ok("POST", CATALOGS, body | {"create_database_if_not_exists": True})
    other = unique("c")
    make_schema(api, other, "s")
    for taken in (shown, other):
        path = f"{UNITY}/catalogs/{catalog}"
        assert taken in api.refused(409, "PATCH", path, {"new_name": taken}).message
    path = f"{UNITY}/schemas/{other}.s"
    assert "default" in api.refused(409, "PATCH", path, {"new_name": "default"}).message
    for bad in ("a.b", "a b", "", "a/b"):
        assert "new_name" in api.refused(400, "PATCH", path, {"new_name": bad}).message, bad
        api.refused(400, "PATCH", f"{UNITY}/catalogs/{catalog}", {"new_name": bad})
    refusal = api.refused(400, "PATCH", f"{UNITY}/catalogs/{shown}", {"new_name": unique("c")})
    assert "new_name" in refusal.message
    api.ok("DELETE", f"{CATALOGS}/{shown}")


def test_what_a_synced_table_reads_keeps_its_name(
    api: Api, instance: dict, catalog: str, delta: DeltaTables
) -> None:
    source = f"{catalog}.{catalog}.users"
    register(api, source, delta.write("users", ROWS))
    target = unique("c")
    body = {"name": target, "database_instance_name": instance["name"], "database_name": target}
    api.ok("POST", CATALOGS, body | {"create_database_if_not_exists": True})
    name = f"{target}.public.users"
    spec = {"source_table_full_name": source, "primary_key_columns": ["id"]}
    spec |= {"scheduling_policy": "SNAPSHOT", "create_database_objects_if_missing": True}
    api.ok("POST", SYNCED_TABLES, {"name": name, "spec": spec})
    SyncedTable(api, name).wait_online()
    for path in (f"catalogs/{catalog}", f"schemas/{catalog}.{catalog}"):
        message = api.refused(400, "PATCH", f"{UNITY}/{path}", {"new_name": unique("c")}).message
        assert "new_name" in message and source in message
    api.ok("PATCH", f"{UNITY}/schemas/{catalog}.default", {"new_name": "other"})
    api.ok("DELETE", f"{SYNCED_TABLES}/{name}")
    api.ok("DELETE", f"{CATALOGS}/{target}")


def test_fields_that_tools_set_are_kept(api: Api, workspace: WorkspaceClient) -> None:
    catalog = unique("c")
    root = "s3://lake/managed"
    made = workspace.catalogs.create(catalog, storage_root=root)
    assert (made.storage_root, made.isolation_mode.value) == (root, "OPEN")
    schema = workspace.schemas.create("s", catalog, storage_root=f"{root}/s")
    assert schema.storage_root == f"{root}/s" and schema.enable_predictive_optimization is None
    inherit = EnablePredictiveOptimization.INHERIT
    workspace.catalogs.update(catalog, enable_predictive_optimization=inherit)
    workspace.schemas.update(f"{catalog}.s", enable_predictive_optimization=inherit, new_name="t")
    for seen in (workspace.catalogs.get(catalog), workspace.schemas.get(f"{catalog}.t")):
        assert (seen.storage_root[: len(root)], seen.enable_predictive_optimization) == (root, inherit)
    workspace.catalogs.delete(catalog, force=True)


def test_null_says_nothing_and_what_is_not_here_is_refused_by_name(
    api: Api, catalog: str, delta: DeltaTables
) -> None:
    name = unique("c")
    nulls = dict.fromkeys([*OUT_OF_REACH, "storage_root", "isolation_mode", "metastore_id"])
    api.ok("POST", f"{UNITY}/catalogs", {"name": name} | nulls)
    assert "storage_root" not in api.ok("PATCH", f"{UNITY}/catalogs/{name}", nulls)
    lacking = OUT_OF_REACH | {
        "isolation_mode": "ISOLATED",
        "enable_predictive_optimization": "ENABLE",
    }
    for field, value in lacking.items():
        body = {"name": unique("c"), field: value}
        assert field in api.refused(400, "POST", f"{UNITY}/catalogs", body).message
        assert field in api.refused(400, "PATCH", f"{UNITY}/catalogs/{name}", {field: value}).message
    api.refused(400, "POST", f"{UNITY}/catalogs", {"name": unique("c"), "storage_root": "a/b"})
    api.ok("DELETE", f"{UNITY}/catalogs/{name}")

    body = {"name": "users", "catalog_name": catalog, "schema_name": catalog}
    body |= {"storage_location": delta.write("users", ROWS), "row_filter": None}
    tables = f"{UNITY}/tables"
    masked = {"columns": [{"name": "id", "mask": {"function_name": "f"}}]}
    assert "mask" in api.refused(400, "POST", tables, body | masked).message
    assert "row_filter" in api.refused(400, "POST", tables, body | {"row_filter": {}}).message
    api.ok("POST", tables, body | {"columns": [{"name": "id", "mask": None}]})


def test_only_who_may_change_it_renames(api: Api, catalog: str) -> None:
    with person(api) as reader:
        grant = {"changes": [{"principal": reader.name, "add": ["USE_CATALOG"]}]}
        api.ok("PATCH", f"{UNITY}/permissions/catalog/{catalog}", grant)
        reader.api.refused(403, "PATCH", f"{UNITY}/catalogs/{catalog}", {"new_name": unique("c")})
        api.ok("GET", f"{UNITY}/catalogs/{catalog}")
