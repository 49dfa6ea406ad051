"""A create whose answer was lost may be repeated by its client, once, and by nobody else."""

import base64
import json
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pyarrow
import pytest
import requests

from kit.api import CATALOGS, INSTANCES, SYNCED_TABLES, Api
from kit.bare_postgres import bare_postgres
from kit.delta import DeltaTables
from kit.names import unique
from kit.server import Server
from kit.synced import make_schema, register
from kit.waiting import eventually

PROGRAM = "lost-answers/1"


class Metadata:
    """The metadata database, in which a create can be held between its lines."""

    def __init__(self, url: str) -> None:
        self.url = url

    def connect(self) -> psycopg.Connection[Any]:
        options = "-c search_path=lakeport,pg_catalog"
        return psycopg.connect(self.url, options=options, autocommit=True)

    def value(self, sql: str) -> Any:
        with self.connect() as connection:
            return connection.execute(sql).fetchone()[0]

    @contextmanager
    def held(self) -> Iterator[None]:
        """No create gets past its last line within the block."""
        with self.connect() as connection, connection.transaction():
            connection.execute("lock table unanswered_creates in access exclusive mode")
            yield

    def waits(self, event: str) -> bool:
        return self.value(
            f"select exists (select from pg_stat_activity where wait_event = '{event}' "
            "and application_name = 'lakeport metadata')"
        )

    def lost(self) -> int:
        return self.value("select count(*) from unanswered_creates where node_id is null")

    def open(self) -> int:
        return self.value("select count(*) from unanswered_creates")


@pytest.fixture(scope="module")
def metadata() -> Iterator[Metadata]:
    with bare_postgres() as url:
        yield Metadata(url)


@pytest.fixture(scope="module")
def pair(metadata: Metadata) -> Iterator[tuple[Server, Server]]:
    """Two servers on it."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    with ExitStack() as stack:
        servers = []
        for _ in range(2):
            server = Server("--metadata-url", metadata.url)
            stack.callback(server.close)
            server.data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
            secret = server.data_dir / "secret.key"
            secret.write_text(f"{key}\n")
            secret.chmod(0o600)
            servers.append(server.start())
        yield servers[0], servers[1]


def post(server: Server, path: str, body: Any, program: str = PROGRAM) -> requests.Response:
    headers = {"Authorization": f"Bearer {server.token}", "User-Agent": program}
    return requests.post(server.http + path, json=body, headers=headers, timeout=60)


def send(server: Server, path: str, body: Any) -> socket.socket:
    """Sends a request, and leaves its answer to whoever holds the connection."""
    address = urlsplit(server.http)
    text = json.dumps(body)
    connection = socket.create_connection((address.hostname, address.port))
    connection.sendall(
        f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {server.token}\r\n"
        f"User-Agent: {PROGRAM}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n{text}".encode()
    )
    return connection


def lose(server: Server, metadata: Metadata, path: str, body: Any) -> None:
    """The create is done, and its client has left before the answer."""
    with metadata.held():
        connection = send(server, path, body)
        eventually(lambda: metadata.waits("relation"), "the create is held")
        connection.close()
    eventually(metadata.lost, "the answer is lost", until=lambda lost: lost == 1)


def refused(answer: requests.Response) -> None:
    assert (answer.status_code, answer.json()["error_code"]) == (409, "RESOURCE_ALREADY_EXISTS")


@pytest.fixture(scope="module")
def place(pair: tuple[Server, Server], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An instance, and a Delta table, on the first server."""
    api = Api(pair[0].http, pair[0].token)
    api.create_instance("place")
    api.wait_for_state("place", "AVAILABLE")
    make_schema(api, "lake", "shop")
    tables = DeltaTables(tmp_path_factory.mktemp("lake"))
    location = tables.write("t", pyarrow.table({"id": [1, 2]}))
    register(api, "lake.shop.t", location)
    return {"instance": "place", "source": "lake.shop.t"}


def instance(_: dict[str, str]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    body = {"name": unique("i"), "capacity": "CU_1"}
    return INSTANCES, body, body | {"capacity": "CU_2"}


def catalog(place: dict[str, str]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    body = {
        "name": unique("c"),
        "database_instance_name": place["instance"],
        "database_name": unique("d"),
        "create_database_if_not_exists": True,
    }
    other = {key: value for key, value in body.items() if key != "create_database_if_not_exists"}
    return CATALOGS, body, other


def synced_table(place: dict[str, str]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    spec = {
        "source_table_full_name": place["source"],
        "primary_key_columns": ["id"],
        "scheduling_policy": "SNAPSHOT",
        "create_database_objects_if_missing": True,
    }
    body = {
        "name": f"lake.shop.{unique('s')}",
        "database_instance_name": place["instance"],
        "logical_database_name": "databricks_postgres",
        "spec": spec,
    }
    return SYNCED_TABLES, body, body | {"spec": spec | {"scheduling_policy": "TRIGGERED"}}


Kind = Callable[[dict[str, str]], tuple[str, dict[str, Any], dict[str, Any]]]


@pytest.mark.parametrize("kind", [instance, catalog, synced_table])
def test_an_answered_create_is_not_repeated(
    pair: tuple[Server, Server], metadata: Metadata, place: dict[str, str], kind: Kind
) -> None:
    path, body, _ = kind(place)
    assert post(pair[0], path, body).status_code == 200
    refused(post(pair[0], path, body))
    eventually(metadata.open, "every answer is known", until=lambda rows: rows == 0)


@pytest.mark.parametrize("kind", [instance, catalog, synced_table])
def test_a_lost_answer_is_given_once_to_its_client_and_its_request(
    pair: tuple[Server, Server], metadata: Metadata, place: dict[str, str], kind: Kind
) -> None:
    path, body, other = kind(place)
    lose(pair[0], metadata, path, body)
    refused(post(pair[0], path, other))
    refused(post(pair[0], path, body, program="another/1"))
    again = post(pair[0], path, body)
    assert (again.status_code, again.json()["name"]) == (200, body["name"])
    refused(post(pair[0], path, body))
    eventually(metadata.open, "every answer is known", until=lambda rows: rows == 0)


def test_a_lost_answer_is_known_to_the_other_server(
    pair: tuple[Server, Server], metadata: Metadata, place: dict[str, str]
) -> None:
    path, body, _ = instance(place)
    lose(pair[0], metadata, path, body)
    # The token of the other server's administrator is another client's.
    refused(post(pair[1], path, body))
    headers = {"Authorization": f"Bearer {pair[0].token}", "User-Agent": PROGRAM}
    again = requests.post(pair[1].http + path, json=body, headers=headers, timeout=60)
    assert again.status_code == 200
    refused(post(pair[0], path, body))


def test_who_repeats_a_create_that_is_being_answered_waits_for_its_outcome(
    pair: tuple[Server, Server], metadata: Metadata, place: dict[str, str]
) -> None:
    path, body, _ = instance(place)
    with ExitStack() as stack:
        with metadata.held():
            connection = stack.enter_context(send(pair[0], path, body))
            eventually(lambda: metadata.waits("relation"), "the create is held")
        answer = connection.recv(1 << 16).decode()
    assert answer.startswith("HTTP/1.1 200"), answer
    refused(post(pair[0], path, body))


def test_killed_between_insert_and_answer_the_create_may_be_repeated(
    pair: tuple[Server, Server], metadata: Metadata, place: dict[str, str]
) -> None:
    path, body, _ = instance(place)
    server = pair[1]
    with metadata.connect() as connection:
        # The commit takes a while, and does not notice that its client is gone.
        connection.execute(
            "create function linger() returns trigger language plpgsql as "
            "'begin perform pg_sleep(2); return null; end'"
        )
        connection.execute(
            "create constraint trigger linger after insert on unanswered_creates "
            "deferrable initially deferred for each row execute function linger()"
        )
        with send(server, path, body):
            eventually(lambda: metadata.waits("PgSleep"), "the create commits")
            server.kill9()
        eventually(metadata.open, "it has committed", until=lambda rows: rows == 1)
        connection.execute("drop trigger linger on unanswered_creates")
    server.start()
    again = post(server, path, body)
    assert (again.status_code, again.json()["name"]) == (200, body["name"])
    refused(post(server, path, body))
