"""Fixtures of the end-to-end suite: one server for all, and others for those who break theirs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient

from kit.api import Api
from kit.cli import Cli
from kit.delta import DeltaTables
from kit.login import Login
from kit.names import unique
from kit.server import Server, binary
from kit.synced import make_schema


def pytest_sessionstart(session: pytest.Session) -> None:
    if not session.config.option.collectonly and not binary().exists():
        pytest.exit(f"{binary()} is missing: run `make build`, or set LAKEPORT_BIN", 2)


RUNNING: list[Server] = []


def served(*flags: str) -> Iterator[Server]:
    running = Server(*flags)
    RUNNING.append(running)
    try:
        yield running.start()
    finally:
        RUNNING.remove(running)
        running.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Shows the end of the servers' logs beside a failure: they are gone afterwards."""
    report = yield
    if report.failed:
        for running in RUNNING:
            report.sections.append((f"log of {running.data_dir}", running.log_tail()))
    return report


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server that most tests share. Who stops or kills it uses `own_server` instead."""
    yield from served()


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server for one test, which may do with it what it likes."""
    yield from served()


@pytest.fixture(scope="session")
def apps_server() -> Iterator[Server]:
    """A server for tests of apps: tokens live as briefly as possible, and apps may use `public`."""
    yield from served("--token-lifetime", "10s", "--app-public-schema")


@pytest.fixture(scope="session")
def api(server: Server) -> Api:
    return Api(server.http, server.token)


@pytest.fixture(scope="session")
def lakeport(server: Server) -> Cli:
    """The command line, as the administrator of the shared server."""
    return Cli(server.config_file)


@pytest.fixture(scope="session")
def workspace(server: Server) -> WorkspaceClient:
    return WorkspaceClient(config_file=str(server.config_file), profile="DEFAULT")


@pytest.fixture
def name() -> str:
    return unique("i")


@pytest.fixture
def own_instance(api: Api, name: str) -> Iterator[dict[str, Any]]:
    """An available instance for one test, which may change it."""
    api.create_instance(name)
    yield api.wait_for_state(name, "AVAILABLE")
    api.delete_instance(name)


@pytest.fixture(scope="session")
def instance(api: Api) -> dict[str, Any]:
    """An available instance that tests share and leave as they found it."""
    name = unique("shared")
    api.create_instance(name)
    return api.wait_for_state(name, "AVAILABLE")


@pytest.fixture
def login(api: Api, instance: dict[str, Any]) -> Login:
    """A login to the shared instance, with a fresh token."""
    return Login.to(api, instance)


@pytest.fixture
def delta(tmp_path: Path) -> DeltaTables:
    return DeltaTables(tmp_path)


@pytest.fixture
def catalog(api: Api) -> str:
    """A Unity Catalog catalog of one test, with a schema named as the catalog is."""
    name = unique("c")
    make_schema(api, name, name)
    return name


@pytest.fixture
def guide_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points `WorkspaceClient()` at the server by the profile alone, as the guides assume."""
    for variable in [v for v in os.environ if v.startswith(("DATABRICKS_", "PG"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(server.config_file))
