"""Passwords that PostgreSQL keeps: who may log in with one, where, and what a stranger learns."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import asyncpg
import psycopg
import pytest
import sqlalchemy
from databricks.sdk import WorkspaceClient
from databricks.sdk.service import database as db

from kit.api import INSTANCES, Api
from kit.identities import principal
from kit.login import Login
from kit.names import unique
from kit.server import Server
from kit.waiting import eventually

OWNER = "admin@lakeport.local"
PASSWORD = "correct horse/battery:staple@1"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    server = Server("--sessions-on-revoke", "terminate")
    try:
        server.start()
        yield Api(server.http, server.token)
    finally:
        server.close()


@pytest.fixture(scope="module")
def instance(api: Api) -> dict:
    name = unique("native")
    api.create_instance(name, enable_pg_native_login=True)
    return api.wait_for_state(name, "AVAILABLE")


@pytest.fixture(scope="module")
def owner(api: Api, instance: dict) -> Login:
    return Login.to(api, instance)


@pytest.fixture(scope="module")
def role(api: Api, instance: dict, owner: Login) -> Login:
    """A PG_ONLY role made by API, whose password the owner has set in SQL."""
    client = WorkspaceClient(host=api.url, token=api.token)
    name = unique("app")
    pg_only = db.DatabaseInstanceRoleIdentityType.PG_ONLY
    client.database.create_database_instance_role(
        instance["name"], db.DatabaseInstanceRole(name=name, identity_type=pg_only)
    )
    with owner.connect() as connection:
        connection.execute(f"ALTER ROLE {name} PASSWORD '{PASSWORD}'")
    return replace(owner, user=name, password=PASSWORD)


def refusal(login: Login) -> str:
    with pytest.raises(psycopg.OperationalError) as refused:
        login.connect()
    return str(refused.value).replace(login.user, "USER").partition(": FATAL: ")[2]


def test_the_field_is_echoed_and_in_force(instance: dict) -> None:
    assert instance["effective_enable_pg_native_login"] is True
    assert instance["enable_pg_native_login"] is True


def test_a_pg_only_role_logs_in_with_its_password(role: Login, owner: Login) -> None:
    assert role.value("SELECT session_user") == role.user
    assert owner.value("SELECT current_user") == OWNER


def test_a_static_url_works(role: Login) -> None:
    url = sqlalchemy.URL.create(
        "postgresql+psycopg", role.user, role.password, role.host, database=role.dbname
    )
    text = url.render_as_string(hide_password=False)
    engine = sqlalchemy.create_engine(text, connect_args={"sslmode": "require"})
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT current_user")) == role.user
    engine.dispose()


def test_a_role_of_plain_sql_logs_in(owner: Login) -> None:
    name = unique("sql")
    with owner.connect() as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'short'")
        login = replace(owner, user=name, password="short")
        assert login.value("SELECT current_user") == name
        connection.execute(f"ALTER ROLE {name} NOLOGIN")
        refusal(login)
        connection.execute(f"ALTER ROLE {name} LOGIN VALID UNTIL '2000-01-01'")
        refusal(login)
        connection.execute(f"ALTER ROLE {name} VALID UNTIL 'infinity'")
        assert login.value("SELECT 1") == 1
        connection.execute(f"DROP ROLE {name}")
        refusal(login)


def test_only_scram_verifiers_count(owner: Login) -> None:
    name = unique("md5")
    with owner.connect() as connection:
        connection.execute("SET password_encryption = 'md5'")
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'short'")
        refusal(replace(owner, user=name, password="short"))
        connection.execute("SET password_encryption = 'scram-sha-256'")
        connection.execute(f"ALTER ROLE {name} PASSWORD 'short'")
        assert replace(owner, user=name, password="short").value("SELECT 1") == 1
        connection.execute(f"DROP ROLE {name}")


def test_identities_have_no_password_but_their_token(api: Api, owner: Login) -> None:
    bob, group = f"{unique('bob')}@x.y", unique("team")
    with (
        principal(api, "Users", userName=bob),
        principal(api, "Groups", displayName=group),
        owner.connect() as connection,
    ):
        for name in (bob, group):
            connection.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'short'")
            refusal(replace(owner, user=name, password="short"))
        connection.execute(f"ALTER ROLE CURRENT_USER PASSWORD '{PASSWORD}'")
        refusal(replace(owner, password=PASSWORD))
    # Whom it was made for is gone, and the role is still not anybody's.
    refusal(replace(owner, user=bob, password="short"))


def test_a_stranger_learns_nothing(api: Api, role: Login, owner: Login, instance: dict) -> None:
    """Wrong password, no such role, a role of the system, an instance without native logins."""
    other = unique("tokens")
    api.create_instance(other)
    closed = api.wait_for_state(other, "AVAILABLE")["read_write_dns"]
    wrong = [
        replace(role, password="wrong"),
        replace(role, password=""" """),
        replace(role, user="nobody"),
        replace(role, user="lakeport_admin"),
        replace(role, user="databricks_superuser"),
        replace(role, host=closed),
        replace(role, password=owner.password[:-3] + "AAA"),
    ]
    assert len({refusal(login) for login in wrong}) == 1
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(wrong[0].connect_asyncpg())


def test_a_password_is_good_for_its_instance_alone(api: Api, role: Login) -> None:
    other = unique("second")
    api.create_instance(other, enable_pg_native_login=True)
    elsewhere = api.wait_for_state(other, "AVAILABLE")
    refusal(replace(role, host=elsewhere["read_write_dns"]))
    login = Login.to(api, elsewhere)
    with login.connect() as connection:
        connection.execute(f"CREATE ROLE {role.user} LOGIN PASSWORD 'another'")
    refusal(replace(role, host=elsewhere["read_write_dns"]))


def test_turned_off_it_ends_what_it_has_opened(api: Api, role: Login, instance: dict) -> None:
    path = f"{INSTANCES}/{instance['name']}"
    with role.connect() as connection:
        seen = api.ok("PATCH", path, {}, update_mask="enable_pg_native_login")
        assert seen["effective_enable_pg_native_login"] is False
        refusal(role)

        def ended() -> bool:
            try:
                connection.execute("SELECT 1")
            except psycopg.OperationalError:
                return True
            return False

        assert eventually(ended, "its session is ended")
    api.ok("PATCH", path, {"enable_pg_native_login": True}, update_mask="enable_pg_native_login")
    assert role.value("SELECT 1") == 1
