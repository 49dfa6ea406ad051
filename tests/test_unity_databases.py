"""A registered database in Unity Catalog: what it shows is what is in the database now."""

from collections.abc import Iterator

import pyarrow
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.database import DatabaseCatalog

from kit.api import CATALOGS, INSTANCES, UNITY, Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.names import unique
from kit.synced import SyncedTable, register

TABLES = "/api/2.0/database/tables"

SHOP = """
create schema shop;
comment on schema shop is 'what we sell';
create table shop.customers (id bigint primary key, name varchar(40) not null);
create table shop.orders (
    id bigint generated always as identity,
    customer bigint references shop.customers,
    price numeric(10, 2),
    tags text[],
    at timestamptz,
    details jsonb,
    primary key (id));
comment on table shop.orders is 'one row an order';
comment on column shop.orders.price is 'in euros';
create view shop.cheap as select id from shop.orders where price < 10;
create table shop."Odd.Name" (i int);
"""


@pytest.fixture
def catalog_name(api: Api, workspace: WorkspaceClient, own_instance: dict) -> Iterator[str]:
    name = unique("cat")
    workspace.database.create_database_catalog(
        DatabaseCatalog(
            name=name,
            database_instance_name=own_instance["name"],
            database_name="shop_db",
            create_database_if_not_exists=True,
        )
    )
    yield name
    api.send("DELETE", f"{CATALOGS}/{name}")


@pytest.fixture
def shop(api: Api, own_instance: dict, catalog_name: str) -> Login:
    """The database behind the catalog, with tables in it."""
    login = Login.to(api, own_instance)
    login.dbname = "shop_db"
    with login.connect() as connection:
        connection.execute(SHOP)
    return login


def test_the_official_sdk_browses_a_database(
    workspace: WorkspaceClient, catalog_name: str, shop: Login
) -> None:
    shown = next(c for c in workspace.catalogs.list() if c.name == catalog_name)
    assert shown.options["database_name"] == "shop_db"
    state = workspace.catalogs.get(catalog_name).provisioning_info.state
    assert state.value == "ACTIVE"
    schemas = {schema.name: schema for schema in workspace.schemas.list(catalog_name)}
    assert set(schemas) == {"public", "shop"} and schemas["shop"].comment == "what we sell"
    names = [table.name for table in workspace.tables.list(catalog_name, "shop")]
    assert names == ["Odd.Name", "cheap", "customers", "orders"]

    orders = workspace.tables.get(f"{catalog_name}.shop.orders")
    assert (orders.comment, orders.owner) == ("one row an order", shop.user)
    columns = {column.name: column for column in orders.columns}
    assert {name: column.type_text for name, column in columns.items()} == {
        "id": "bigint",
        "customer": "bigint",
        "price": "decimal(10,2)",
        "tags": "array<string>",
        "at": "timestamp",
        "details": "string",
    }
    assert columns["price"].comment == "in euros"
    assert (columns["id"].nullable, columns["price"].nullable) == (False, True)
    primary, foreign = orders.table_constraints
    assert primary.primary_key_constraint.child_columns == ["id"]
    assert foreign.foreign_key_constraint.parent_table == f"{catalog_name}.shop.customers"
    view = workspace.tables.get(f"{catalog_name}.shop.cheap")
    assert view.table_type.value == "VIEW" and "price" in view.view_definition
    odd = workspace.tables.get(f"{catalog_name}.shop.`Odd.Name`")
    assert odd.full_name == f"{catalog_name}.shop.`Odd.Name`"


def test_what_changes_in_sql_shows_at_once(
    workspace: WorkspaceClient, catalog_name: str, shop: Login
) -> None:
    with shop.connect() as connection:
        connection.execute("create table shop.made_now (a int)")
        assert workspace.tables.exists(f"{catalog_name}.shop.made_now").table_exists
        connection.execute("alter table shop.made_now add column b text")
        table = workspace.tables.get(f"{catalog_name}.shop.made_now")
        assert [column.name for column in table.columns] == ["a", "b"]
        connection.execute("drop table shop.made_now")
        assert not workspace.tables.exists(f"{catalog_name}.shop.made_now").table_exists


def test_pages_and_summaries(api: Api, catalog_name: str, shop: Login) -> None:
    seen, token = [], None
    while True:
        query = {"catalog_name": catalog_name, "schema_name": "shop", "max_results": 3}
        page = api.ok("GET", f"{UNITY}/tables", **query, page_token=token)
        seen += [table["name"] for table in page["tables"]]
        if not (token := page.get("next_page_token")):
            break
    assert seen == ["Odd.Name", "cheap", "customers", "orders"]
    query = {"catalog_name": catalog_name, "schema_name_pattern": "sh%", "table_name_pattern": "c%"}
    summaries = api.ok("GET", f"{UNITY}/table-summaries", **query)["tables"]
    assert [(s["full_name"].split(".")[2], s["table_type"]) for s in summaries] == [
        ("cheap", "VIEW"),
        ("customers", "FOREIGN"),
    ]


def test_it_is_changed_in_sql_only(api: Api, catalog_name: str, shop: Login) -> None:
    table = f"{UNITY}/tables/{catalog_name}.shop.orders"
    for method, path, body in [
        ("POST", f"{UNITY}/schemas", {"name": "s", "catalog_name": catalog_name}),
        ("DELETE", f"{UNITY}/schemas/{catalog_name}.shop", None),
        ("PATCH", table, {"comment": "x"}),
        ("DELETE", table, None),
    ]:
        assert "in SQL" in api.refused(400, method, path, body).message, path
    comment = {"comment": "our shop"}
    assert api.ok("PATCH", f"{UNITY}/catalogs/{catalog_name}", comment)["comment"] == "our shop"


def test_deleting_the_catalog_leaves_the_data_and_says_so(
    api: Api, catalog_name: str, shop: Login
) -> None:
    answer = api.ok("DELETE", f"{CATALOGS}/{catalog_name}")
    assert "data stay" in answer["message"]
    api.refused(404, "GET", f"{UNITY}/catalogs/{catalog_name}")
    assert shop.value("select count(*) from shop.orders") == 0


def test_a_catalog_has_one_database_and_a_database_one_catalog(
    api: Api, catalog_name: str, own_instance: dict
) -> None:
    body = {"database_instance_name": own_instance["name"], "database_name": "shop_db"}
    other = api.refused(409, "POST", CATALOGS, body | {"name": unique("cat")})
    assert "already exists as another catalog" in other.message
    same = body | {"name": catalog_name, "database_name": "databricks_postgres"}
    api.refused(409, "POST", CATALOGS, same)
    api.refused(409, "POST", f"{UNITY}/catalogs", {"name": catalog_name})


def test_a_dropped_database_and_a_stopped_instance_are_named(
    api: Api, catalog_name: str, own_instance: dict
) -> None:
    login = Login.to(api, own_instance)
    with login.connect() as connection:
        connection.execute("drop database shop_db")
    path = f"{UNITY}/catalogs/{catalog_name}"
    assert api.ok("GET", path)["provisioning_info"]["state"] == "FAILED"
    schemas = {"catalog_name": catalog_name}
    refusal = api.refused(400, "GET", f"{UNITY}/schemas", **schemas)
    assert "shop_db" in refusal.message and "was dropped" in refusal.message

    name = own_instance["name"]
    api.ok("PATCH", f"{INSTANCES}/{name}", {"stopped": True}, update_mask="stopped")
    api.wait_for_state(name, "STOPPED")
    assert "STOPPED" in api.refused(400, "GET", f"{UNITY}/schemas", **schemas).message
    assert api.ok("GET", path)["provisioning_info"]["state"] == "DEGRADED"


def test_a_table_of_a_database_in_a_catalog_of_ones_own(
    api: Api, catalog: str, own_instance: dict, catalog_name: str, shop: Login
) -> None:
    api.ok("POST", f"{UNITY}/schemas", {"name": "shop", "catalog_name": catalog})
    name = f"{catalog}.shop.orders"
    body = {"name": name, "database_instance_name": own_instance["name"]}
    body["logical_database_name"] = "shop_db"
    missing = body | {"name": f"{catalog}.shop.no_such"}
    assert "no_such" in api.refused(404, "POST", TABLES, missing).message
    assert api.ok("POST", TABLES, body) == body
    assert api.ok("GET", f"{TABLES}/{name}") == body
    shown = api.ok("GET", f"{UNITY}/tables/{name}")
    assert shown["table_type"] == "FOREIGN" and shown["columns"][0]["name"] == "id"
    api.ok("DELETE", f"{TABLES}/{name}")
    api.refused(404, "GET", f"{UNITY}/tables/{name}")
    assert shop.value("select count(*) from shop.orders") == 0

    inferred = api.ok("POST", TABLES, {"name": f"{catalog_name}.shop.orders"})
    assert inferred["logical_database_name"] == "shop_db"
    wrong = {"name": f"{catalog_name}.shop.orders", "logical_database_name": "other"}
    assert "shop_db" in api.refused(400, "POST", TABLES, wrong).message


def test_a_synced_table_shows_its_source_and_its_pipeline(
    api: Api, catalog: str, catalog_name: str, own_instance: dict, delta: DeltaTables
) -> None:
    source = f"{catalog}.{catalog}.users"
    register(api, source, delta.write("users", pyarrow.table({"id": [1, 2], "n": ["a", "b"]})))
    body = {
        "name": f"{catalog_name}.served.users",
        "spec": {
            "source_table_full_name": source,
            "primary_key_columns": ["id"],
            "scheduling_policy": "SNAPSHOT",
            "create_database_objects_if_missing": True,
        },
    }
    api.ok("POST", "/api/2.0/database/synced_tables", body)
    synced = SyncedTable(api, body["name"])
    pipeline = synced.wait_online()["pipeline_id"]
    shown = api.ok("GET", f"{UNITY}/tables/{body['name']}")
    assert shown["pipeline_id"] == pipeline
    (dependency,) = shown["view_dependencies"]["dependencies"]
    assert dependency["table"]["table_full_name"] == source
    synced.delete()
