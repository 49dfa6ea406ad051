"""Extensions on each PostgreSQL version: the owner of a database creates what is offered and uses it;
what reaches the machine stays closed."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from kit.api import Api
from kit.login import Login
from kit.names import unique
from kit.server import Server

VERSIONS = "/api/2.0/lakeport/postgres-versions"

# Each with a query that needs its module, and what it answers.
WORKS = {
    "autoinc": ("SELECT count(*) FROM pg_proc WHERE proname = 'autoinc'", 1),
    "bloom": ("SELECT amname FROM pg_am WHERE amname = 'bloom'", "bloom"),
    "btree_gin": ("SELECT count(*) > 0 FROM pg_opclass WHERE opcname = 'int4_ops'", True),
    "btree_gist": ("SELECT 1 <-> 3", 2),
    "citext": ("SELECT 'A'::citext = 'a'", True),
    "cube": ("SELECT cube_dim('(1,2)'::cube)", 2),
    "dict_int": ("SELECT ts_lexize('intdict', '12345678')", ["123456"]),
    "dict_xsyn": ("SELECT count(*) FROM pg_ts_dict WHERE dictname = 'xsyn'", 1),
    "earthdistance": ("SELECT earth_distance(ll_to_earth(0, 0), ll_to_earth(0, 0))", 0),
    "fuzzystrmatch": ("SELECT levenshtein('kitten', 'sitting')", 3),
    "hstore": ("SELECT ('a=>1'::hstore) -> 'a'", "1"),
    "insert_username": ("SELECT count(*) FROM pg_proc WHERE proname = 'insert_username'", 1),
    "intagg": ("SELECT int_array_aggregate(1)", [1]),
    "intarray": ("SELECT sort('{3,1,2}'::int[])", [1, 2, 3]),
    "isn": ("SELECT is_valid('978-0-393-04002-9'::isbn13)", True),
    "lo": ("SELECT lo_oid(1::oid::lo)::text", "1"),
    "ltree": ("SELECT nlevel('a.b.c'::ltree)", 3),
    "moddatetime": ("SELECT count(*) FROM pg_proc WHERE proname = 'moddatetime'", 1),
    "pg_buffercache": ("SELECT count(*) > 0 FROM pg_buffercache", True),
    "pg_freespacemap": ("SELECT count(*) >= 0 FROM pg_freespace('pg_class')", True),
    "pg_prewarm": ("CREATE TABLE w (n int); SELECT pg_prewarm('w')", 0),
    "pg_stat_statements": ("SELECT count(*) > 0 FROM pg_stat_statements", True),
    "pg_trgm": ("SELECT similarity('cats', 'cat') > 0.4", True),
    "pg_visibility": ("SELECT count(*) > 0 FROM pg_visibility_map('pg_class')", True),
    "pgcrypto": ("SELECT encode(digest('a', 'sha1'), 'hex')", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
    "pgrowlocks": ("CREATE TABLE l (n int); SELECT count(*) FROM pgrowlocks('l')", 0),
    "pgstattuple": ("CREATE TABLE t (n int); SELECT (pgstattuple('t')).tuple_count", 0),
    "refint": ("SELECT count(*) FROM pg_proc WHERE proname = 'check_primary_key'", 1),
    "seg": ("SELECT seg_cmp('1', '2')", -1),
    "tablefunc": ("SELECT count(*) FROM normal_rand(3, 0, 1)", 3),
    "tcn": ("SELECT count(*) FROM pg_proc WHERE proname = 'triggered_change_notification'", 1),
    "tsm_system_rows": ("SELECT count(*) FROM pg_class TABLESAMPLE system_rows(3)", 3),
    "tsm_system_time": ("SELECT count(*) > 0 FROM pg_class TABLESAMPLE system_time(1000)", True),
    "unaccent": ("SELECT unaccent('Hôtel')", "Hotel"),
    "uuid-ossp": ("SELECT uuid_generate_v5(uuid_ns_dns(), 'a')", uuid.uuid5(uuid.NAMESPACE_DNS, "a")),
}
CLOSED = {"adminpack", "file_fdw", "pageinspect", "pg_surgery", "pg_walinspect", "plperlu", "plpython3u"}
DIALING = {"dblink", "postgres_fdw"}


@dataclass
class Place:
    major: int
    version: dict[str, Any]
    instance: dict[str, Any]
    api: Api

    def owner(self) -> psycopg.Connection[Any]:
        return Login.to(self.api, self.instance).connect()


@pytest.fixture(scope="module", params=[15, 16, 17, 18])
def place(request: pytest.FixtureRequest, api: Api) -> Iterator[Place]:
    versions = {v["major"]: v for v in api.ok("GET", VERSIONS)["versions"]}
    name = unique("ext")
    api.create_instance(name, pg_version=str(request.param))
    instance = api.wait_for_state(name, "AVAILABLE")
    yield Place(request.param, versions[request.param], instance, api)
    api.delete_instance(name)


def test_an_owner_creates_and_uses_what_lakebase_lists(place: Place) -> None:
    with place.owner() as connection:
        for name, (query, answer) in WORKS.items():
            create = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} CASCADE").format(sql.Identifier(name))
            connection.execute(create)
            *before, last = query.split("; ")
            for statement in before:
                connection.execute(statement)
            assert connection.execute(last).fetchone() == (answer,), name


def test_what_is_published_is_what_can_be_created(place: Place) -> None:
    offered = set(place.version["extensions"])
    closed = {entry["name"]: entry["reason"] for entry in place.version["closed_extensions"]}
    assert WORKS.keys() <= offered and not offered & closed.keys()
    assert not CLOSED & offered and all(closed.values())
    assert "vector" in offered or place.major in (15, 17)
    with place.owner() as connection:
        rows = connection.execute("SELECT name FROM pg_available_extensions").fetchall()
        assert {name for (name,) in rows} == offered
        for name in closed:
            with pytest.raises((errors.FeatureNotSupported, errors.UndefinedFile)):
                connection.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(name)))


def test_abilities_are_those_of_the_server(place: Place) -> None:
    """What the programs were seen to be linked with, against what the server itself can do."""
    with place.owner() as connection:
        count = "SELECT count(*) FROM pg_collation WHERE collprovider = 'i'"
        assert (connection.execute(count).fetchone()[0] > 100) == place.version["icu"]
        try:
            connection.execute("SELECT '<a/>'::xml")
            xml = True
        except errors.FeatureNotSupported:
            xml = False
        assert xml == place.version["xml"]
        compressions = connection.execute(
            "SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'"
        ).fetchone()[0]
        assert ("lz4" in compressions) == place.version["lz4"]
    # Where 15 is no package of the system's, it is a server and nothing else.
    assert "pg_dump" in place.version["tools"] or place.major == 15


def test_statements_are_counted(place: Place) -> None:
    assert place.version["preloaded"] == ["pg_stat_statements"]
    with place.owner() as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        connection.execute("SELECT 12345 AS counted")
        seen = "SELECT calls FROM pg_stat_statements WHERE query LIKE '%AS counted'"
        assert connection.execute(seen).fetchall()
        connection.execute("SELECT pg_stat_statements_reset()")


def test_scripts_of_applications_run(place: Place) -> None:
    """As Django, TypeORM and Flyway send them."""
    with place.owner() as connection:
        for statement in (
            'CREATE EXTENSION IF NOT EXISTS "uuid-ossp"',
            "CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public",
            "CREATE EXTENSION IF NOT EXISTS pg_trgm",
            "CREATE TABLE people (id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), name text)",
            "CREATE INDEX ON people USING gin (name gin_trgm_ops)",
            "INSERT INTO people (name) VALUES ('Ada')",
        ):
            connection.execute(statement)
        assert connection.execute("SELECT count(*) FROM people WHERE name %> 'Ad'").fetchone() == (1,)


# --- What opens connections from within the server -----------------------------------------------


def test_what_dials_is_closed_where_all_servers_run_as_one_user() -> None:
    """As root with user ids that cannot be had, or as an ordinary user: the reason is published."""
    if os.geteuid() == 0:
        pytest.skip("as root each server has a user of its own: see the next test")
    server = Server()
    try:
        api = Api(server.start().http, server.token)
        for version in api.ok("GET", VERSIONS)["versions"]:
            closed = {entry["name"]: entry["reason"] for entry in version["closed_extensions"]}
            assert all("operating-system user" in closed[name] for name in DIALING)
    finally:
        server.close()


@pytest.fixture
def dialing(place: Place) -> Iterator[psycopg.Connection[Any]]:
    if os.geteuid() != 0:
        pytest.skip("closed here: all servers run as one operating-system user")
    with place.owner() as connection:
        for name in sorted(DIALING):
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {name}")
        yield connection


def sockets(server: Server) -> list[str]:
    """The socket directories of all servers: of this instance, its neighbours, and the metadata."""
    found = subprocess.run(
        ["find", server.data_dir, "-name", ".s.PGSQL.5432"], capture_output=True, text=True
    ).stdout.split()
    return [os.path.dirname(path) for path in found]


def test_no_socket_is_reached_from_within(
    server: Server, instance: dict[str, Any], place: Place, dialing: psycopg.Connection[Any]
) -> None:
    """Not its own, not a neighbour's, not the metadata's; as no role, with no password and with one."""
    places = sockets(server)
    assert len(places) >= 3, "this instance, another one, and the metadata"
    user = place.api.user_name()
    for directory in places:
        for role in ("lakeport_admin", "lb_writer", user):
            for password in ("", "password=guess"):
                target = f"host={directory} user={role} dbname=lakeport {password} connect_timeout=5"
                with pytest.raises(psycopg.Error):
                    dialing.execute("SELECT * FROM dblink(%s, 'select 1') AS t (n int)", (target,))


def test_a_foreign_table_of_another_instance_through_the_gateway(
    api: Api, instance: dict[str, Any], dialing: psycopg.Connection[Any]
) -> None:
    """Over TLS, with a token as the password, as any client."""
    login = Login.to(api, instance)
    mapping = sql.SQL(
        "CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw"
        " OPTIONS (host {host}, dbname 'databricks_postgres', sslmode 'require');"
        "CREATE USER MAPPING FOR CURRENT_USER SERVER other OPTIONS (user {user}, password {token});"
        "CREATE FOREIGN TABLE databases (datname name) SERVER other"
        " OPTIONS (schema_name 'pg_catalog', table_name 'pg_database')"
    )
    dialing.execute(mapping.format(host=login.host, user=login.user, token=login.password))
    names = dialing.execute("SELECT datname FROM databases").fetchall()
    assert ("databricks_postgres",) in names
    dialing.execute("DROP SERVER other CASCADE")


def test_no_foreign_server_without_a_password(
    server: Server, place: Place, dialing: psycopg.Connection[Any]
) -> None:
    user = place.api.user_name()
    for number, directory in enumerate(sockets(server)):
        dialing.execute(
            sql.SQL(
                "CREATE SERVER s{n} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host {host}, dbname 'lakeport');"
                "CREATE USER MAPPING FOR CURRENT_USER SERVER s{n} OPTIONS (user {user}, password 'guess');"
                "CREATE FOREIGN TABLE f{n} (datname name) SERVER s{n}"
                " OPTIONS (schema_name 'pg_catalog', table_name 'pg_database')"
            ).format(n=sql.SQL(str(number)), host=directory, user=user)
        )
        with pytest.raises(psycopg.Error):
            dialing.execute(f"SELECT * FROM f{number}")
        with pytest.raises(errors.InsufficientPrivilege):
            dialing.execute(
                f"ALTER USER MAPPING FOR CURRENT_USER SERVER s{number}"
                " OPTIONS (ADD password_required 'false')"
            )
        dialing.execute(f"DROP SERVER s{number} CASCADE")
    with pytest.raises(errors.InsufficientPrivilege):
        dialing.execute("SELECT dblink_connect_u('host=/tmp')")
