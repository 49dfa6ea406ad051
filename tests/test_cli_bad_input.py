"""What goes wrong at a command line: a clear message, an exit code, and nothing half-done."""

import http.server
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from kit.api import Api
from kit.cli import Cli
from kit.names import unique
from kit.server import Server, binary

ELSEWHERE = {"DATABRICKS_CONFIG_FILE": "/dev/null", "DATABRICKS_TOKEN": "secret-token"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("database get-database-instance", "NAME"),
        ("database get-database-instance x --name y", "cannot be used"),
        ("database create-database-instance x --json {", "--json is not a JSON object"),
        ("database create-database-instance x --json @/nowhere", "/nowhere"),
        ('database create-database-instance x --json {"name":"y"}', "`name`"),
        ("database create-database-instance --capacity CU_1", "`name` is missing"),
        ("database update-database-instance x", "UPDATE_MASK is missing"),
        ("database update-database-instance x stopped extra", "extra"),
        ("database generate-database-credential", "neither instance_names nor claims"),
        ("database create-database-instance-role x", "`name` is missing"),
        ("database get-database-instance-role x", "NAME is missing"),
        ("database create-database-catalog a b", "`database_name` is missing"),
        ("instance start x --timeout soon", "20m"),
        ("instance get x --output yaml", "json"),
        ("env x --style other", "lakebase"),
        ("pgpass", "NAME"),
        ("doctor --role x", "NAME"),
        ("completions cmd", "bash"),
        ("tables register a.b /tmp", "catalog.schema.table"),
        ("no-such-command", "no-such-command"),
    ],
)
def test_wrong_arguments(lakeport: Cli, arguments: str, said: str) -> None:
    code = 1 if "@/nowhere" in arguments else 2
    refused = lakeport(*arguments.split(" "), code=code)
    assert refused.stderr.startswith("error: ") and said in refused.stderr, refused.stderr
    assert refused.stdout == "" and "panicked" not in refused.stderr


def test_refused_by_the_server_before_anything_is_made(lakeport: Cli, api: Api) -> None:
    name = unique("i")
    for wrong in (
        ["--capacity", "CU_3"],
        ["--node-count", "0"],
        ["--retention-window-in-days", "1"],
    ):
        refused = lakeport("instance", "create", name, *wrong, code=1)
        assert refused.stderr.startswith("error: create database instance: ")
    lakeport("instance", "create", "no/such name", code=1)
    lakeport("instance", "get", name, code=3)
    lakeport("instance", "get", "..", code=2)


def test_unreachable_server(lakeport: Cli) -> None:
    refused = lakeport(
        "instance", "list", code=1, **ELSEWHERE, DATABRICKS_HOST="http://127.0.0.1:1"
    )
    assert "http://127.0.0.1:1/ cannot be reached" in refused.stderr
    assert "hint: check that the server runs" in refused.stderr
    unknown = lakeport("instance", "list", code=1, **ELSEWHERE, DATABRICKS_HOST="http://x.invalid")
    assert "x.invalid" in unknown.stderr
    bad = lakeport("instance", "list", "--host", "ftp://x", code=1, **ELSEWHERE)
    assert "not an http or https address" in bad.stderr


class SomePage(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path.endswith("/instances")
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b"<html><title>Some shop</title></html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def some_web_server(request: pytest.FixtureRequest) -> Iterator[str]:
    handler = getattr(request, "param", SomePage)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_wrong_server(lakeport: Cli, some_web_server: str) -> None:
    """Its "not found" is not the API's: no object is missing."""
    where = ELSEWHERE | {"DATABRICKS_HOST": some_web_server}
    for command in (["instance", "get", "x"], ["instance", "list"]):
        refused = lakeport(*command, code=1, **where)
        assert "workspace or a Lakeport server" in refused.stderr
        assert "secret-token" not in refused.stderr


def test_plain_http_sent_to_a_tls_port(lakeport: Cli, server: Server) -> None:
    where = ELSEWHERE | {"DATABRICKS_HOST": server.https}
    unknown_ca = lakeport("instance", "list", code=1, **where)
    assert "LAKEPORT_CA_FILE" in unknown_ca.stderr
    lakeport("instance", "list", code=4, **where, LAKEPORT_CA_FILE=str(server.ca_file))
    missing = lakeport("instance", "list", code=1, **where, LAKEPORT_CA_FILE="/nowhere.pem")
    assert "/nowhere.pem" in missing.stderr


def test_terminal_of_forty_columns(lakeport: Cli, instance: dict) -> None:
    code, wide = lakeport.on_terminal("instance", "list", columns=160)
    assert code == 0 and wide.splitlines()[0].split()[:2] == ["NAME", "STATE"]
    code, narrow = lakeport.on_terminal("instance", "list", columns=40)
    assert code == 0
    # Names are longer than the terminal is wide only where one value alone is.
    assert f"NAME      {instance['name']}" in narrow.splitlines()
    assert all(len(line) <= 40 for line in narrow.splitlines()), narrow
    code, shown = lakeport.on_terminal("instance", "get", instance["name"], columns=40)
    assert code == 0 and "AVAILABLE" in shown


def test_progress_on_a_narrow_terminal_stays_on_its_line(lakeport: Cli, own_instance: dict) -> None:
    name = own_instance["name"]
    code, shown = lakeport.on_terminal("instance", "stop", name, columns=30)
    assert code == 0 and "STOPPED" in shown
    progress = [part for part in shown.split("\r\x1b[K") if part.startswith("instance `")]
    assert progress and all(len(line.splitlines()[0]) < 30 for line in progress)


def test_without_a_terminal_there_is_json_and_no_progress(
    lakeport: Cli, own_instance: dict
) -> None:
    stopped = lakeport("instance", "stop", own_instance["name"])
    assert json.loads(stopped.stdout)["state"] == "STOPPED" and stopped.stderr == ""
    quiet = lakeport("instance", "delete", own_instance["name"], "--quiet")
    assert quiet.stderr == ""
    lakeport("instance", "create", own_instance["name"])


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_broken_pipe_is_no_failure(lakeport: Cli, instance: dict, stream: str) -> None:
    read, write = os.pipe()
    os.close(read)
    arguments = ["instance", "get", instance["name"] if stream == "stdout" else "nobody"]
    done = subprocess.run(
        [binary(), *arguments],
        env=lakeport.environment,
        stdin=subprocess.DEVNULL,
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | {stream: write},
        timeout=60,
    )
    os.close(write)
    assert done.returncode == (0 if stream == "stdout" else 3)
    assert not done.stderr


class SlowCloud(http.server.BaseHTTPRequestHandler):
    """Takes minutes to make an instance, as the cloud does and a Lakeport server does not."""

    asked = threading.Event()

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.command == "GET":
            self.asked.set()
        body = json.dumps({"name": "slow", "state": "STARTING"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("some_web_server", [SlowCloud], indirect=True)
def test_ctrl_c_says_what_goes_on_by_itself(lakeport: Cli, some_web_server: str) -> None:
    where = ELSEWHERE | {"DATABRICKS_HOST": some_web_server}
    waiting = lakeport.start("instance", "create", "slow", stderr=subprocess.PIPE, env=where)
    assert SlowCloud.asked.wait(60)
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert "instance `slow` is STARTING, and the server goes on by itself" in said
    assert "hint: lakeport instance get slow" in said
    out_of_time = lakeport("instance", "create", "slow", "--timeout", "100ms", code=1, **where)
    assert "Starting" in out_of_time.stderr and "--timeout" in out_of_time.stderr
    at_once = lakeport("instance", "create", "slow", "--no-wait", **where)
    assert json.loads(at_once.stdout) == {"name": "slow", "state": "STARTING"}
