"""`lakeport apps run`: real apps in four frameworks, and what goes wrong with apps."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import OperationFailed
from databricks.sdk.service.apps import AppDeployment

from kit.api import Api
from kit.login import Login
from kit.names import unique
from kit.runner import Runner
from kit.server import REPO, Server, binary, clean_environment
from kit.waiting import eventually

APPS = "/api/2.0/apps"
SOURCES = Path(__file__).with_name("apps")
FRAMEWORKS = ["flask", "fastapi", "streamlit", "node"]


def cli(
    server: Server, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [binary(), *arguments],
        cwd=cwd,
        env=clean_environment() | {"DATABRICKS_CONFIG_FILE": str(server.config_file)},
        capture_output=True,
        text=True,
        timeout=120,
    )


# --- Four frameworks ------------------------------------------------------------------------------


def visit(runner: Runner) -> dict[str, Any]:
    """A pool may notice late that its connections are gone: a visitor would reload the page."""

    def once() -> dict[str, Any] | None:
        if not runner.name.startswith("streamlit"):
            answer = requests.get(runner.url(), timeout=60)
            return answer.json() if answer.status_code == 200 else None
        port = runner.url().rsplit(":", 1)[1]
        python = REPO / "target" / "venv" / "apps" / "bin" / "python"
        page = subprocess.run(
            [python, SOURCES / "streamlit_visit.py", port],
            capture_output=True,
            text=True,
            timeout=60,
        )
        return json.loads(page.stdout) if page.returncode == 0 else None

    try:
        return eventually(once, f"a page of {runner.name}", until=bool)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{runner.text}") from error


def test_apps_of_four_frameworks(apps_server: Server, tmp_path: Path) -> None:
    api = Api(apps_server.http, apps_server.token)
    shop = unique("shop")
    api.create_instance(shop)
    instance = api.wait_for_state(shop, "AVAILABLE")
    runners = {}
    try:
        for framework in FRAMEWORKS:
            name = f"{framework}-app"
            source = shutil.copytree(SOURCES / framework, tmp_path / framework)
            api.ok("POST", APPS, {"name": name})
            # The line of the quick reference.
            added = cli(
                apps_server,
                *("apps", "add-resource", name, "--resource-type", "database"),
                *("--resource-name", "lakebase", "--database-instance", shop),
            )
            assert added.returncode == 0, added.stderr
            runners[framework] = Runner.of_app(
                apps_server, tmp_path / f"{name}.log", name, "--source", str(source), venv="apps"
            )
        for framework, runner in runners.items():
            app = api.ok("GET", f"{APPS}/{runner.name}")
            page = visit(runner)
            assert page == {
                "greeting": f"hello from {framework}",
                "user": app["service_principal_client_id"],
                "visits": 1,
            }
        live_through_the_expiry_of_tokens(api, instance, runners)
        live_through_a_restart(api, shop, runners)
        live_through_a_redeployment(apps_server, runners, tmp_path)
    finally:
        for runner in runners.values():
            runner.close()


def live_through_the_expiry_of_tokens(
    api: Api, instance: dict[str, Any], runners: dict[str, Runner]
) -> None:
    owner = Login.to(api, instance)

    def expired() -> bool:
        try:
            owner.connect().close()
            return False
        except psycopg.OperationalError as error:
            return "expired" in str(error)

    # A token that is younger than any that the apps began with. Sessions outlive theirs.
    eventually(expired, "a token has expired", until=bool)
    for framework, runner in runners.items():
        assert visit(runner)["visits"] >= 2, framework


def live_through_a_restart(api: Api, shop: str, runners: dict[str, Runner]) -> None:
    """Every session ends; new ones need tokens that are younger than the expired ones."""
    path = f"/api/2.0/database/instances/{shop}"
    for stopped, state in ((True, "STOPPED"), (False, "AVAILABLE")):
        api.ok("PATCH", path, {"stopped": stopped}, update_mask="stopped")
        api.wait_for_state(shop, state)
    for framework, runner in runners.items():
        assert visit(runner)["visits"] >= 3, framework


def live_through_a_redeployment(
    server: Server, runners: dict[str, Runner], tmp_path: Path
) -> None:
    workspace = WorkspaceClient(config_file=str(server.config_file), profile="DEFAULT")
    waiters = []
    for framework, runner in runners.items():
        source = shutil.copytree(SOURCES / framework, tmp_path / f"{framework}-2")
        manifest = source / "app.yaml"
        manifest.write_text(manifest.read_text().replace("hello", "welcome"))
        deployment = AppDeployment(source_code_path=str(source))
        waiters.append(workspace.apps.deploy(runner.name, deployment))
    for waiter in waiters:
        assert waiter.result().status.state.value == "SUCCEEDED"
    for framework, runner in runners.items():
        page = visit(runner)
        assert page["greeting"] == f"welcome from {framework}"
        assert page["visits"] >= 4, framework


def test_guide(server: Server, api: Api, tmp_path: Path) -> None:
    """The guide's commands in their order, and its app.yaml, for the FastAPI app."""
    text = (REPO / "docs" / "apps.md").read_text()
    first, then = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (manifest,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    api.create_instance("my-instance")
    api.wait_for_state("my-instance", "AVAILABLE")
    source = shutil.copytree(SOURCES / "fastapi", tmp_path / "my-app")
    (source / "app.yaml").write_text(manifest)
    shutil.copytree(source, tmp_path / "my-app-2")
    *prepare, run = [line.split()[1:] for line in first.splitlines()]
    for command in prepare:
        assert cli(server, *command).returncode == 0, command
    assert run[:3] == ["apps", "run", "my-app"]
    runner = Runner(
        server, tmp_path / "log", "my-app", *run, "--port", "0", venv="apps", cwd=tmp_path
    )
    try:
        assert visit(runner)["greeting"] == "hello"
        for line in then.splitlines():
            done = cli(server, *line.split("#")[0].split()[1:], cwd=tmp_path)
            assert done.returncode == 0, done.stderr
    finally:
        runner.close()
    api.delete_instance("my-instance")


# --- One small app, and what goes wrong -----------------------------------------------------------

APP = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())

HTTPServer(("127.0.0.1", int(os.environ["DATABRICKS_APP_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def app(api: Api) -> Iterator[str]:
    name = unique("app")
    api.ok("POST", APPS, {"name": name})
    yield name
    api.ok("DELETE", f"{APPS}/{name}")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    return folder


class Runs:
    """Starts runs of one app, and ends them after the test."""

    def __init__(self, server: Server, tmp_path: Path, app: str) -> None:
        self.server, self.tmp_path, self.app = server, tmp_path, app
        self.all: list[Runner] = []

    def __call__(self, *arguments: str) -> Runner:
        log = self.tmp_path / f"run{len(self.all)}.log"
        self.all.append(Runner.of_app(self.server, log, self.app, *arguments, venv="kit"))
        return self.all[-1]


@pytest.fixture
def run(server: Server, tmp_path: Path, app: str) -> Iterator[Runs]:
    runs = Runs(server, tmp_path, app)
    yield runs
    for runner in runs.all:
        runner.close()


def status(api: Api, app: str) -> tuple[str, str]:
    seen = api.ok("GET", f"{APPS}/{app}")
    return seen["compute_status"]["state"], seen["app_status"]["state"]


def test_the_process_has_the_platforms_environment_and_not_the_callers(
    api: Api, server: Server, run: Runs, app: str, source: Path
) -> None:
    runner = run("--source", str(source))
    environment = runner.visit()
    assert environment["DATABRICKS_HOST"] == server.http
    assert environment["DATABRICKS_APP_NAME"] == app
    assert environment["DATABRICKS_APP_PORT"] == runner.url().rsplit(":", 1)[1]
    assert environment["DATABRICKS_CLIENT_SECRET"]
    assert not [name for name in environment if name.startswith(("LAKEPORT", "DATABRICKS_CONFIG"))]
    assert not [name for name in environment if name.startswith("PG") and name != "PGSSLROOTCERT"]
    assert server.token not in environment.values()
    seen = api.ok("GET", f"{APPS}/{app}")
    assert (seen["app_status"]["state"], seen["url"]) == ("RUNNING", runner.url())
    assert seen["active_deployment"]["source_code_path"] == str(source)

    assert runner.stop() == 0
    assert status(api, app) == ("ACTIVE", "UNAVAILABLE")
    with pytest.raises(requests.ConnectionError):
        requests.get(runner.url(), timeout=5)
    # The same again, from the deployment that is there.
    assert run().visit()["DATABRICKS_APP_NAME"] == app


def test_stop_and_start(api: Api, run: Runs, app: str, source: Path) -> None:
    runner = run("--source", str(source))
    runner.visit()
    api.ok("POST", f"{APPS}/{app}/stop", {})
    eventually(lambda: status(api, app), "stopped", until=("STOPPED", "UNAVAILABLE").__eq__)
    with pytest.raises(requests.ConnectionError):
        requests.get(runner.url(), timeout=5)
    api.ok("POST", f"{APPS}/{app}/start", {})
    eventually(lambda: status(api, app), "started", until=("ACTIVE", "RUNNING").__eq__)
    runner.visit()


def test_a_crash_is_followed_by_a_restart(api: Api, run: Runs, app: str, source: Path) -> None:
    runner = run("--source", str(source))
    runner.visit()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{runner.url()}/crash", timeout=30)
    runner.says(r"the app has crashed: it ended with exit code 3; it is started again in 1 s")
    eventually(lambda: status(api, app)[1], "it runs again", until="RUNNING".__eq__)
    runner.visit()


def test_a_deployment_that_fails_is_followed_by_the_one_before(
    workspace: WorkspaceClient, run: Runs, app: str, source: Path, tmp_path: Path
) -> None:
    runner = run("--source", str(source))
    runner.visit()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "app.yaml").write_text("command: [python, app.py]\nenv:\n  - name: A\n")
    deployment = AppDeployment(source_code_path=str(broken))
    with pytest.raises(OperationFailed, match="line 3, column 5"):
        workspace.apps.deploy(app, deployment).result()
    (broken / "app.yaml").write_text("command: [python, -c, 'raise SystemExit(4)']\n")
    with pytest.raises(OperationFailed, match="exit code 4"):
        workspace.apps.deploy(app, deployment).result()
    eventually(
        lambda: workspace.apps.get(app).app_status.state.value, "back", until="RUNNING".__eq__
    )
    assert workspace.apps.get(app).active_deployment.source_code_path == str(source)
    runner.visit()


def test_another_run_takes_over(run: Runs, app: str, source: Path) -> None:
    first = run("--source", str(source))
    first.visit()
    second = run()
    second.visit()
    assert first.ends() == 1
    assert "another one has taken its place" in first.text
    second.visit()


@pytest.mark.parametrize(
    ("manifest", "code", "text"),
    [
        ("command: python app.py\n", 2, r"app.yaml: line 1, column 10: "),
        ("command: [python, app.py]\nenvironment: []\n", 2, r"app.yaml: line 2, column 1: "),
        ("command: [python\n", 2, r"app.yaml: line \d+, column \d+: "),
        ("command: [nowhere-to-be-found]\n", 1, r"`nowhere-to-be-found` cannot be started"),
        ("command: [python, -c, 'raise SystemExit(7)']\n", 1, r"ended before it .* exit code 7"),
        ("command: [sleep, '600']\n", 1, r"did not listen on port \d+ within 1 s"),
        (
            "env: [{name: A, valueFrom: cache}]\n",
            1,
            r"variable `A` takes its value from resource `cache`, which the app does not have",
        ),
    ],
)
def test_an_app_that_cannot_run_says_why(
    api: Api, run: Runs, app: str, source: Path, manifest: str, code: int, text: str
) -> None:
    (source / "app.yaml").write_text(manifest)
    runner = run("--source", str(source), "--start-timeout", "1s")
    assert runner.ends() == code
    runner.says(rf"error: .*{text}")
    deployments = api.ok("GET", f"{APPS}/{app}/deployments")["app_deployments"]
    # What is wrong with the manifest is found before anything is deployed.
    assert [d["status"]["state"] for d in deployments] == ([] if code == 2 else ["FAILED"])
    assert status(api, app) == ("ACTIVE", "UNAVAILABLE")


def test_wrong_arguments_are_explained(server: Server, app: str, source: Path) -> None:
    for arguments, code, text in [
        (["run", "nobody", "--source", str(source)], 3, "not found"),
        (["run", app, "--source", "/nowhere"], 2, "/nowhere"),
        (["run", app], 2, "has no deployment"),
        (["get", "nobody"], 3, "not found"),
        (["create", "A"], 1, "name: "),
        (["remove-resource", app, "--resource-name", "x"], 3, "no resource `x`"),
        (
            ["add-resource", app, "--resource-type", "database", "--database-instance", "nope"],
            3,
            "nope",
        ),
        (
            ["add-resource", app, "--resource-type", "queue", "--database-instance", "i"],
            2,
            "queue",
        ),
    ]:
        done = cli(server, "apps", *arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert text in done.stderr, (arguments, done.stderr)


def test_a_taken_port_is_named(server: Server, app: str, source: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = cli(server, "apps", "run", app, "--source", str(source), "--port", port)
    assert done.returncode == 1
    assert f"port {port}" in done.stderr and "--port" in done.stderr
