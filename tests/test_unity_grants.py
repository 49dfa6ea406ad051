"""Rights on catalogs, schemas and tables: rows of ours, or PostgreSQL's own grants."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pyarrow
import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.catalog import PermissionsChange, Privilege

from kit.api import CATALOGS, CREDENTIALS, SYNCED_TABLES, UNITY, Api
from kit.delta import DeltaTables
from kit.identities import machine, principal
from kit.login import Login
from kit.names import unique
from kit.synced import SyncedTable, body_of, register

ROWS = pyarrow.table({"id": pyarrow.array([1, 2], pyarrow.int64()), "name": ["a", "b"]})


class Person(Api):
    """A caller with an access token, and the name that rights are given to."""

    name: str


@contextmanager
def somebody(api: Api, instance: str | None = None) -> Iterator[Person]:
    """A service principal that is no administrator, and may use the instance if one is named."""
    with machine(api) as job:
        form = {"grant_type": "client_credentials", "scope": "all-apis"}
        auth = (job.client_id, job.secret)
        answer = requests.post(f"{api.url}/oidc/v1/token", data=form, auth=auth, timeout=30)
        person = Person(api.url, answer.json()["access_token"])
        person.name = job.client_id
        if instance:
            entry = {"service_principal_name": job.client_id, "permission_level": "CAN_USE"}
            path = f"/api/2.0/permissions/database-instances/{instance}"
            api.ok("PATCH", path, {"access_control_list": [entry]})
        yield person


def login_of(person: Person, instance: dict) -> Login:
    body = {"instance_names": [instance["name"]], "request_id": unique("r")}
    token = person.ok("POST", CREDENTIALS, body)["token"]
    return Login(instance["read_write_dns"], person.name, token)


def grant(api: Api, kind: str, name: str, to: str, *add: str, remove: list[str] | None = None):
    change = {"principal": to, "add": list(add), "remove": remove or []}
    return api.ok("PATCH", f"{UNITY}/permissions/{kind}/{name}", {"changes": [change]})


@pytest.fixture
def source(api: Api, catalog: str, delta: DeltaTables) -> str:
    name = f"{catalog}.{catalog}.users"
    register(api, name, delta.write("users", ROWS))
    return name


def test_what_may_not_be_known_is_not_there(api: Api, catalog: str, source: str) -> None:
    with somebody(api) as person:
        missing = source.replace("users", "nobody")
        for path in (f"tables/{source}", f"catalogs/{catalog}", f"schemas/{catalog}.{catalog}"):
            assert "not found" in person.refused(404, "GET", f"{UNITY}/{path}").message
        hidden = person.refused(404, "GET", f"{UNITY}/tables/{source}").message
        absent = person.refused(404, "GET", f"{UNITY}/tables/{missing}").message
        assert hidden.replace("users", "nobody") == absent
        listed = person.ok("GET", f"{UNITY}/catalogs", max_results=0)["catalogs"]
        assert catalog not in [found["name"] for found in listed]
        assert not person.ok("GET", f"{UNITY}/tables/{source}/exists")["table_exists"]
        for method, path, body in [
            ("POST", "catalogs", {"name": unique("c")}),
            ("POST", "schemas", {"name": "s", "catalog_name": catalog}),
            ("PATCH", f"tables/{source}", {"owner": person.name}),
            ("DELETE", f"catalogs/{catalog}", None),
            ("PATCH", f"permissions/table/{source}", {"changes": []}),
        ]:
            answer = person.send(method, f"{UNITY}/{path}", body)
            assert answer.status_code in (403, 404), path


def test_rights_are_inherited_and_name_where_they_come_from(
    api: Api, workspace: WorkspaceClient, catalog: str, source: str
) -> None:
    with somebody(api) as person:
        grant(api, "catalog", catalog, person.name, "USE_CATALOG", "USE_SCHEMA")
        listing = {"catalog_name": catalog, "schema_name": catalog}
        assert person.ok("GET", f"{UNITY}/tables", **listing)["tables"] == []
        assignments = grant(api, "schema", f"{catalog}.{catalog}", person.name, "SELECT")
        assert assignments["privilege_assignments"] == [
            {"principal": person.name, "privileges": ["SELECT"]}
        ]
        (seen,) = person.ok("GET", f"{UNITY}/tables", **listing)["tables"]
        assert seen["full_name"] == source
        (found,) = workspace.grants.get_effective("table", source).privilege_assignments
        assert {
            (p.privilege.value, p.inherited_from_type.value, p.inherited_from_name)
            for p in found.privileges
        } == {
            ("USE_CATALOG", "CATALOG", catalog),
            ("USE_SCHEMA", "CATALOG", catalog),
            ("SELECT", "SCHEMA", f"{catalog}.{catalog}"),
        }
        # Reading is no right to change, and none to give on.
        person.refused(403, "PATCH", f"{UNITY}/tables/{source}", {"comment": "mine"})
        change = {"principal": person.name, "add": ["MODIFY"]}
        path = f"{UNITY}/permissions/table/{source}"
        person.refused(403, "PATCH", path, {"changes": [change]})
        # Who owns a thing may do all of that.
        api.ok("PATCH", f"{UNITY}/tables/{source}", {"owner": person.name})
        changed = person.ok("PATCH", f"{UNITY}/tables/{source}", {"comment": "mine"})
        assert changed["comment"] == "mine"


def test_rights_through_a_group_and_for_everybody(api: Api, catalog: str, source: str) -> None:
    with somebody(api) as person:
        me = person.ok("GET", "/api/2.0/preview/scim/v2/Me")
        with principal(
            api, "Groups", displayName=unique("g"), members=[{"value": me["id"]}]
        ) as group:
            name = group["displayName"]
            grant(api, "catalog", catalog, name, "USE_CATALOG", "USE_SCHEMA", "SELECT")
            assert person.ok("GET", f"{UNITY}/tables/{source}")["name"] == "users"
            grant(api, "catalog", catalog, name, remove=["SELECT"])
            person.refused(404, "GET", f"{UNITY}/tables/{source}")
        grant(api, "table", source, "account users", "SELECT")
        assert person.ok("GET", f"{UNITY}/tables/{source}")["name"] == "users"


def test_wrong_changes_change_nothing(api: Api, catalog: str, source: str) -> None:
    path = f"{UNITY}/permissions/table/{source}"
    good = {"principal": api.user_name(), "add": ["SELECT"]}
    for bad in [
        {"principal": "nobody@nowhere", "add": ["SELECT"]},
        {"principal": api.user_name(), "add": ["USE_CATALOG"]},
        {"principal": api.user_name(), "add": ["FLY"]},
    ]:
        api.refused(400, "PATCH", path, {"changes": [good, bad]})
    assert api.ok("GET", path)["privilege_assignments"] == []
    api.refused(400, "GET", f"{UNITY}/permissions/volume/{source}")


def test_a_synced_table_needs_select_on_its_source_at_each_run(
    api: Api, catalog: str, source: str, instance: dict
) -> None:
    with somebody(api, instance["name"]) as person:
        name = f"{catalog}.{unique('t')}.users"
        body = body_of(name, instance["name"], source, ["id"])
        hidden = person.refused(404, "POST", SYNCED_TABLES, body).message
        nowhere = body_of(name, instance["name"], f"{catalog}.{catalog}.nobody", ["id"])
        absent = person.refused(404, "POST", SYNCED_TABLES, nowhere).message
        assert hidden.replace(".users", ".nobody") == absent
        grant(api, "table", source, person.name, "SELECT")
        assert "USE_CATALOG" in person.refused(403, "POST", SYNCED_TABLES, body).message
        grant(api, "catalog", catalog, person.name, "USE_CATALOG", "USE_SCHEMA")
        person.ok("POST", SYNCED_TABLES, body)
        synced = SyncedTable(api, name)
        synced.wait_online()

        grant(api, "table", source, person.name, remove=["SELECT"])
        assert synced.refresh()["state"] == "FAILED"
        assert "not found" in synced.status()["message"]
        grant(api, "table", source, person.name, "SELECT")
        assert synced.refresh()["state"] == "COMPLETED"
        synced.delete()


@pytest.fixture
def shop(api: Api, own_instance: dict) -> Iterator[tuple[str, Login]]:
    """A catalog that shows a database with a table, and a login to it as its owner."""
    name = unique("cat")
    body = {"name": name, "database_instance_name": own_instance["name"]}
    api.ok("POST", CATALOGS, body | {"database_name": "databricks_postgres"})
    login = Login.to(api, own_instance)
    with login.connect() as connection:
        connection.execute("create schema shop; create table shop.orders as select 1 as id")
    yield name, login
    api.ok("DELETE", f"{CATALOGS}/{name}")


def test_a_right_on_a_database_is_a_grant_and_the_other_way_round(
    api: Api, workspace: WorkspaceClient, own_instance: dict, shop: tuple[str, Login]
) -> None:
    catalog, owner = shop
    table = f"{catalog}.shop.orders"
    with somebody(api, own_instance["name"]) as person:
        login = login_of(person, own_instance)
        changes = [PermissionsChange(principal=person.name, add=[Privilege.USE_SCHEMA])]
        workspace.grants.update("schema", f"{catalog}.shop", changes=changes)
        person.refused(404, "GET", f"{UNITY}/tables/{table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.value("select id from shop.orders")
        changes = [PermissionsChange(principal=person.name, add=[Privilege.SELECT])]
        workspace.grants.update("table", table, changes=changes)
        assert login.value("select id from shop.orders") == 1
        assert person.ok("GET", f"{UNITY}/tables/{table}")["name"] == "orders"
        changes = [PermissionsChange(principal=person.name, remove=[Privilege.SELECT])]
        workspace.grants.update("table", table, changes=changes)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.value("select id from shop.orders")
        person.refused(404, "GET", f"{UNITY}/tables/{table}")

        with owner.connect() as connection:
            role = f'"{person.name}"'
            connection.execute(f"grant select, insert, update, delete on shop.orders to {role}")
        found = workspace.grants.get("table", table).privilege_assignments
        assert [(a.principal, [p.value for p in a.privileges]) for a in found] == [
            (person.name, ["SELECT", "MODIFY"])
        ]


def test_who_registers_a_database_gets_no_rights_on_what_is_in_it(
    api: Api, own_instance: dict
) -> None:
    with Login.to(api, own_instance).connect() as connection:
        connection.execute("create schema shop; create table shop.orders as select 1 as id")
    name = own_instance["name"]
    with somebody(api, name) as person:
        catalog = unique("cat")
        body = {"name": catalog, "database_instance_name": name}
        person.ok("POST", CATALOGS, body | {"database_name": "databricks_postgres"})
        assert person.ok("GET", f"{UNITY}/schemas", catalog_name=catalog)["schemas"] == []
        person.refused(404, "GET", f"{UNITY}/tables/{catalog}.shop.orders")
        changes = {"changes": [{"principal": person.name, "add": ["SELECT"]}]}
        path = f"{UNITY}/permissions/catalog/{catalog}"
        assert "MANAGE" in person.refused(403, "PATCH", path, changes).message
        # Who owns a schema may not give away what others keep in it, but a table of its own.
        api.ok("POST", f"/api/2.0/database/instances/{name}/roles", {"name": person.name})
        with Login.to(api, own_instance).connect() as connection:
            role = f'"{person.name}"'
            connection.execute(f"grant create on database databricks_postgres to {role}")
        login = login_of(person, own_instance)
        with login.connect() as connection:
            connection.execute("create schema own; create table own.mine (id int)")
        person.refused(403, "PATCH", f"{UNITY}/permissions/schema/{catalog}.own", changes)
        granted = grant(person, "table", f"{catalog}.own.mine", "account users", "SELECT")
        assert granted["privilege_assignments"] == [
            {"principal": "account users", "privileges": ["SELECT"]}
        ]


def test_rights_on_a_schema_reach_tables_to_come(
    api: Api, own_instance: dict, shop: tuple[str, Login]
) -> None:
    catalog, owner = shop
    with somebody(api, own_instance["name"]) as person:
        grant(api, "schema", f"{catalog}.shop", person.name, "USE_SCHEMA", "SELECT")
        with owner.connect() as connection:
            connection.execute("create table shop.later as select 2 as id")
        login = login_of(person, own_instance)
        assert login.value("select id from shop.later") == 2
        listing = {"catalog_name": catalog, "schema_name": "shop"}
        tables = person.ok("GET", f"{UNITY}/tables", **listing)["tables"]
        assert [table["name"] for table in tables] == ["later", "orders"]
        grant(api, "schema", f"{catalog}.shop", person.name, remove=["SELECT"])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.value("select id from shop.later")
        path = f"{UNITY}/permissions/schema/{catalog}.shop"
        assert api.ok("GET", path)["privilege_assignments"] == [
            {"principal": person.name, "privileges": ["USE_SCHEMA"]}
        ]
        change = {"principal": person.name, "add": ["BROWSE"]}
        assert "counterpart" in api.refused(400, "PATCH", path, {"changes": [change]}).message
