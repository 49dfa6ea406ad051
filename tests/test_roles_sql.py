"""What the creator of an instance may and may not do in SQL, and how its databases are made."""

import psycopg
import pytest

from kit.login import Login
from kit.names import unique


@pytest.fixture
def connection(login: Login):
    with login.connect() as open_connection:
        yield open_connection


def test_server_settings(connection: psycopg.Connection) -> None:
    for setting, value in {
        "server_encoding": "UTF8",
        "data_checksums": "on",
        "server_version_num": "16",
    }.items():
        seen = connection.execute(f"SHOW {setting}").fetchone()[0]
        assert seen.startswith(value), (setting, seen)


def test_databases_and_their_collation(connection: psycopg.Connection) -> None:
    found = dict(
        connection.execute(
            "SELECT datname, datcollate FROM pg_database"
            " WHERE datname IN ('databricks_postgres', 'postgres')"
        ).fetchall()
    )
    assert found == {"databricks_postgres": "C.UTF-8", "postgres": "C.UTF-8"}


def test_the_session_is_the_role_itself(connection: psycopg.Connection) -> None:
    row = connection.execute(
        "SELECT session_user, current_user, rolsuper, rolreplication, rolcreatedb, rolbypassrls,"
        " rolcreaterole, pg_has_role('databricks_superuser', 'USAGE')"
        " FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    user = "admin@lakeport.local"
    assert row == (user, user, False, False, True, True, True, True)


def test_it_owns_its_database(connection: psycopg.Connection) -> None:
    owner = connection.execute(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'databricks_postgres'"
    ).fetchone()
    assert owner == ("admin@lakeport.local",)


def test_it_creates_databases_schemas_and_tables(
    connection: psycopg.Connection, login: Login
) -> None:
    database, schema = unique("db"), unique("s")
    connection.execute(f"CREATE DATABASE {database}")
    with login.connect(dbname=database) as inside:
        inside.execute(f"CREATE SCHEMA {schema}")
        inside.execute(f"CREATE TABLE {schema}.t (id bigint PRIMARY KEY)")
        inside.execute(f"INSERT INTO {schema}.t SELECT generate_series(1, 100)")
        assert inside.execute(f"SELECT sum(id) FROM {schema}.t").fetchone() == (5050,)
    connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


@pytest.mark.parametrize("database", ["databricks_postgres", "postgres"])
def test_it_creates_tables_in_public(login: Login, database: str) -> None:
    table = unique("t")
    with login.connect(dbname=database) as connection:
        connection.execute(f"CREATE TABLE public.{table} ()")
        connection.execute(f"DROP TABLE public.{table}")


def test_it_creates_the_vector_extension(connection: psycopg.Connection, login: Login) -> None:
    database = unique("db")
    connection.execute(f"CREATE DATABASE {database}")
    with login.connect(dbname=database) as inside:
        inside.execute("CREATE EXTENSION IF NOT EXISTS vector")
        distance = inside.execute("SELECT '[0,3]'::vector <-> '[4,0]'").fetchone()
        assert distance == (5.0,)
    connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


def test_it_creates_roles_below_itself(connection: psycopg.Connection) -> None:
    role = unique("r")
    connection.execute(f"CREATE ROLE {role} NOLOGIN")
    connection.execute(f"DROP ROLE {role}")
