"""Metadata that earlier versions have written: what was wrong in it is healed when a server starts."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from kit.api import INSTANCES, UNITY, Api
from kit.bare_postgres import bare_postgres
from kit.identities import SCIM
from kit.server import REPO, Server

MIGRATIONS = REPO / "crates/store/migrations"
UNSET = {"custom_tags": [], "enable_readable_secondaries": False}
OFF = {"stopped": False, "enable_pg_native_login": False}
ON = {"stopped": True, "enable_pg_native_login": True}
TAGGED = UNSET | {"custom_tags": [{"key": "a", "value": "b"}]}
# Specs, each with the generation that it had and what is left of it.
SPECS: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    "masked": (2, {"capacity": "CU_2"} | UNSET | OFF, {"capacity": "CU_2"}),
    "half": (3, UNSET | ON, ON),
    "created": (1, UNSET | OFF, UNSET | OFF),
    "started": (3, {"stopped": False}, {"stopped": False}),
    "tagged": (2, TAGGED, TAGGED),
}


def at_version(url: str, version: int) -> psycopg.Connection:
    """The metadata as it was after so many migrations."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("create schema lakeport")
    connection.execute("set search_path = lakeport")
    connection.execute(
        "create table migrations (version integer primary key, checksum bytea not null,"
        " applied_at timestamptz not null default now())"
    )
    for file in sorted(MIGRATIONS.glob("*.sql"))[:version]:
        text = file.read_text()
        connection.execute(text)
        digest = hashlib.sha256(text.encode()).digest()
        number = int(file.name.split("_")[0])
        connection.execute("insert into migrations values (%s, %s)", [number, digest])
    return connection


def old_field(name: str, kind: str) -> dict[str, Any]:
    field = {"metadata": {}, "name": name, "nullable": True, "type": kind}
    return {"name": name, "type_text": kind, "type_name": "X", "type_json": json.dumps(field)}


@pytest.fixture(scope="module")
def upgraded() -> Iterator[Api]:
    with bare_postgres() as url:
        with at_version(url, 11) as connection:
            node = uuid.uuid4()
            connection.execute("insert into nodes (id) values (%s)", [node])
            for name, (generation, spec, _) in SPECS.items():
                connection.execute(
                    "insert into instances"
                    " (uid, name, node_id, creator, pg_version, spec, state, generation)"
                    " values (%s, %s, %s, 'ada@example.com', 16, %s, 'STOPPED', %s)",
                    [uuid.uuid4(), name, node, Jsonb(spec), generation],
                )
            connection.execute(
                "insert into principals (kind, user_name, display_name, entitlements)"
                " values ('GROUP', 'g', 'g', '{\"\"}'), ('GROUP', 'h', 'h', '{\"\", \"a\"}')"
            )
            connection.execute("insert into unity_catalogs (name, owner) values ('c', 'ada')")
            connection.execute(
                "insert into unity_schemas (id, catalog_name, name, owner)"
                " values (%s, 'c', 's', 'ada')",
                [uuid.uuid4()],
            )
            columns = [old_field("a", "bigint"), old_field("b", "array<struct<x:int>>")]
            connection.execute(
                "insert into unity_tables"
                " (id, catalog_name, schema_name, name, owner, storage_location, columns)"
                " values (%s, 'c', 's', 't', 'ada', 'file:///lake/t/', %s)",
                [uuid.uuid4(), Jsonb(columns)],
            )
        server = Server("--metadata-url", url)
        try:
            server.start()
            yield Api(server.http, server.token)
        finally:
            server.close()


@pytest.mark.parametrize("name", SPECS)
def test_fields_that_nobody_has_set_are_unset(upgraded: Api, name: str) -> None:
    _, before, left = SPECS[name]
    seen = upgraded.ok("GET", f"{INSTANCES}/{name}")
    assert {field: seen[field] for field in before if field in seen} == left


def test_empty_entitlements_are_gone(upgraded: Api) -> None:
    groups = {g["displayName"]: g for g in upgraded.ok("GET", f"{SCIM}/Groups")["Resources"]}
    assert "entitlements" not in groups["g"]
    assert groups["h"]["entitlements"] == [{"value": "a"}]


def test_types_of_registered_tables_are_sparks(upgraded: Api) -> None:
    table = upgraded.ok("GET", f"{UNITY}/tables/c.s.t")
    listed = upgraded.ok("GET", f"{UNITY}/tables", catalog_name="c", schema_name="s")["tables"]
    for columns in (table["columns"], listed[0]["columns"]):
        types = [json.loads(column["type_json"])["type"] for column in columns]
        field = {"name": "x", "type": "integer", "nullable": True, "metadata": {}}
        struct = {"type": "struct", "fields": [field]}
        assert types == ["long", {"type": "array", "elementType": struct, "containsNull": True}]


def test_what_is_there_can_be_renamed(upgraded: Api) -> None:
    upgraded.ok("PATCH", f"{UNITY}/catalogs/c", {"new_name": "d"})
    assert upgraded.ok("GET", f"{UNITY}/tables/d.s.t")["full_name"] == "d.s.t"
    upgraded.ok("PATCH", f"{UNITY}/catalogs/d", {"new_name": "c"})
