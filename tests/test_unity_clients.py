"""Clients of Unity Catalog that others have made, unmodified: DuckDB and the open-source SDK."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from kit.api import UNITY, Api
from kit.delta import DeltaTables
from kit.names import unique
from kit.server import REPO, Server
from kit.synced import make_schema, register

ROWS = pyarrow.table({"id": pyarrow.array([1, 2, 3], pyarrow.int64()), "name": ["a", "b", None]})


@pytest.fixture
def table(api: Api, delta: DeltaTables) -> str:
    catalog = unique("c")
    make_schema(api, catalog, "shop")
    register(api, f"{catalog}.shop.users", delta.write("users", ROWS))
    return f"{catalog}.shop.users"


def run(server: Server, script: str, *arguments: str) -> Any:
    done = subprocess.run(
        [REPO / "target/venv/unity/bin/python", REPO / "tests" / script, server.http, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "TOKEN": server.token},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_duckdb_reads_a_table_by_its_name(server: Server, table: str) -> None:
    seen = run(server, "unity_duckdb_script.py", table)
    assert ["shop", "users"] in seen["tables"]
    assert seen["rows"] == [[1, "a"], [2, "b"], [3, None]]


def test_the_open_source_sdk_makes_a_catalog_and_takes_it_away(
    api: Api, server: Server, delta: DeltaTables
) -> None:
    catalog, location = unique("c"), delta.write("users", ROWS)
    seen = run(server, "unity_sdk_script.py", catalog, location)
    assert seen["comment"] == "changed by the SDK"
    assert (seen["schemas"], seen["tables"]) == ([f"{catalog}.s"], ["t"])
    assert seen["columns"] == [["id", "LONG"], ["name", "STRING"]]
    assert Path(seen["location"].removeprefix("file://")) == delta.path("users")
    assert int(seen["expires"]) > 0 and catalog not in seen["left"]
    api.refused(404, "GET", f"{UNITY}/catalogs/{catalog}")
