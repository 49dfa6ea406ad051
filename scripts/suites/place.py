"""Where a suite runs: a bare PostgreSQL, or an instance of the same programs behind the gateway.

Both give the suite a role that is no superuser and may make databases and roles, and a database of its own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import psycopg
from psycopg import sql

from bench.gateway import bare_with_tls
from bench.home import Home
from bench.postgres import programs
from bench.tls import certificate
from kit.api import Api
from kit.server import Server, clean_environment

USER = "admin@lakeport.local"
PASSWORD = "bare"
# The one that comes with contrib wherever it is found: some suites want its types.
MAJOR = 15
EXTENSIONS = ("citext", "hstore", "ltree")
SCHEMAS = ("test_schema", "test_schema_2")


@dataclass
class Access:
    host: str
    port: int
    user: str
    password: str
    dbname: str
    sslmode: str

    def environment(self, sslmode: str | None = None) -> dict[str, str]:
        """As libpq reads it, and most others do."""
        own = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.dbname,
            "PGSSLMODE": sslmode or self.sslmode,
        }
        return clean_environment() | own | {"HOME": os.environ.get("HOME", "/")}

    def connect(self, dbname: str) -> psycopg.Connection:
        return psycopg.connect(
            host=self.host, port=self.port, user=self.user, password=self.password,
            dbname=dbname, sslmode=self.sslmode, autocommit=True,
        )  # fmt: skip


class Place(Protocol):
    name: str

    def access(self, dbname: str) -> Access: ...


@dataclass
class Direct:
    port: int
    name: str = "direct"

    def access(self, dbname: str) -> Access:
        return Access("127.0.0.1", self.port, USER, PASSWORD, dbname, "require")


@dataclass
class Gateway:
    api: Api
    host: str
    name: str = "gateway"

    def access(self, dbname: str) -> Access:
        """With a new token: it lives for an hour."""
        return Access(self.host, 5432, USER, self.api.credential("suites"), dbname, "require")


@contextmanager
def direct() -> Iterator[Direct]:
    home = Home()
    try:
        if (bin := programs(home, MAJOR)) is None:
            raise SystemExit(f"there is no PostgreSQL {MAJOR} here")
        server = bare_with_tls(home, bin, {}, certificate(home))
        try:
            with server.connect() as connection:
                role = "CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}"
                connection.execute(sql.SQL(role).format(sql.Identifier(USER), PASSWORD))
            yield Direct(server.port)
        finally:
            server.stop()
    finally:
        home.close()


@contextmanager
def gateway() -> Iterator[Gateway]:
    server = Server()
    try:
        server.start()
        api = Api(server.http, server.token)
        api.create_instance("suites", pg_version=f"PG_VERSION_{MAJOR}")
        instance = api.wait_for_state("suites", "AVAILABLE")
        yield Gateway(api, instance["read_write_dns"])
    finally:
        server.close()


def make_database(place: Place, name: str, setup: str) -> Access:
    access = place.access(name)
    with access.connect("postgres") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with access.connect(name) as connection:
        for schema in SCHEMAS:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        for extension in EXTENSIONS:
            connection.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
        if setup:
            connection.execute(setup)
    return access
