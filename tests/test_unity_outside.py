"""Sources in an outside Unity Catalog: a good one, and others that are not."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow
import pytest

from kit.api import SYNCED_TABLES, UNITY, Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.names import unique
from kit.server import Server
from kit.synced import SyncedTable, body_of, register

ROWS = pyarrow.table({"id": pyarrow.array([1, 2, 3], pyarrow.int64()), "name": ["a", "b", None]})


class Answers(BaseHTTPRequestHandler):
    """What a broken catalog says of each table."""

    tables: dict[str, tuple[int, str]] = {}
    silent = threading.Event()

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        name = self.path.rsplit(".", 1)[1]
        if name == "slow":
            self.silent.wait(60)
            return
        status, body = self.tables[name]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def broken() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Answers.silent.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def outside(api: Api) -> str:
    """A catalog of the server that the reading one asks."""
    name = unique("c")
    api.ok("POST", f"{UNITY}/catalogs", {"name": name})
    api.ok("POST", f"{UNITY}/schemas", {"name": "s", "catalog_name": name})
    return name


@pytest.fixture(scope="module")
def reading(
    server: Server, outside: str, broken: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with outside catalogs: a good one, a broken one and one that is down."""
    config = tmp_path_factory.mktemp("config") / "lakeport.toml"
    config.write_text(
        f"""
[[catalog]]
name = "far"
url = "{server.http}"
remote_name = "{outside}"
token_env = "FAR_TOKEN"

[[catalog]]
name = "broken"
url = "{broken}"

[[catalog]]
name = "down"
url = "http://127.0.0.1:9"
"""
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAR_TOKEN", server.token)
        running = Server("--config", str(config))
        try:
            yield running.start()
        finally:
            running.close()


@pytest.fixture(scope="module")
def target(reading: Server) -> dict:
    api = Api(reading.http, reading.token)
    name = unique("i")
    api.create_instance(name)
    return api.wait_for_state(name, "AVAILABLE")


def refusal(reading: Server, target: dict, source: str, status: int) -> str:
    api = Api(reading.http, reading.token)
    body = body_of(f"c.s.{unique('t')}", target["name"], source, ["id"])
    return api.refused(status, "POST", SYNCED_TABLES, body).message


def test_the_same_rows_from_here_and_from_outside(
    api: Api, reading: Server, target: dict, outside: str, delta: DeltaTables
) -> None:
    location = delta.write("users", ROWS)
    register(api, f"{outside}.s.users", location)
    here = Api(reading.http, reading.token)
    own = unique("c")
    here.ok("POST", f"{UNITY}/catalogs", {"name": own})
    here.ok("POST", f"{UNITY}/schemas", {"name": "s", "catalog_name": own})
    register(here, f"{own}.s.users", location)
    for source, table in (("far.s.users", "far"), (f"{own}.s.users", "near")):
        name = f"c.served.{table}"
        SyncedTable.create(here, name, target["name"], source, ["id"]).wait_online()
    with Login.to(here, target).connect() as connection:
        far, near = (
            connection.execute(f"select * from served.{name} order by id").fetchall()
            for name in ("far", "near")
        )
    assert far == near == [(1, "a"), (2, "b"), (3, None)]


def test_what_is_not_there_and_what_is_taken(reading: Server, target: dict) -> None:
    assert "not found" in refusal(reading, target, "far.s.nobody", 404)
    here = Api(reading.http, reading.token)
    taken = here.refused(409, "POST", f"{UNITY}/catalogs", {"name": "far"})
    assert "already exists" in taken.message


def test_a_catalog_that_is_slow_or_down_is_named(reading: Server, target: dict) -> None:
    assert "cannot be reached" in refusal(reading, target, "down.s.t", 503)
    assert "does not answer" in refusal(reading, target, "broken.s.slow", 503)


def test_a_catalog_that_lies_is_not_believed(
    reading: Server, target: dict, delta: DeltaTables, tmp_path: Path
) -> None:
    def table(**changed: object) -> tuple[int, str]:
        good = {"table_id": "1", "data_source_format": "DELTA", "storage_location": "file:///srv/x"}
        return 200, json.dumps(good | changed)

    wrong_type = [{"name": "id", "type_name": "STRING", "type_text": "string"}]
    location = delta.write("users", ROWS)
    Answers.tables = {
        "iceberg": table(data_source_format="ICEBERG"),
        "system": table(storage_location="file:///etc"),
        "metadata": table(storage_location="s3://169.254.169.254/x"),
        "nothing": table(storage_location=tmp_path.as_uri()),
        "html": (200, "<html>"),
        "ill": (500, "{}"),
        "no": (403, '{"message": "not for you"}'),
        "types": table(storage_location=location, columns=wrong_type),
    }
    for name, status, word in [
        ("iceberg", 400, "ICEBERG"),
        ("system", 400, "may read"),
        ("metadata", 400, "address"),
        ("nothing", 400, "_delta_log"),
        ("html", 400, "something else"),
        ("ill", 503, "500"),
        ("no", 400, "not for you"),
    ]:
        assert word in refusal(reading, target, f"broken.s.{name}", status), name
    here = Api(reading.http, reading.token)
    created = SyncedTable.create(here, "c.served.types", target["name"], "broken.s.types", ["id"])
    created.wait_online()
    kind = "select pg_typeof(id)::text from served.types limit 1"
    assert Login.to(here, target).value(kind) == "bigint"
