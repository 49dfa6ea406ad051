"""READ_ONLY credentials: sessions that read the named tables, and nothing else of their owner's."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service import database as db
from psycopg import errors

from kit.api import CATALOGS, CREDENTIALS, INSTANCES, Api
from kit.bare_postgres import bare_postgres
from kit.login import Login
from kit.names import unique
from kit.people import add_role, grant, person
from kit.server import Server
from kit.tokens import parts
from kit.waiting import eventually


@dataclass
class Shop:
    instance: dict[str, Any]
    catalog: str

    def claims(self, *tables: str) -> list[dict[str, Any]]:
        resources = [{"table_name": f"{self.catalog}.public.{table}"} for table in tables]
        return [{"permission_set": "READ_ONLY", "resources": resources}]


@pytest.fixture(scope="module", params=["15", "18"])
def shop(request: pytest.FixtureRequest, api: Api) -> Iterator[Shop]:
    versions = api.ok("GET", "/api/2.0/lakeport/postgres-versions")["versions"]
    if request.param not in [str(version["major"]) for version in versions]:
        pytest.skip(f"PostgreSQL {request.param} is not here")
    name = unique("limited")
    shop = opened(api, name, pg_version=request.param)
    yield shop
    api.ok("DELETE", f"{CATALOGS}/{shop.catalog}")
    api.delete_instance(name)


def opened(api: Api, name: str, **spec: str) -> Shop:
    api.create_instance(name, **spec)
    instance = api.wait_for_state(name, "AVAILABLE")
    body = {
        "name": unique("cat"),
        "database_instance_name": name,
        "database_name": "databricks_postgres",
    }
    catalog = api.ok("POST", CATALOGS, body)["name"]
    with Login.to(api, instance).connect() as owner:
        owner.execute("CREATE TABLE orders AS SELECT 7 AS n")
        owner.execute("CREATE TABLE secrets AS SELECT 8 AS n")
        owner.execute("CREATE TABLE notices AS SELECT 9 AS n")
        owner.execute("GRANT SELECT ON notices TO PUBLIC")
    return Shop(instance, catalog)


def login_by(api: Api, shop: Shop, *tables: str) -> Login:
    token = api.ok("POST", CREDENTIALS, {"claims": shop.claims(*tables)})["token"]
    return Login(shop.instance["read_write_dns"], api.user_name(), token)


def test_it_reads_its_tables_and_what_everybody_may(api: Api, shop: Shop) -> None:
    with login_by(api, shop, "orders").connect() as session:
        assert session.execute("SELECT n FROM orders").fetchone() == (7,)
        assert session.execute("SELECT n FROM notices").fetchone() == (9,)
        for statement in [
            "SELECT * FROM secrets",
            "INSERT INTO orders VALUES (1)",
            "UPDATE orders SET n = 1",
            "TRUNCATE orders",
            "CREATE INDEX ON orders (n)",
            "DROP TABLE orders",
            "GRANT SELECT ON orders TO PUBLIC",
            "CREATE TABLE mine (n int)",
            "CREATE SCHEMA mine",
            "CREATE DATABASE mine",
            "CREATE ROLE mine",
            f'SET ROLE "{api.user_name()}"',
            f'SET SESSION AUTHORIZATION "{api.user_name()}"',
            "SET ROLE databricks_superuser",
            "RESET SESSION AUTHORIZATION; SELECT * FROM secrets",
            "RESET ROLE; SELECT * FROM secrets",
        ]:
            with pytest.raises((errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)):
                session.execute(statement)
        # Being read-only is not what holds it.
        session.execute("SET default_transaction_read_only = off")
        for statement in ["INSERT INTO orders VALUES (1)", "SELECT * FROM secrets"]:
            with pytest.raises(errors.InsufficientPrivilege):
                session.execute(statement)


def test_asking_again_uses_the_same_role_and_adds_nothing(api: Api, shop: Shop) -> None:
    who = "SELECT current_user::text"
    one, again = (login_by(api, shop, "orders", "secrets").value(who) for _ in range(2))
    assert one == again
    assert login_by(api, shop, "orders").value(who) != one
    roles = api.ok("GET", f"{INSTANCES}/{shop.instance['name']}/roles")["database_instance_roles"]
    assert [role["name"] for role in roles] == [api.user_name()], "they are the system's own"


def test_its_role_goes_after_its_last_token_and_session() -> None:
    roles = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'lb\\_reader\\_%'"
    with bare_postgres() as metadata, ExitStack() as stack:
        server = Server("--metadata-url", metadata)
        stack.callback(server.close)
        server.start()
        api = Api(server.http, server.token)
        shop = opened(api, unique("limited"))
        owner = Login.to(api, shop.instance)
        with login_by(api, shop, "orders").connect() as session:
            assert session.execute("SELECT n FROM orders").fetchone() == (7,)
            expire_readers(metadata)
            # Other reconcilers come to their turn after this one.
            api.create_instance("later")
            api.wait_for_state("later", "AVAILABLE")
            assert owner.value(roles) == 1, "it is in use"
        eventually(lambda: owner.value(roles) == 0, "the role is gone")
        with psycopg.connect(metadata) as connection:
            assert connection.execute("SELECT count(*) FROM lakeport.reader_roles").fetchone() == (0,)
        assert login_by(api, shop, "orders").value("SELECT n FROM orders") == 7, "made again"


def expire_readers(metadata: str) -> None:
    with psycopg.connect(metadata) as connection:
        connection.execute("UPDATE lakeport.reader_roles SET expires_at = now() - interval '1 hour'")


def test_through_the_sdk(api: Api, shop: Shop, workspace: WorkspaceClient) -> None:
    table = db.RequestedResource(table_name=f"{shop.catalog}.public.orders")
    claims = db.RequestedClaims(
        permission_set=db.RequestedClaimsPermissionSet.READ_ONLY, resources=[table]
    )
    made = workspace.database.generate_database_credential(
        instance_names=[shop.instance["name"]], claims=[claims]
    )
    login = Login(shop.instance["read_write_dns"], api.user_name(), made.token)
    assert login.value("SELECT n FROM orders") == 7


def test_nobody_gets_what_is_not_their_own(api: Api, shop: Shop) -> None:
    """With CAN_USE and a role, but no right on the table."""
    with person(api) as someone:
        someone.api.refused(404, "POST", CREDENTIALS, {"claims": shop.claims("orders")})
        grant(api, shop.instance, user_name=someone.name)
        someone.api.refused(404, "POST", CREDENTIALS, {"claims": shop.claims("orders")})
        add_role(api, shop.instance, someone.name)
        someone.api.refused(404, "POST", CREDENTIALS, {"claims": shop.claims("orders")})
        assert login_by(someone.api, shop, "notices").value("SELECT n FROM notices") == 9
        with Login.to(api, shop.instance).connect() as owner:
            owner.execute(f'GRANT SELECT ON orders TO "{someone.name}"')
        login = login_by(someone.api, shop, "orders")
        assert login.value("SELECT n FROM orders") == 7
        api.ok("DELETE", f"{INSTANCES}/{shop.instance['name']}/roles/{someone.name}")


def test_bad_claims_are_named_and_make_no_role(api: Api, shop: Shop) -> None:
    table = f"{shop.catalog}.public.orders"
    count = "SELECT count(*) FROM pg_roles"
    owner = Login.to(api, shop.instance)
    before = owner.value(count)
    for status, permission_set, names, named in [
        (404, "READ_ONLY", [f"{shop.catalog}.public.nothing"], "nothing"),
        (404, "READ_ONLY", ["no.such.t"], "no.such.t"),
        (404, "READ_ONLY", [f'{table}"; --'], "not found"),
        (400, "READ_ONLY", ["orders"], "table_name"),
        (400, "READ_ONLY", [], "claims"),
        (400, "READ_ONLY", [None], "resources"),
        (400, "WRITE", [table], "permission_set"),
        (400, None, [table], "permission_set"),
    ]:
        resources = [{"table_name": name} if name else {} for name in names]
        claims = [{"permission_set": permission_set, "resources": resources}]
        refusal = api.refused(status, "POST", CREDENTIALS, {"claims": claims})
        assert named in refusal.message, refusal
    assert owner.value(count) == before


def test_a_token_names_its_role(api: Api, shop: Shop) -> None:
    token = api.ok("POST", CREDENTIALS, {"claims": shop.claims("orders")})["token"]
    claims = parts(token)[1]
    assert claims["role"].startswith("lb_reader_") and claims["sub"] == api.user_name()
    assert claims["instances"] == [shop.instance["uid"]]
    with pytest.raises(psycopg.OperationalError):
        Login(shop.instance["read_write_dns"], claims["role"], token).connect()
