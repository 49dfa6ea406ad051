"""Nothing that an owner says leads to a superuser, to the machine or into our own sessions."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from kit.api import CATALOGS, INSTANCES, Api
from kit.login import Login
from kit.names import unique

REFUSED = (
    errors.InsufficientPrivilege,
    # Switched off, fixed at the start, named like the system's own, or not there at all.
    errors.FeatureNotSupported,
    errors.CantChangeRuntimeParam,
    errors.ReservedName,
    errors.UndefinedFile,
)


@pytest.fixture(scope="module", params=["15", "16", "17", "18"])
def place(request: pytest.FixtureRequest, api: Api) -> Iterator[dict[str, Any]]:
    versions = api.ok("GET", "/api/2.0/lakeport/postgres-versions")["versions"]
    if request.param not in [str(version["major"]) for version in versions]:
        pytest.skip(f"PostgreSQL {request.param} is not here")
    name = unique("escape")
    api.create_instance(name, pg_version=request.param)
    yield api.wait_for_state(name, "AVAILABLE")
    api.delete_instance(name)


@pytest.fixture
def owner(api: Api, place: dict[str, Any]) -> Iterator[psycopg.Connection[Any]]:
    with Login.to(api, place).connect() as connection:
        yield connection


ATTEMPTS = [
    # Programs and files of the machine.
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "CREATE TEMP TABLE p (l text); COPY p FROM PROGRAM 'id'",
    "CREATE TEMP TABLE p (l text); COPY p FROM '/etc/passwd'",
    "COPY (SELECT 1) TO '/tmp/lakeport-escaped'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_file('postmaster.pid')",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT pg_ls_dir('/')",
    "SELECT pg_stat_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/lakeport-escaped')",
    "LOAD '$libdir/../evil'",
    "CREATE TABLESPACE t LOCATION '/tmp'",
    # Languages and extensions that reach out of the database.
    "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc.so.6', 'system'",
    "CREATE FUNCTION f(internal) RETURNS internal LANGUAGE internal AS 'fmgr_sql_validator'",
    "CREATE EXTENSION plpython3u",
    "CREATE EXTENSION plperlu",
    "CREATE LANGUAGE plpython3u",
    "CREATE EXTENSION adminpack",
    "CREATE EXTENSION file_fdw",
    "CREATE FOREIGN DATA WRAPPER w",
    "CREATE EXTENSION pageinspect",
    "CREATE SUBSCRIPTION s CONNECTION 'host=/tmp' PUBLICATION p",
    # The server's own settings.
    "ALTER SYSTEM SET shared_preload_libraries = 'evil'",
    "ALTER SYSTEM RESET ALL",
    "SET session_preload_libraries = 'evil'",
    "SET dynamic_library_path = '/tmp'",
    "SET log_directory = '/tmp'",
    "SELECT set_config('session_replication_role', 'replica', false)",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_create_physical_replication_slot('s')",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT rolpassword FROM pg_authid WHERE false; ALTER ROLE lakeport_admin PASSWORD 'x'",
    # Roles that are not one's own.
    "SET ROLE lakeport_admin",
    "SET ROLE lb_writer",
    "SET SESSION AUTHORIZATION lakeport_admin",
    "RESET SESSION AUTHORIZATION; SET ROLE lakeport_admin",
    "RESET ROLE; ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER REPLICATION",
    "GRANT lakeport_admin TO CURRENT_USER",
    "GRANT lb_writer TO CURRENT_USER",
    "GRANT pg_execute_server_program TO CURRENT_USER",
    "GRANT pg_read_server_files TO CURRENT_USER",
    "GRANT pg_write_server_files TO CURRENT_USER",
    "CREATE ROLE x SUPERUSER",
    "CREATE ROLE x REPLICATION",
    "CREATE ROLE x IN ROLE pg_execute_server_program",
    "CREATE ROLE pg_x",
    "ALTER ROLE lakeport_admin RENAME TO x",
    "ALTER ROLE lb_writer PASSWORD 'x'",
    "ALTER ROLE lb_writer SET search_path = evil",
    "ALTER ROLE databricks_superuser RENAME TO x",
    "DROP ROLE lb_writer",
    "REASSIGN OWNED BY lakeport_admin TO CURRENT_USER",
    "DROP OWNED BY lakeport_admin",
    # The catalogs, and what runs for everybody.
    "UPDATE pg_catalog.pg_authid SET rolsuper = true",
    "INSERT INTO pg_catalog.pg_auth_members DEFAULT VALUES",
    "SET allow_system_table_mods = on",
    "CREATE FUNCTION pg_catalog.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION t() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
    " CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION t()",
    "CREATE FUNCTION d() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
    " ALTER FUNCTION d() OWNER TO lakeport_admin",
]


@pytest.mark.parametrize("statement", ATTEMPTS)
def test_refused(owner: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(REFUSED):
        owner.execute(statement)


@pytest.mark.parametrize("database", ["lakeport", "template1", "template0"])
def test_databases_of_the_system(api: Api, place: dict[str, Any], database: str) -> None:
    """`template1` lets in whoever asks, and takes nothing."""
    login = Login.to(api, place)
    try:
        session = login.connect(dbname=database)
    except psycopg.OperationalError:
        return
    with session, pytest.raises(errors.InsufficientPrivilege):
        session.execute("CREATE TABLE public.planted (n int)")


SETTINGS = [
    "search_path = evil, pg_catalog",
    "role = 'databricks_superuser'",
    "default_transaction_read_only = on",
    "statement_timeout = 1",
    "check_function_bodies = off",
    "default_tablespace = 'nowhere'",
]


def test_our_own_sessions_are_not_steered(
    api: Api, place: dict[str, Any], owner: psycopg.Connection[Any]
) -> None:
    """A trap before every name that we use, and settings that would lead us there."""
    owner.execute("CREATE SCHEMA evil")
    owner.execute("CREATE TABLE evil.caught (who text)")
    owner.execute("GRANT USAGE ON SCHEMA evil TO PUBLIC; GRANT ALL ON evil.caught TO PUBLIC")
    for signature in [
        "quote_ident(text) RETURNS text",
        "format(text, VARIADIC anyarray) RETURNS text",
        "starts_with(text, text) RETURNS boolean",
        "shobj_description(oid, name) RETURNS text",
        "pg_get_userbyid(oid) RETURNS name",
        "upper(text) RETURNS text",
        "current_database() RETURNS name",
        "unnest(text[]) RETURNS SETOF text",
        "count(text) RETURNS bigint",
    ]:
        owner.execute(
            f"CREATE FUNCTION evil.{signature} LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO evil.caught VALUES (current_user); RETURN NULL; END $$"
            if "SETOF" not in signature
            else f"CREATE FUNCTION evil.{signature} LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO evil.caught VALUES (current_user); END $$"
        )
    for relation in ("pg_roles", "pg_class", "pg_namespace", "pg_tables", "pg_database"):
        owner.execute(f"CREATE VIEW evil.{relation} AS SELECT * FROM pg_catalog.{relation}")
    for setting in SETTINGS:
        owner.execute(f"ALTER DATABASE databricks_postgres SET {setting}")
        owner.execute(f"ALTER DATABASE postgres SET {setting}")
    name, catalog = place["name"], unique("steered")
    try:
        api.ok("GET", f"{INSTANCES}/{name}/roles")
        body = {
            "name": catalog,
            "database_instance_name": name,
            "database_name": "databricks_postgres",
        }
        api.ok("POST", CATALOGS, body)
        owner.execute("RESET search_path; CREATE TABLE IF NOT EXISTS public.plain (n int)")
        resources = [{"table_name": f"{catalog}.public.plain"}]
        claims = [{"permission_set": "READ_ONLY", "resources": resources}]
        api.ok("POST", "/api/2.0/database/credentials", {"claims": claims})
        api.ok("DELETE", f"{CATALOGS}/{catalog}")
    finally:
        for database in ("databricks_postgres", "postgres"):
            owner.execute(f"ALTER DATABASE {database} RESET ALL")
    caught = owner.execute("SELECT DISTINCT who FROM evil.caught").fetchall()
    assert ("lakeport_admin",) not in caught and ("lb_writer",) not in caught
    owner.execute("DROP SCHEMA evil CASCADE")
