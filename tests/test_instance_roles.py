"""PostgreSQL roles of an instance: made and dropped by API and in SQL, each seen by the other."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import psycopg
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound, ResourceAlreadyExists
from databricks.sdk.service import database as db
from psycopg import errors, sql

from kit.api import INSTANCES, Api
from kit.login import Login
from kit.names import unique
from kit.server import Server

OWNER = "admin@lakeport.local"
SECOND = "second@lakeport.local"


@dataclass
class Two:
    """A server with two users, and who each of them is."""

    server: Server
    first: Api
    second: Api


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    """Each start with another `--admin-user` adds one."""
    running = Server("--admin-user", SECOND)
    try:
        second = running.start().token
        running.stop()
        running.flags = ()
        running.start()
        yield Two(running, Api(running.http, running.token), Api(running.http, second))
    finally:
        running.close()


@pytest.fixture(scope="module", params=["15", "16", "17", "18"])
def place(request: pytest.FixtureRequest, two: Two) -> dict:
    """An instance of each version that there is."""
    versions = two.first.ok("GET", "/api/2.0/lakeport/postgres-versions")["versions"]
    if request.param not in [str(version["major"]) for version in versions]:
        pytest.skip(f"PostgreSQL {request.param} is not here")
    name = unique("roles")
    two.first.create_instance(name, pg_version=request.param)
    return two.first.wait_for_state(name, "AVAILABLE")


@pytest.fixture
def roles(place: dict) -> str:
    return f"{INSTANCES}/{place['name']}/roles"


@pytest.fixture
def owner(two: Two, place: dict) -> Iterator[psycopg.Connection]:
    with Login.to(two.first, place).connect() as connection:
        yield connection


@pytest.fixture(autouse=True)
def no_second_role(two: Two, roles: str, place: dict) -> Iterator[None]:
    yield
    two.first.ok("DELETE", f"{roles}/{SECOND}", allow_missing="true", reassign_owned_to=OWNER)


def major(place: dict) -> int:
    return int(place["pg_version"].removeprefix("PG_VERSION_"))


def role_names(connection: psycopg.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT rolname FROM pg_roles").fetchall()}


def test_a_role_made_by_api_is_there_in_sql_and_logs_in(
    two: Two, place: dict, roles: str, owner: psycopg.Connection
) -> None:
    body = {"name": SECOND, "identity_type": "USER", "attributes": {"createdb": True}}
    made = two.first.ok("POST", roles, body)
    expected = {
        "name": SECOND,
        "identity_type": "USER",
        "attributes": {"createdb": True, "createrole": False, "bypassrls": False},
        "effective_attributes": {"createdb": True, "createrole": False, "bypassrls": False},
        "instance_name": place["name"],
    }
    assert made == expected
    assert two.first.ok("GET", f"{roles}/{SECOND}") == expected
    assert SECOND in role_names(owner)
    whoami = "SELECT current_user || ' ' || rolsuper FROM pg_roles WHERE rolname = current_user"
    assert Login.to(two.second, place).value(whoami) == f"{SECOND} false"


def test_membership_of_databricks_superuser(two: Two, place: dict, roles: str) -> None:
    body = {"name": SECOND, "membership_role": "DATABRICKS_SUPERUSER"}
    made = two.first.ok("POST", roles, body)
    assert made["membership_role"] == "DATABRICKS_SUPERUSER"
    assert made["identity_type"] == "USER"
    member = "SELECT pg_has_role('databricks_superuser', 'USAGE')"
    assert Login.to(two.second, place).value(member) is True


def test_createrole_where_it_is_safe(two: Two, place: dict, roles: str) -> None:
    body = {"name": SECOND, "identity_type": "USER", "attributes": {"createrole": True}}
    if major(place) < 16:
        refusal = two.first.refused(400, "POST", roles, body)
        assert "attributes.createrole" in refusal.message
        two.first.refused(404, "GET", f"{roles}/{SECOND}")
        return
    assert two.first.ok("POST", roles, body)["effective_attributes"]["createrole"] is True
    with Login.to(two.second, place).connect() as connection:
        for statement in TAKEOVERS:
            with pytest.raises(REFUSED):
                connection.execute(statement)


# ALTER SYSTEM is a feature that is switched off where PostgreSQL has the switch.
REFUSED = (errors.InsufficientPrivilege, errors.FeatureNotSupported)
# What a role with CREATEROLE must not reach.
TAKEOVERS = [
    "GRANT databricks_superuser TO CURRENT_USER",
    "GRANT lb_writer TO CURRENT_USER",
    "GRANT lakeport_admin TO CURRENT_USER",
    "GRANT pg_execute_server_program TO CURRENT_USER",
    f'GRANT "{OWNER}" TO CURRENT_USER',
    f'ALTER ROLE "{OWNER}" NOLOGIN',
    f'ALTER ROLE "{OWNER}" RENAME TO gone',
    f'DROP ROLE "{OWNER}"',
    "DROP ROLE lb_writer",
    "DROP ROLE databricks_superuser",
    "ALTER ROLE lb_writer PASSWORD 'mine'",
    "ALTER ROLE lakeport_admin SET search_path = evil",
    "CREATE ROLE boss SUPERUSER",
    "CREATE ROLE boss REPLICATION",
    "CREATE ROLE boss BYPASSRLS",
    "CREATE ROLE boss IN ROLE databricks_superuser",
    "COMMENT ON ROLE lakeport_admin IS 'databricks_auth: USER'",
    "SET ROLE lb_writer",
    "SET ROLE lakeport_admin",
    "SET SESSION AUTHORIZATION lakeport_admin",
    "ALTER SYSTEM SET work_mem = '64MB'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('../identities.json')",
    "SELECT pg_ls_dir('.')",
    "CREATE TEMP TABLE f (l text); COPY f FROM '/etc/hostname'",
]


def test_lists_page_and_show_no_system_roles(two: Two, place: dict, roles: str) -> None:
    two.first.ok("POST", roles, {"name": SECOND, "identity_type": "USER"})
    client = WorkspaceClient(host=two.server.http, token=two.first.token)
    listed = list(client.database.list_database_instance_roles(place["name"], page_size=1))
    names = [role.name for role in listed]
    assert names == sorted(names) and {OWNER, SECOND} <= set(names)
    assert not [n for n in names if n.startswith(("lakeport_", "lb_", "pg_", "databricks_"))]
    boss = next(role for role in listed if role.name == OWNER)
    assert boss.membership_role == db.DatabaseInstanceRoleMembershipRole.DATABRICKS_SUPERUSER
    assert two.first.refused(400, "GET", roles, page_token="made-up")


def test_through_the_sdk(two: Two, place: dict) -> None:
    client = WorkspaceClient(host=two.server.http, token=two.first.token).database
    role = db.DatabaseInstanceRole(
        name=SECOND,
        identity_type=db.DatabaseInstanceRoleIdentityType.USER,
        attributes=db.DatabaseInstanceRoleAttributes(createdb=True),
    )
    name = place["name"]
    made = client.create_database_instance_role(name, role)
    assert client.get_database_instance_role(name, SECOND) == made
    with pytest.raises(ResourceAlreadyExists, match="already exists"):
        client.create_database_instance_role(name, role)
    client.delete_database_instance_role(name, SECOND)
    with pytest.raises(NotFound, match="not found"):
        client.get_database_instance_role(name, SECOND)
    with pytest.raises(NotFound):
        client.delete_database_instance_role(name, SECOND)
    client.delete_database_instance_role(name, SECOND, allow_missing=True)
    pg_only = db.DatabaseInstanceRole(
        name=unique("app"), identity_type=db.DatabaseInstanceRoleIdentityType.PG_ONLY
    )
    made = client.create_database_instance_role(name, pg_only)
    assert made.identity_type == db.DatabaseInstanceRoleIdentityType.PG_ONLY
    client.delete_database_instance_role(name, pg_only.name)


BAD = [
    ({"name": "nobody@x.y", "identity_type": "USER"}, "nobody@x.y"),
    ({"name": SECOND, "identity_type": "GROUP"}, "identity_type"),
    ({"name": SECOND, "identity_type": "SERVICE_PRINCIPAL"}, "identity_type"),
    ({"name": SECOND, "identity_type": "ROBOT"}, "identity_type"),
    ({"name": SECOND, "identity_type": "PG_ONLY"}, "identity_type"),
    ({"name": "somebody@x.y", "identity_type": "PG_ONLY"}, "name"),
    ({"name": SECOND, "membership_role": "SUPERUSER"}, "membership_role"),
    ({"name": SECOND, "attributes": {"superuser": True}}, "superuser"),
    ({"name": "pg_monitor", "identity_type": "USER"}, "name"),
    ({"name": "databricks_superuser", "identity_type": "USER"}, "name"),
    ({"name": "lakeport_admin", "identity_type": "USER"}, "name"),
    ({"name": "public", "identity_type": "USER"}, "name"),
    ({"name": 'a"; DROP ROLE x; --', "identity_type": "USER"}, "name"),
    ({"name": "a/b", "identity_type": "USER"}, "name"),
    ({"name": "x" * 64, "identity_type": "USER"}, "63 bytes"),
    ({"name": "", "identity_type": "USER"}, "name"),
    ({}, "name"),
]


@pytest.mark.parametrize(("body", "named"), BAD)
def test_a_bad_role_is_refused_and_nothing_is_made(
    two: Two, roles: str, owner: psycopg.Connection, body: dict, named: str
) -> None:
    before = role_names(owner)
    refusal = two.first.refused(400, "POST", roles, body)
    assert named in refusal.message
    assert role_names(owner) == before


def create_role(connection: psycopg.Connection, identity: object, kind: object) -> None:
    connection.execute("SELECT databricks_create_role(%s, %s)", (identity, kind))


def test_the_function_in_sql(
    two: Two, place: dict, roles: str, owner: psycopg.Connection
) -> None:
    owner.execute("CREATE EXTENSION IF NOT EXISTS databricks_auth")
    owner.execute("CREATE EXTENSION IF NOT EXISTS databricks_auth")
    create_role(owner, SECOND, "USER")
    seen = two.first.ok("GET", f"{roles}/{SECOND}")
    assert seen["identity_type"] == "USER" and "membership_role" not in seen
    assert not any(seen["effective_attributes"].values())
    second = Login.to(two.second, place)
    assert second.value("SELECT current_user::text") == SECOND

    for identity, kind, refused in [
        (SECOND, "USER", errors.DuplicateObject),
        ("nobody@x.y", "USER", errors.InvalidParameterValue),
        (SECOND.upper(), "USER", errors.InvalidParameterValue),
        (OWNER + "x", "GROUP", errors.InvalidParameterValue),
        ("x@y.z", "ROBOT", errors.InvalidParameterValue),
        ("x@y.z", None, errors.InvalidParameterValue),
        (None, "USER", errors.InvalidParameterValue),
        ("lakeport_x", "USER", errors.InvalidParameterValue),
        ("x' SUPERUSER --", "USER", errors.InvalidParameterValue),
    ]:
        with pytest.raises(refused):
            create_role(owner, identity, kind)
    with second.connect() as connection, pytest.raises(errors.InsufficientPrivilege):
        create_role(connection, "someone@x.y", "USER")


def test_a_right_type_is_needed(owner: psycopg.Connection) -> None:
    owner.execute("CREATE EXTENSION IF NOT EXISTS databricks_auth")
    with pytest.raises(errors.InvalidParameterValue):
        create_role(owner, SECOND, "SERVICE_PRINCIPAL")


def test_the_function_cannot_be_taken_over(place: dict, owner: psycopg.Connection) -> None:
    owner.execute("CREATE EXTENSION IF NOT EXISTS databricks_auth")
    refused = (errors.InsufficientPrivilege, errors.WrongObjectType, errors.DuplicateFunction)
    signature = "databricks_create_role(text, text)"
    for statement in [
        f"ALTER FUNCTION {signature} OWNER TO CURRENT_USER",
        f"ALTER FUNCTION {signature} SET search_path = public",
        f"ALTER FUNCTION {signature} RESET search_path",
        "CREATE OR REPLACE FUNCTION databricks_create_role(a text, b text) RETURNS text"
        " LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'",
        f"ALTER EXTENSION databricks_auth DROP FUNCTION {signature}",
    ]:
        with pytest.raises(refused):
            owner.execute(statement)


def test_objects_of_the_caller_do_not_mislead_the_function(
    two: Two, owner: psycopg.Connection
) -> None:
    """Everything that a search path could put before ours, in a schema that the caller owns."""
    schema = unique("evil")
    owner.execute(f"CREATE SCHEMA {schema}")
    owner.execute(f"SET search_path = {schema}, public, pg_catalog")
    for function in ("upper(text) RETURNS text", "pg_read_file(text) RETURNS text"):
        owner.execute(
            f"CREATE FUNCTION {schema}.{function} LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE EXCEPTION 'called as %', current_user; END $$"
        )
    owner.execute("CREATE TEMP VIEW pg_roles AS SELECT 'x'::name AS rolname, true AS rolcreaterole")
    owner.execute("CREATE EXTENSION IF NOT EXISTS databricks_auth SCHEMA public")
    create_role(owner, SECOND, "USER")
    owner.execute(f"DROP SCHEMA {schema} CASCADE")


def test_dropping_gives_what_it_owns_to_another(
    two: Two, place: dict, roles: str, owner: psycopg.Connection
) -> None:
    two.first.ok("POST", roles, {"name": SECOND, "attributes": {"createdb": True}})
    databases = [unique("da"), unique("db")]
    owner.execute(f"CREATE TABLE public.{databases[0]} ()")
    owner.execute(f'GRANT SELECT ON public.{databases[0]} TO "{SECOND}"')
    second = Login.to(two.second, place)
    for database in databases:
        second.connect().execute(f"CREATE DATABASE {database}").connection.close()
        with replace(second, dbname=database).connect() as inside:
            inside.execute("CREATE TABLE public.kept AS SELECT 7 AS n")

    refusal = two.first.refused(400, "DELETE", f"{roles}/{SECOND}")
    assert "reassign_owned_to" in refusal.message and databases[0] in refusal.message
    for heir in ("nobody", SECOND, "lb_writer", "lakeport_admin"):
        refusal = two.first.refused(400, "DELETE", f"{roles}/{SECOND}", reassign_owned_to=heir)
        assert refusal.message.startswith("reassign_owned_to: ")
    assert SECOND in role_names(owner)

    two.first.ok("DELETE", f"{roles}/{SECOND}", reassign_owned_to=OWNER)
    assert SECOND not in role_names(owner)
    for database in databases:
        with replace(Login.to(two.first, place), dbname=database).connect() as inside:
            assert inside.execute("SELECT n, tableowner FROM kept, pg_tables"
                                  " WHERE tablename = 'kept'").fetchone() == (7, OWNER)
        owner.execute(f"DROP DATABASE {database}")


def test_a_dropped_role_cannot_log_in(two: Two, place: dict, roles: str) -> None:
    two.first.ok("POST", roles, {"name": SECOND})
    second = Login.to(two.second, place)
    assert second.value("SELECT 1") == 1
    two.first.ok("DELETE", f"{roles}/{SECOND}")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        second.connect()


def test_the_owner_and_system_roles_cannot_be_deleted(two: Two, roles: str) -> None:
    assert "owner" in two.first.refused(400, "DELETE", f"{roles}/{OWNER}").message
    for name in ("lakeport_admin", "lb_writer", "databricks_superuser", "pg_monitor"):
        two.first.refused(404, "DELETE", f"{roles}/{name}")
        two.first.refused(404, "GET", f"{roles}/{name}")


def test_roles_of_plain_sql_are_seen(
    two: Two, place: dict, roles: str, owner: psycopg.Connection
) -> None:
    name = unique("r")
    if major(place) < 16:
        with pytest.raises(errors.InsufficientPrivilege):
            owner.execute(f"CREATE ROLE {name}")
        return
    owner.execute(sql.SQL("CREATE ROLE {} CREATEDB").format(sql.Identifier(name)))
    seen = two.first.ok("GET", f"{roles}/{name}")
    assert seen["identity_type"] == "PG_ONLY" and seen["effective_attributes"]["createdb"]
    two.first.ok("POST", roles, {"name": SECOND})
    # As one that the owner had made itself.
    owner.execute(f'DROP ROLE {name}, "{SECOND}"')
    for gone in (name, SECOND):
        two.first.refused(404, "GET", f"{roles}/{gone}")
    # A role named as a user is that user's.
    owner.execute(f'CREATE ROLE "{SECOND}" LOGIN')
    assert two.first.ok("GET", f"{roles}/{SECOND}")["identity_type"] == "USER"


def test_an_open_session_ends_with_its_role_if_that_is_the_policy() -> None:
    running = Server("--admin-user", SECOND, "--sessions-on-revoke", "terminate")
    try:
        second = running.start().token
        running.stop()
        running.flags = ("--sessions-on-revoke", "terminate")
        running.start()
        first = Api(running.http, running.token)
        name = unique("revoke")
        first.create_instance(name)
        instance = first.wait_for_state(name, "AVAILABLE")
        first.ok("POST", f"{INSTANCES}/{name}/roles", {"name": SECOND})
        stays = Login.to(first, instance).connect()
        ends = Login.to(Api(running.http, second), instance).connect()
        assert ends.execute("SELECT 1").fetchone() == (1,)
        first.ok("DELETE", f"{INSTANCES}/{name}/roles/{SECOND}")
        with pytest.raises((errors.AdminShutdown, psycopg.OperationalError)):
            ends.execute("SELECT pg_sleep(30)")
        assert stays.execute("SELECT 1").fetchone() == (1,)
        stays.close()
    finally:
        running.close()
