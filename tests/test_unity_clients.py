"""Clients of Unity Catalog that others have made, unmodified: DuckDB, polars and the open-source SDK."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from kit.api import CATALOGS, UNITY, Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.names import unique
from kit.server import REPO, Server
from kit.synced import make_schema, register

TYPED = pyarrow.table(
    {
        "i": pyarrow.array([1], pyarrow.int64()),
        "s": pyarrow.array([1], pyarrow.int16()),
        "d": pyarrow.array([None], pyarrow.decimal128(10, 2)),
        "t": pyarrow.array([None], pyarrow.timestamp("us", "UTC")),
        "list": pyarrow.array([[1]], pyarrow.list_(pyarrow.int32())),
        "map": pyarrow.array([[("k", 0.5)]], pyarrow.map_(pyarrow.string(), pyarrow.float64())),
        "struct": pyarrow.array(
            [{"a b": 1, "c": ["x"]}],
            pyarrow.struct([("a b", pyarrow.int64()), ("c", pyarrow.list_(pyarrow.string()))]),
        ),
    }
)
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


def test_polars_knows_the_types_of_columns(
    api: Api, server: Server, instance: dict, delta: DeltaTables
) -> None:
    catalog, shown = unique("c"), unique("c")
    make_schema(api, catalog, "shop")
    register(api, f"{catalog}.shop.typed", delta.write("typed", TYPED))
    seen = run(server, "unity_polars_script.py", catalog, "shop")
    assert seen == {
        "typed": {
            "i": "Int64",
            "s": "Int16",
            "d": "Decimal(precision=10, scale=2)",
            "t": "Datetime(time_unit='us', time_zone=None)",
            "list": "List(Int32)",
            "map": "List(Struct({'key': String, 'value': Float64}))",
            "struct": "Struct({'a b': Int64, 'c': List(String)})",
        }
    }

    body = {"name": shown, "database_instance_name": instance["name"], "database_name": shown}
    api.ok("POST", CATALOGS, body | {"create_database_if_not_exists": True})
    with Login.to(api, instance).connect(dbname=shown) as connection:
        connection.execute("create table t (id bigint primary key, tags text[], price numeric(10,2))")
    seen = run(server, "unity_polars_script.py", shown, "public")
    price = "Decimal(precision=10, scale=2)"
    assert seen == {"t": {"id": "Int64", "tags": "List(String)", "price": price}}
    api.ok("DELETE", f"{CATALOGS}/{shown}")


def test_the_open_source_sdk_makes_a_catalog_and_takes_it_away(
    api: Api, server: Server, delta: DeltaTables
) -> None:
    catalog, location = unique("c"), delta.write("users", ROWS)
    seen = run(server, "unity_sdk_script.py", catalog, location)
    assert seen["comment"] == "changed by the SDK"
    assert (seen["schemas"], seen["tables"]) == ([f"{catalog}.default", f"{catalog}.s"], ["t"])
    assert seen["columns"] == [["id", "LONG"], ["name", "STRING"]]
    assert Path(seen["location"].removeprefix("file://")) == delta.path("users")
    assert int(seen["expires"]) > 0 and catalog not in seen["left"]
    api.refused(404, "GET", f"{UNITY}/catalogs/{catalog}")
