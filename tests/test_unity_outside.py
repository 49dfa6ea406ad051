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
from kit.identities import principal
from kit.login import Login
from kit.names import unique
from kit.people import person
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
readers = ["analysts"]

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


def browsed(here: Api, schema: str) -> list[str]:
    """Names of all tables, page by page."""
    names, token = [], None
    while True:
        query = {"catalog_name": "far", "schema_name": schema, "max_results": 1}
        page = here.ok("GET", f"{UNITY}/tables", **query, **({"page_token": token} if token else {}))
        names += [table["full_name"] for table in page.get("tables", [])]
        if not (token := page.get("next_page_token")):
            return names


def test_an_outside_catalog_is_shown_under_the_name_that_it_has_here(
    api: Api, reading: Server, outside: str, delta: DeltaTables
) -> None:
    here = Api(reading.http, reading.token)
    api.ok("POST", f"{UNITY}/schemas", {"name": "shop", "catalog_name": outside})
    tables = [f"t{number}" for number in range(3)]
    for table in tables:
        register(api, f"{outside}.shop.{table}", delta.write(table, ROWS))

    listed = {c["name"]: c for c in here.ok("GET", f"{UNITY}/catalogs")["catalogs"]}
    assert {"far", "broken", "down"} <= listed.keys() and outside not in listed
    assert listed["far"]["catalog_type"] == "FOREIGN_CATALOG"
    assert here.ok("GET", f"{UNITY}/catalogs/far")["name"] == "far"
    schemas = here.ok("GET", f"{UNITY}/schemas", catalog_name="far")["schemas"]
    assert {"far.s", "far.shop"} <= {schema["full_name"] for schema in schemas}
    assert here.ok("GET", f"{UNITY}/schemas/far.shop")["catalog_name"] == "far"

    assert browsed(here, "shop") == [f"far.shop.{table}" for table in tables]
    table = here.ok("GET", f"{UNITY}/tables/far.shop.t1")
    assert (table["full_name"], table["catalog_name"]) == ("far.shop.t1", "far")
    assert [column["type_name"] for column in table["columns"]] == ["LONG", "STRING"]
    query = {"catalog_name": "far", "table_name_pattern": "t_"}
    summaries = here.ok("GET", f"{UNITY}/table-summaries", **query)["tables"]
    assert {summary["full_name"] for summary in summaries} == {f"far.shop.{t}" for t in tables}
    # Made while somebody looks.
    register(api, f"{outside}.shop.late", delta.write("late", ROWS))
    assert "far.shop.late" in browsed(here, "shop")


def test_an_outside_catalog_is_shown_to_its_readers_only(reading: Server, outside: str) -> None:
    here = Api(reading.http, reading.token)
    with person(here) as reader, person(here) as stranger:
        group = {"displayName": "analysts", "members": [{"value": reader.id}]}
        with principal(here, "Groups", **group):
            seen = reader.api.ok("GET", f"{UNITY}/catalogs").get("catalogs", [])
            assert "far" in {catalog["name"] for catalog in seen}
            assert "down" not in {catalog["name"] for catalog in seen}
            reader.api.ok("GET", f"{UNITY}/schemas/far.s")
        seen = stranger.api.ok("GET", f"{UNITY}/catalogs").get("catalogs", [])
        assert "far" not in {catalog["name"] for catalog in seen}
        for path in ("catalogs/far", "schemas/far.s", "tables/far.s.users"):
            assert "not found" in stranger.api.refused(404, "GET", f"{UNITY}/{path}").message
        for path, query in [
            ("schemas", {"catalog_name": "far"}),
            ("tables", {"catalog_name": "far", "schema_name": "s"}),
            ("table-summaries", {"catalog_name": "far"}),
        ]:
            stranger.api.refused(404, "GET", f"{UNITY}/{path}", **query)


def test_an_outside_catalog_is_changed_where_it_is(reading: Server) -> None:
    here = Api(reading.http, reading.token)
    comment = {"comment": "x"}
    table = {"name": "t", "catalog_name": "far", "schema_name": "s", "storage_location": "/srv/t"}
    for method, path, body in [
        ("PATCH", "catalogs/far", comment),
        ("DELETE", "catalogs/far", None),
        ("POST", "schemas", {"name": "new", "catalog_name": "far"}),
        ("PATCH", "schemas/far.s", comment),
        ("DELETE", "schemas/far.s", None),
        ("POST", "tables", table),
        ("PATCH", "tables/far.s.users", comment),
        ("DELETE", "tables/far.s.users", None),
    ]:
        told = here.refused(400, method, f"{UNITY}/{path}", body).message
        assert "another Unity Catalog server" in told, path


def test_what_is_asked_of_a_bad_catalog_is_told(reading: Server) -> None:
    here = Api(reading.http, reading.token)
    query = {"catalog_name": "down", "schema_name": "s"}
    assert "cannot be reached" in here.refused(503, "GET", f"{UNITY}/tables", **query).message
    here.refused(404, "GET", f"{UNITY}/tables/far.s.nobody")
    Answers.tables = {"list": (200, "[1]"), "null": (200, '{"name": null}')}
    for name in Answers.tables:
        told = here.refused(400, "GET", f"{UNITY}/tables/broken.s.{name}").message
        assert "something else" in told and "broken" in told


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
