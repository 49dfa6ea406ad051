"""Columns whose types are chosen: varchar, vector and halfvec."""

from dataclasses import replace

import pyarrow
import pytest

from kit.api import SYNCED_TABLES, Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.source import FEED
from kit.synced import SyncedTable, body_of, register


def choice(column: str, kind: str, size: int) -> dict:
    return {"column_name": column, "pg_type": f"PG_SPECIFIC_TYPE_{kind}", "size": size}


def documents(ids: list[int], code: str = "abc", numbers: list | None = None) -> pyarrow.Table:
    embeddings = [numbers or [i, 0.5, -i] for i in ids]
    return pyarrow.table(
        {
            "id": pyarrow.array(ids, pyarrow.int64()),
            "code": [code] * len(ids),
            "embedding": pyarrow.array(embeddings, pyarrow.list_(pyarrow.float32())),
            "coarse": pyarrow.array(embeddings, pyarrow.list_(pyarrow.float64())),
        }
    )


CHOICES = [
    choice("code", "VARCHAR", 5),
    choice("embedding", "VECTOR", 3),
    choice("coarse", "HALFVEC", 3),
]


@pytest.fixture
def with_vectors(login: Login) -> Login:
    with login.connect() as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    return login


@pytest.fixture
def name(api: Api, catalog: str, delta: DeltaTables) -> str:
    rows = documents([1, 2, 3])
    name = f"{catalog}.{catalog}.documents"
    register(api, name, delta.write("documents", rows, configuration=FEED))
    return name


def body(name: str, instance: dict, *choices: dict) -> dict:
    body = body_of(f"{name}_synced", instance["name"], name, ["id"], "TRIGGERED")
    body["spec"]["type_overrides"] = list(choices)
    return body


def test_vectors_are_searched_and_follow_changes(
    api: Api, instance: dict, delta: DeltaTables, with_vectors: Login, name: str
) -> None:
    api.ok("POST", SYNCED_TABLES, body(name, instance, *CHOICES))
    table = SyncedTable(api, f"{name}_synced")
    table.wait_online()
    assert table.get()["spec"]["type_overrides"] == CHOICES
    relation = name.split(".", 1)[1] + "_synced"
    types = f"""SELECT array_agg(format_type(atttypid, atttypmod) ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = '{relation}'::regclass AND attnum > 0"""
    wanted = ["bigint", "character varying(5)", "vector(3)", "halfvec(3)"]
    assert with_vectors.value(types) == wanted
    with with_vectors.connect() as connection:
        connection.execute(f"CREATE INDEX ON {relation} USING hnsw (embedding vector_l2_ops)")
    nearest = f"SELECT id FROM {relation} ORDER BY embedding <-> '[3,0.5,-3]' LIMIT 1"
    assert with_vectors.value(nearest) == 3

    delta.write("documents", documents([3000], "new"), mode="append")
    assert table.refresh()["state"] == "COMPLETED"
    assert "1 rows inserted, 0 updated" in table.status()["message"]
    assert with_vectors.value(nearest.replace("[3,0.5,-3]", "[2999,0,-2999]")) == 3000
    # Nothing has changed, and values of these types are compared too.
    assert table.refresh(full_refresh=True)["state"] == "COMPLETED"
    assert "0 rows inserted, 0 updated, 0 deleted" in table.status()["message"]


@pytest.mark.parametrize(
    ("rows", "column", "named"),
    [
        (documents([9], "too long"), "code", "8 characters"),
        (documents([9], numbers=[1.0, 2.0]), "embedding", "it has 2"),
        (documents([9], numbers=[1.0, 2.0, 1e6]), "coarse", "finite"),
    ],
    ids=["varchar", "vector", "halfvec"],
)
def test_a_value_that_does_not_fit_is_named(
    api: Api, instance: dict, delta: DeltaTables, with_vectors: Login, name: str, rows, column, named
) -> None:
    api.ok("POST", SYNCED_TABLES, body(name, instance, *CHOICES))
    table = SyncedTable(api, f"{name}_synced")
    table.wait_online()
    delta.write("documents", rows, mode="append")
    assert table.refresh()["state"] == "FAILED"
    message = table.status()["message"]
    assert f'"{column}"' in message and "id=9" in message and named in message, message


def test_choices_that_cannot_be_are_refused(
    api: Api, instance: dict, with_vectors: Login, name: str
) -> None:
    def refusal(wanted: dict) -> str:
        message = api.refused(400, "POST", SYNCED_TABLES, wanted).message
        api.refused(404, "GET", f"{SYNCED_TABLES}/{name}_synced")
        return message

    for wrong, named in (
        (choice("nothing", "VARCHAR", 5), 'no column "nothing"'),
        (choice("id", "VARCHAR", 5), '"id" has the type bigint'),
        (choice("code", "VECTOR", 3), '"code" has the type string'),
        (choice("code", "BIT", 3), '"BIT"'),
        (choice("embedding", "VECTOR", 16_001), "1 to 16000"),
    ):
        message = refusal(body(name, instance, wrong))
        assert message.startswith("spec") and named in message, message
    twice = refusal(body(name, instance, CHOICES[0], CHOICES[0]))
    assert "twice" in twice
    elsewhere = body(name, instance, *CHOICES) | {"logical_database_name": "postgres"}
    with replace(with_vectors, dbname="postgres").connect() as connection:
        connection.execute("DROP EXTENSION IF EXISTS vector")
    assert "CREATE EXTENSION vector" in refusal(elsewhere)
    key = body(name, instance)
    key["spec"]["primary_key_columns"] = ["embedding"]
    assert "cannot be part of a primary key" in refusal(key)
