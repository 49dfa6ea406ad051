"""The command line as people and scripts use it, against the real server."""

import json
import subprocess
from pathlib import Path

import pyarrow
import pytest

from kit.api import SYNCED_TABLES, Api
from kit.cli import Cli
from kit.delta import DeltaTables
from kit.names import unique
from kit.server import REPO, Server
from kit.synced import SyncedTable, register

# The PostgreSQL wheel's psql has no TLS; Debian's, where there is one, has.
CANDIDATES = (REPO / "target/postgres/16/bin/psql", Path("/usr/bin/psql"))
PSQL = [path for path in CANDIDATES if path.exists()]


@pytest.mark.parametrize("spelling", ["positional", "--name"])
def test_life_of_an_instance(lakeport: Cli, spelling: str) -> None:
    name = unique("cli")
    named = [name] if spelling == "positional" else ["--name", name]
    create = ["database", "create-database-instance", *named, "--capacity", "CU_1"]
    made = json.loads(lakeport(*create).stdout)
    assert (made["name"], made["state"]) == (name, "AVAILABLE")
    got = json.loads(lakeport("database", "get-database-instance", *named).stdout)
    assert got["uid"] == made["uid"]
    listed = json.loads(lakeport("database", "list-database-instances").stdout)
    assert name in [instance["name"] for instance in listed]
    body = json.dumps({"instance_names": [name]})
    credential = lakeport(
        "database", "generate-database-credential", "--request-id", "r", "--json", body
    )
    assert json.loads(credential.stdout)["token"].count(".") == 2
    stop = ["database", "update-database-instance", name, "stopped", "--json", '{"stopped": true}']
    assert json.loads(lakeport(*stop).stdout)["stopped"] is True
    lakeport("instance", "start", name)
    lakeport("database", "delete-database-instance", *named)


def test_exit_codes_and_hints(lakeport: Cli, server: Server) -> None:
    missing = lakeport("database", "get-database-instance", "nobody-knows", code=3)
    assert missing.stderr.startswith("error: ") and "not found" in missing.stderr
    lakeport("database", "no-such-command", code=2)
    refused = lakeport(
        "database",
        "list-database-instances",
        code=4,
        DATABRICKS_HOST=server.http,
        DATABRICKS_TOKEN="lkpt_wrong",
        DATABRICKS_CONFIG_FILE="/dev/null",
    )
    assert "lkpt_wrong" not in refused.stderr and "lkpt_wrong" not in refused.stdout


@pytest.mark.parametrize("psql", PSQL, ids=lambda path: str(path.parent.parent.name))
def test_psql_of_any_make(lakeport: Cli, instance: dict, psql: Path) -> None:
    command = ["psql", instance["name"], "--psql", str(psql), "--", "-Atc"]
    assert lakeport(*command, "select current_user").stdout == "admin@lakeport.local\n"
    lakeport(*command, "select 1/0", code=1)


def test_psql_of_a_stopped_instance_says_so(lakeport: Cli, api: Api, own_instance: dict) -> None:
    name = own_instance["name"]
    lakeport("instance", "stop", name)
    api.wait_for_state(name, "STOPPED")
    refused = lakeport("psql", name, "--", "-c", "select 1", code=1)
    assert "stopped" in refused.stderr.lower() and "hint:" in refused.stderr


def test_env_is_all_that_libpq_needs(lakeport: Cli, instance: dict) -> None:
    printed = lakeport("env", instance["name"]).stdout
    script = f'{printed}\n"{PSQL[-1]}" -Atc "select 41 + 1"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    if PSQL[-1] == Path("/usr/bin/psql"):
        assert done.stdout == "42\n", done.stderr
    assert "PGPASSWORD" in printed and "PGSSLMODE" in printed


def test_tables_are_registered_by_path(lakeport: Cli, delta: DeltaTables) -> None:
    delta.write("orders", pyarrow.table({"id": [1, 2]}))
    name = f"{unique('c')}.shop.orders"
    made = lakeport("tables", "register", name, str(delta.path("orders")), "-o", "json")
    assert json.loads(made.stdout)["full_name"] == name
    described = json.loads(lakeport("tables", "describe", name, "-o", "json").stdout)
    assert [column["name"] for column in described["columns"]] == ["id"]
    rows = json.loads(lakeport("tables", "preview", name, "-o", "json").stdout)
    assert rows == {"version": 0, "row_count": 2, "rows": [{"id": "1"}, {"id": "2"}]}
    seen = lakeport("tables", "preview", name, "--limit", "1", "-o", "text").stdout
    assert seen == "id\n1\n\n1 of 2 rows at version 0\n"
    lakeport("tables", "register", name, str(delta.path("nowhere")), code=1)


def test_a_postgresql_table_gets_a_three_part_name(
    lakeport: Cli, instance: dict, catalog: str
) -> None:
    made = f"CREATE SCHEMA {catalog}; CREATE TABLE {catalog}.orders (id int PRIMARY KEY)"
    psql = ["psql", instance["name"], "--psql", str(PSQL[-1]), "--", "-v", "ON_ERROR_STOP=1"]
    lakeport(*psql, "-c", made)
    name = f"{catalog}.{catalog}.orders"
    where = ["--database-instance-name", instance["name"]]
    where += ["--logical-database-name", "databricks_postgres"]
    lakeport("database", "create-database-table", name, *where)
    got = json.loads(lakeport("database", "get-database-table", "--name", name).stdout)
    assert (got["name"], got["database_instance_name"]) == (name, instance["name"])
    lakeport("database", "delete-database-table", name)
    lakeport("database", "get-database-table", name, code=3)


def test_updates_that_the_service_does_not_have_say_so(
    lakeport: Cli, api: Api, instance: dict, delta: DeltaTables, catalog: str
) -> None:
    """The official CLI hides these two; the service answers them with 501."""
    own = unique("c")
    create = ["create-database-catalog", own, instance["name"], "databricks_postgres"]
    lakeport("database", *create)
    try:
        where = [own, "database_name", instance["name"], "postgres"]
        for arguments in (where, [own, "*", "--json", '{"database_name": "postgres"}']):
            refused = lakeport("database", "update-database-catalog", *arguments, code=1)
            assert "Update Database Catalog is not yet implemented" in refused.stderr
            assert refused.stdout == ""
        kept = json.loads(lakeport("database", "get-database-catalog", own).stdout)
        assert kept["database_name"] == "databricks_postgres"
    finally:
        lakeport("database", "delete-database-catalog", own)
    register(api, f"{catalog}.{catalog}.source", delta.write("source", pyarrow.table({"id": [1]})))
    name = f"{unique('c')}.s.t"
    source = f"{catalog}.{catalog}.source"
    table = SyncedTable.create(api, name, instance["name"], source, ["id"])
    table.wait_online()
    update = ["database", "update-synced-database-table", name, "spec"]
    refused = lakeport(*update, "--json", '{"spec": {"scheduling_policy": "TRIGGERED"}}', code=1)
    assert "Update Synced Database Table is not yet implemented" in refused.stderr
    api.ok("DELETE", f"{SYNCED_TABLES}/{name}")
    for missing in ("update-database-catalog", "update-synced-database-table"):
        absent = lakeport("database", missing, "no.such.one", "spec", code=3)
        assert "not found" in absent.stderr
        assert "UPDATE_MASK" in lakeport("database", missing, "only-a-name", code=2).stderr
    assert "update-synced" not in lakeport("database", "--help").stdout
