"""Official clients that are not written in Python: `make setup` builds them where their tools are."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kit.server import REPO, clean_environment

CLIENTS = REPO / "target" / "clients"
# Newer than most systems'.
NODE = REPO / "target" / "venv" / "mcp-2.3.0" / "bin" / "node"


def go_client() -> list[str]:
    return [str(built(CLIENTS / "go" / "client", "go"))]


def java_client() -> list[str]:
    folder = built(CLIENTS / "java", "java", "javac", "mvn")
    return ["java", "-cp", f"{folder}/classes:{folder}/lib/*", "Client"]


def built(path: Path, *tools: str) -> Path:
    """What the tools have built. Only a machine without them may do without it."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if not path.exists() and missing:
        pytest.skip(f"this machine has no {' or '.join(missing)}")
    assert path.exists(), f"{path} is missing: run `make setup`"
    return path


def run(command: list[str], environment: dict[str, str], home: Path) -> list[str]:
    """The lines that a client prints before its "ok"."""
    done = subprocess.run(
        command,
        env=clean_environment() | {"HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    assert last == "ok"
    return lines
