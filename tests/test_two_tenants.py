"""Two tenants on one server, each with an instance: every way from one to the other is refused."""

import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pyarrow
import pytest
from psycopg import errors

from kit.api import CATALOGS, CREDENTIALS, INSTANCES, PIPELINES, SYNCED_TABLES, Api
from kit.delta import DeltaTables
from kit.identities import SCIM
from kit.login import Login
from kit.names import unique
from kit.people import PERMISSIONS, Person, person
from kit.server import Server
from kit.synced import SyncedTable, make_schema, register
from kit.tokens import altered


@dataclass
class Tenant:
    person: Person
    instance: dict[str, Any]
    catalog: str

    @property
    def name(self) -> str:
        return str(self.instance["name"])

    def login(self) -> Login:
        return Login.to(self.person.api, self.instance)


@dataclass
class Two:
    server: Server
    attacker: Tenant
    victim: Tenant
    # Of the victim.
    table: str
    pipeline: str
    session: psycopg.Connection[Any]


@pytest.fixture(scope="module")
def two(server: Server, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    entitled = [{"value": "allow-cluster-create"}]
    with ExitStack() as stack:
        tenants = []
        for label in ("attacker", "victim"):
            who = stack.enter_context(person(api, entitlements=entitled))
            name = unique(label)
            who.api.create_instance(name)
            instance = who.api.wait_for_state(name, "AVAILABLE")
            stack.callback(api.delete_instance, name)
            body = {
                "name": unique(label).replace("-", "_"),
                "database_instance_name": name,
                "database_name": "databricks_postgres",
            }
            catalog = who.api.ok("POST", CATALOGS, body)["name"]
            tenants.append(Tenant(who, instance, catalog))
        attacker, victim = tenants
        with victim.login().connect() as owner:
            owner.execute("CREATE TABLE public.treasure AS SELECT 42 AS n")
            owner.execute("GRANT ALL ON public.treasure TO PUBLIC")
        lake = unique("lake")
        make_schema(api, lake, lake)
        source, delta = f"{lake}.{lake}.t", DeltaTables(tmp_path_factory.mktemp("delta"))
        register(api, source, delta.write("t", pyarrow.table({"id": [1]})))
        table = SyncedTable.create(
            api, f"{victim.catalog}.public.synced", victim.name, source, ["id"]
        )
        stack.callback(api.ok, "DELETE", f"{SYNCED_TABLES}/{table.name}")
        pipeline = table.get()["data_synchronization_status"]["pipeline_id"]
        session = stack.enter_context(victim.login().connect())
        yield Two(server, attacker, victim, table.name, pipeline, session)


# --- Logging in ------------------------------------------------------------------------------------


def own_token_at_the_victims_address(two: Two) -> Login:
    return replace(two.attacker.login(), host=two.victim.instance["read_write_dns"])


def as_the_victim(two: Two) -> Login:
    return replace(own_token_at_the_victims_address(two), user=two.victim.person.name)


def access_token_at_the_victims_address(two: Two) -> Login:
    login = own_token_at_the_victims_address(two)
    return replace(login, password=two.attacker.person.api.token)


def token_with_the_victims_instance_written_in(two: Two) -> Login:
    login = own_token_at_the_victims_address(two)
    uid = two.victim.instance["uid"]
    return replace(login, password=altered(login.password, instances=[uid]))


def token_with_the_victims_name_written_in(two: Two) -> Login:
    login = as_the_victim(two)
    uid = two.victim.instance["uid"]
    forged = altered(login.password, instances=[uid], sub=two.victim.person.name)
    return replace(login, password=forged)


def token_with_a_role_written_in(two: Two) -> Login:
    login = two.attacker.login()
    return replace(login, password=altered(login.password, role="lakeport_admin"))


def as_a_system_role(role: str) -> Callable[[Two], Login]:
    def attempt(two: Two) -> Login:
        return replace(own_token_at_the_victims_address(two), user=role)

    attempt.__name__ = f"as_{role}"
    return attempt


LOGINS: list[Callable[[Two], Login]] = [
    own_token_at_the_victims_address,
    as_the_victim,
    access_token_at_the_victims_address,
    token_with_the_victims_instance_written_in,
    token_with_the_victims_name_written_in,
    token_with_a_role_written_in,
    as_a_system_role("lakeport_admin"),
    as_a_system_role("lb_writer"),
    as_a_system_role("databricks_superuser"),
    as_a_system_role("pg_read_all_data"),
    as_a_system_role("postgres"),
]


@pytest.mark.parametrize("attempt", LOGINS, ids=lambda attempt: attempt.__name__)
def test_login(two: Two, attempt: Callable[[Two], Login]) -> None:
    with pytest.raises(psycopg.OperationalError):
        attempt(two).connect()


OPTIONS = [
    "-c lakeport.instance={name}",
    "-clakeport.instance={name}",
    "--lakeport.instance={name}",
    "-c LAKEPORT.INSTANCE={name}",
    "-c lakeport.instance={uid}",
    "-c lakeport.instance={dns}",
    "-c lakeport.instance={own} -c lakeport.instance={name}",
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("token", ["credential", "access token"])
def test_start_up_option(two: Two, options: str, token: str) -> None:
    login = two.attacker.login()
    if token == "access token":
        login.password = two.attacker.person.api.token
    victim = two.victim.instance
    text = options.format(
        name=victim["name"],
        uid=victim["uid"],
        dns=victim["read_write_dns"],
        own=two.attacker.name,
    )
    with pytest.raises(psycopg.OperationalError):
        login.connect(options=text)


def test_server_name_of_the_victim_does_not_lead_there(two: Two) -> None:
    """Names that mean something are those of `--domain`; here the address says it all."""
    uid, own = two.victim.instance["uid"], two.attacker.login()
    for name in (f"instance-{uid}.localhost", two.victim.instance["read_write_dns"], uid):
        with own.connect(host=name, hostaddr=own.host) as session:
            found = session.execute("SELECT to_regclass('public.treasure')").fetchone()
            assert found == (None,), name


# --- Cancelling ------------------------------------------------------------------------------------


def cancel(host: str, pid: int, secret: bytes) -> None:
    packet = struct.pack("!IIi", 12 + len(secret), 80877102, pid) + secret
    with socket.create_connection((host, 5432), timeout=10) as raw:
        raw.sendall(struct.pack("!II", 8, 80877103))
        assert raw.recv(1) == b"S"
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(raw) as stream:
            stream.sendall(packet)
            stream.recv(1)


def test_cancel_keys_that_are_guessed_stop_nothing(two: Two) -> None:
    pid = two.session.info.backend_pid
    with two.attacker.login().connect() as own:
        mine = own.info.backend_pid
        (real,) = two.session.execute("SELECT pg_backend_pid()").fetchone()
        hosts = [login["read_write_dns"] for login in (two.attacker.instance, two.victim.instance)]
        two.session.execute("SELECT 1")
        for host in hosts:
            for target in (pid, mine, real, 0, -1):
                for secret in (bytes(4), b"\xff" * 4, bytes(32)):
                    cancel(host, target, secret)
        assert two.session.execute("SELECT pg_sleep(0.2)").fetchone() is not None
        assert own.execute("SELECT 1").fetchone() == (1,)
        # Not even with the right to signal: the other server has no such process of this one's.
        with pytest.raises((errors.InsufficientPrivilege, AssertionError)):
            assert own.execute("SELECT pg_terminate_backend(%s)", (real,)).fetchone() == (True,)
    assert two.session.execute("SELECT 1").fetchone() == (1,)


# --- From inside the attacker's own server ---------------------------------------------------------

# What opens connections from within, where it is allowed at all: test_extensions.py.
INSIDE = [
    "CREATE EXTENSION file_fdw",
    "CREATE EXTENSION adminpack",
    "CREATE SUBSCRIPTION s CONNECTION 'host={socket} dbname=postgres user=lakeport_admin'"
    " PUBLICATION p",
    "COPY (SELECT 1) TO PROGRAM 'ls {socket}'",
    "COPY (SELECT 1) TO '{data}/x'",
    "CREATE TEMP TABLE t (l text); COPY t FROM '{data}/PG_VERSION'",
    "SELECT pg_read_file('{data}/PG_VERSION')",
    "SELECT pg_read_binary_file('{data}/global/pg_control')",
    "SELECT pg_ls_dir('{data}')",
    "SELECT pg_stat_file('{data}/PG_VERSION')",
    "SELECT lo_import('{data}/PG_VERSION')",
    "SELECT lo_export(1, '{data}/x')",
    "CREATE FUNCTION f() RETURNS int LANGUAGE c AS '{data}/x'",
    "LOAD '{data}/x'",
    "CREATE TABLESPACE t LOCATION '{data}'",
]


@pytest.mark.parametrize("statement", INSIDE)
def test_from_inside(two: Two, statement: str) -> None:
    data_dir = two.server.data_dir
    places = {
        "socket": str(data_dir / "run"),
        "data": str(data_dir / "clusters" / two.victim.instance["uid"] / "data"),
    }
    with two.attacker.login().connect() as own:
        with pytest.raises((errors.InsufficientPrivilege, errors.FeatureNotSupported)):
            own.execute(statement.format(**places))


def test_sockets_and_data_are_closed_to_others(two: Two) -> None:
    """As root each server is a user of its own; else the folders are closed to everybody else."""
    data_dir = two.server.data_dir
    clusters = [data_dir / "clusters" / t.instance["uid"] for t in (two.attacker, two.victim)]
    owners = [(cluster / "data").stat().st_uid for cluster in clusters]
    modes = [(cluster / "data").stat().st_mode & 0o077 for cluster in clusters]
    sockets = [folder.stat() for folder in (data_dir / "run").iterdir()]
    assert modes == [0, 0] and all(folder.st_mode & 0o077 == 0 for folder in sockets)
    if os.geteuid() == 0:
        assert len({*owners, 0}) == 3, "two servers share a user"
        assert set(owners) <= {folder.st_uid for folder in sockets}


# --- The API ---------------------------------------------------------------------------------------

API = [
    ("GET", INSTANCES + "/{name}", None, 404),
    ("PATCH", INSTANCES + "/{name}?update_mask=stopped", {"stopped": True}, 404),
    ("DELETE", INSTANCES + "/{name}", None, 404),
    ("GET", INSTANCES + ":findByUid?uid={uid}", None, 404),
    ("GET", INSTANCES + "/{dns}", None, 404),
    ("GET", INSTANCES + "/{name}/roles", None, 404),
    ("POST", INSTANCES + "/{name}/roles", {"name": "{me}", "identity_type": "USER"}, 404),
    ("DELETE", INSTANCES + "/{name}/roles/{victim}", None, 404),
    ("GET", INSTANCES + "/{name}/catalogs", None, 404),
    ("GET", INSTANCES + "/{name}/synced_tables", None, 404),
    ("POST", CREDENTIALS, {"instance_names": ["{name}"]}, 404),
    ("POST", CREDENTIALS, {"instance_names": ["{own}", "{name}"]}, 404),
    (
        "POST",
        CREDENTIALS,
        {
            "claims": [
                {
                    "permission_set": "READ_ONLY",
                    "resources": [{"table_name": "{catalog}.public.treasure"}],
                }
            ]
        },
        404,
    ),
    ("GET", CATALOGS + "/{catalog}", None, 404),
    ("DELETE", CATALOGS + "/{catalog}", None, 404),
    (
        "POST",
        CATALOGS,
        {"name": "mine", "database_instance_name": "{name}", "database_name": "postgres"},
        404,
    ),
    ("GET", SYNCED_TABLES + "/{table}", None, 404),
    ("DELETE", SYNCED_TABLES + "/{table}", None, 404),
    ("POST", SYNCED_TABLES, {"name": "{catalog}.public.mine", "spec": {}}, 404),
    (
        "POST",
        SYNCED_TABLES,
        {
            "name": "{own_catalog}.public.mine",
            "database_instance_name": "{name}",
            "logical_database_name": "databricks_postgres",
        },
        404,
    ),
    ("GET", PIPELINES + "/{pipeline}", None, 404),
    ("POST", PIPELINES + "/{pipeline}/updates", {}, 404),
    ("GET", PIPELINES + "/{pipeline}/events", None, 404),
    ("POST", PIPELINES + "/{pipeline}/stop", None, 404),
    ("GET", PERMISSIONS + "/{name}", None, 404),
    (
        "PATCH",
        PERMISSIONS + "/{name}",
        {"access_control_list": [{"user_name": "{me}", "permission_level": "CAN_MANAGE"}]},
        404,
    ),
    ("PUT", PERMISSIONS + "/{name}", {"access_control_list": []}, 404),
    ("GET", SCIM + "/Users/{victim_id}", None, 404),
    ("PATCH", SCIM + "/Users/{victim_id}", {"Operations": []}, 403),
    ("DELETE", SCIM + "/Users/{victim_id}", None, 403),
    ("POST", "/api/2.0/lakeport/login-links", {"user_name": "{victim}"}, 403),
]


def fill(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        return value.format(**names)
    if isinstance(value, list):
        return [fill(item, names) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, names) for key, item in value.items()}
    return value


@pytest.mark.parametrize(("method", "path", "body", "status"), API)
def test_api(two: Two, method: str, path: str, body: Any, status: int) -> None:
    victim = two.victim
    names = {
        "name": victim.name,
        "uid": victim.instance["uid"],
        "dns": victim.instance["read_write_dns"],
        "victim": victim.person.name,
        "victim_id": victim.person.id,
        "catalog": victim.catalog,
        "table": two.table,
        "pipeline": two.pipeline,
        "me": two.attacker.person.name,
        "own": two.attacker.name,
        "own_catalog": two.attacker.catalog,
    }
    before = victim.person.api.instance(victim.name)
    answer = two.attacker.person.api.send(method, fill(path, names), fill(body, names))
    assert answer.status_code == status, answer.text
    assert victim.person.api.instance(victim.name) == before
    assert "treasure" not in answer.text.replace("public.treasure", "")


def test_lists_show_ones_own_only(two: Two) -> None:
    seen = two.attacker.person.api.ok("GET", INSTANCES)["database_instances"]
    assert [instance["name"] for instance in seen] == [two.attacker.name]


def test_the_victim_is_as_it_was(two: Two) -> None:
    assert two.session.execute("SELECT n FROM public.treasure").fetchone() == (42,)
    roles = two.victim.person.api.ok("GET", f"{INSTANCES}/{two.victim.name}/roles")
    assert [role["name"] for role in roles["database_instance_roles"]] == [two.victim.person.name]
