"""Fixtures: a real server for the session, and a fresh instance for each test that asks for one.

Nothing starts, and no SDK is imported, before a test asks.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lakeport.instance import Instance
    from lakeport.server import Server
    from lakeport.workspace import WorkspaceClient


@pytest.fixture(scope="session")
def lakeport_serve_args() -> list[str]:
    """Arguments for `lakeport serve`. Override it in a conftest.py."""
    return []


@pytest.fixture(scope="session")
def lakeport_server(lakeport_serve_args: list[str]) -> Iterator[Server]:
    """The session's server. It and all its data are gone afterwards."""
    from lakeport.server import Server

    with Server(lakeport_serve_args) as server:
        yield server


@pytest.fixture(scope="session")
def lakeport_workspace(lakeport_server: Server) -> WorkspaceClient:
    """A workspace client of the server's administrator."""
    return lakeport_server.workspace()


@pytest.fixture
def lakeport_instance(lakeport_workspace: WorkspaceClient) -> Iterator[Instance]:
    """A fresh instance for one test."""
    from lakeport.instance import Instance

    instance = Instance.create(f"test-{uuid.uuid4().hex[:12]}", lakeport_workspace)
    yield instance
    instance.delete()


@pytest.fixture(scope="session")
def lakeport_shared_instance(lakeport_workspace: WorkspaceClient) -> Instance:
    """One instance for all tests that do not mind each other."""
    from lakeport.instance import Instance

    return Instance.create(f"shared-{uuid.uuid4().hex[:12]}", lakeport_workspace)


@pytest.fixture
def lakeport_environment(
    lakeport_server: Server, lakeport_instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> Instance:
    """A fresh instance, with this process's variables set as an app on it would find them.

    `WorkspaceClient()` leads to the server; libpq, the PG variables and LAKEBASE_INSTANCE_NAME lead
    to the instance.
    """
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "PG"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(lakeport_server.config_file))
    monkeypatch.setenv("LAKEBASE_INSTANCE_NAME", lakeport_instance.name)
    monkeypatch.setenv("LAKEBASE_DATABASE_NAME", lakeport_instance.database)
    for name, value in lakeport_instance.environment.items():
        monkeypatch.setenv(name, value)
    return lakeport_instance
