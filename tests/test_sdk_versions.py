"""The official Python SDK, oldest, middle and newest, each in an environment of its own."""

import subprocess
from pathlib import Path

import pytest

from kit.server import REPO, Server, clean_environment

VENVS = REPO / "target" / "venv"
SCRIPT = Path(__file__).with_name("sdk_script.py")


@pytest.mark.parametrize("environment", ["sdk-0.61.0", "sdk-0.81.0", "kit"])
def test_life_of_an_instance(server: Server, environment: str) -> None:
    run = subprocess.run(
        [VENVS / environment / "bin" / "python", SCRIPT],
        env=clean_environment() | {"DATABRICKS_CONFIG_FILE": str(server.config_file)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "ok"
