"""The conformance suite of MCP, and the Inspector, against the product and against its fixtures.

The product has no tools, prompts or resources of the suite's fixed names, so of the product only those
scenarios are run that need none; the others run against the example `conformance`, which stands on the
same library. What is known to fail is named here with its reason, and nothing else may.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.bearer_proxy import BearerProxy
from kit.mcp import HANDSHAKE, STATELESS
from kit.server import REPO, Server, binary, clean_environment

NODE = REPO / "target" / "venv" / "mcp-2.3.0" / "bin"
CHECKS = REPO / "target" / "clients" / "mcp" / "node_modules"
SUITE = CHECKS / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
INSPECTOR = CHECKS / ".bin" / "mcp-inspector"

# Scenarios of the product: everything that needs no fixture.
PRODUCT = {
    HANDSHAKE: ["server-initialize", "ping", "tools-list", "dns-rebinding-protection"],
    STATELESS: [
        "tools-list",
        "dns-rebinding-protection",
        "http-header-validation",
        "sep-2164-resource-not-found",
        "input-required-result-unsupported-methods",
    ],
}

# Scenarios of the fixtures that fail, and why.
KNOWN: dict[str, dict[str, str]] = {HANDSHAKE: {}, STATELESS: {}}


def environment(home: Path) -> dict[str, str]:
    path = f"{NODE}:{os.environ['PATH']}"
    return clean_environment() | {"PATH": path, "MCP_CATALOG_PATH": str(home / "catalog.json")}


def conformance(url: str, folder: Path, *arguments: str) -> dict[str, list[dict[str, str]]]:
    """The checks of each scenario that was run."""
    run = subprocess.run(
        [NODE / "node", SUITE, "server", "--url", url, "-o", folder, *arguments],
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    results = {}
    for file in folder.rglob("checks.json"):
        scenario = re.sub(r"-\d{4}-\d{2}-\d{2}T.*$", "", file.parent.name).removeprefix("server-")
        results[scenario] = json.loads(file.read_text())
    assert results, run.stdout + run.stderr
    return results


def failures(checks: list[dict[str, str]]) -> list[str]:
    return [
        f"{check['id']}: {check.get('errorMessage')}"
        for check in checks
        if check["status"] == "FAILURE"
    ]


@pytest.fixture(scope="module")
def proxy(server: Server) -> Iterator[str]:
    with BearerProxy(server.http, server.token) as running:
        yield f"{running.url}/mcp"


@pytest.mark.parametrize(
    ("version", "scenario"),
    [(version, scenario) for version, names in PRODUCT.items() for scenario in names],
)
def test_product(proxy: str, tmp_path: Path, version: str, scenario: str) -> None:
    results = conformance(proxy, tmp_path, "--scenario", scenario, "--spec-version", version)
    for checks in results.values():
        assert not failures(checks), failures(checks)


@pytest.fixture(scope="module")
def fixtures() -> Iterator[str]:
    program = binary().resolve().parent / "examples" / "conformance"
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as running:
        yield running.stdout.readline().strip()
        running.terminate()


@pytest.mark.parametrize("version", [HANDSHAKE, STATELESS])
def test_fixtures(fixtures: str, tmp_path: Path, version: str) -> None:
    results = conformance(fixtures, tmp_path, "--requirements", version)
    failed = {
        name: failed
        for name, checks in results.items()
        # An extension that is not offered: no client that is known to us asks for it.
        if not name.startswith("tasks-") and (failed := failures(checks))
    }
    assert set(failed) == set(KNOWN[version]), json.dumps(failed, indent=2)


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_inspector_has_no_complaints(proxy: str, tmp_path: Path, era: str) -> None:
    run = subprocess.run(
        [
            INSPECTOR, "--cli", f"{proxy}?access=write", "--method", "tools/list", "--strict",
            "--protocol-era", era,
        ],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Warning:" not in run.stdout + run.stderr, run.stdout + run.stderr
    assert "manage_lakebase_database" in run.stdout
