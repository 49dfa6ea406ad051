"""Agents' memory: Databricks' own classes, as a user and as a service principal."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.api import Api
from kit.names import unique
from kit.server import REPO, Server, clean_environment

PYTHON = REPO / "target" / "venv" / "memory" / "bin" / "python"
SCRIPT = Path(__file__).with_name("memory_script.py")
PARTS = [
    "CheckpointSaver",
    "AsyncCheckpointSaver",
    "DatabricksStore",
    "AsyncDatabricksStore",
    "AsyncDatabricksSession",
    "LongRunningAgentServer",
    "guide",
]


@dataclass
class Agent:
    """Who remembers, in which instance and schema."""

    instance: str
    schema: str
    identity: dict[str, str]


@pytest.fixture(scope="module", params=["user", "service principal"])
def agent(request: pytest.FixtureRequest, server: Server, api: Api) -> Iterator[Agent]:
    name = unique("memory")
    api.create_instance(name)
    api.wait_for_state(name, "AVAILABLE")
    if request.param == "user":
        yield Agent(name, "", {"DATABRICKS_CONFIG_FILE": str(server.config_file)})
    else:
        with service_principal(api, name) as identity:
            yield Agent(name, "agent-1", {"DATABRICKS_HOST": server.http} | identity)
    api.delete_instance(name)


@contextmanager
def service_principal(api: Api, instance: str) -> Iterator[dict[str, str]]:
    """The identity of an app: it may connect and create in the database, and owns nothing of it."""
    database = {
        "instance_name": instance,
        "database_name": "databricks_postgres",
        "permission": "CAN_CONNECT_AND_CREATE",
    }
    name = unique("agent")
    body = {"name": name, "resources": [{"name": "memory", "database": database}]}
    api.ok("POST", "/api/2.0/apps", body)
    run = api.ok("POST", f"/api/2.0/lakeport/apps/{name}/runs", {})
    yield {
        "DATABRICKS_CLIENT_ID": run["client_id"],
        "DATABRICKS_CLIENT_SECRET": run["client_secret"],
    }
    api.ok("DELETE", f"/api/2.0/apps/{name}")


def test_memory(agent: Agent) -> None:
    done = subprocess.run(
        [PYTHON, SCRIPT, agent.instance, agent.schema],
        env=clean_environment()
        | {"LAKEBASE_INSTANCE_NAME": agent.instance, "MLFLOW_DISABLE_TELEMETRY": "true"}
        | agent.identity,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, f"worked: {done.stdout}\n{done.stderr}"
    # The guide's savers use `public`.
    assert done.stdout.splitlines() == (PARTS[:-1] if agent.schema else PARTS)
