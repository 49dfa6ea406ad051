"""The three reference tools: every call that is recorded of them, and their defects mended."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pyarrow
import pytest

from kit.api import Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.mcp import HANDSHAKE, STATELESS, StdioMcp
from kit.names import unique
from kit.server import REPO, Server, binary
from kit.synced import SyncedTable, make_schema, register

DATABASE = "manage_lakebase_database"
SYNC = "manage_lakebase_sync"
CREDENTIAL = "generate_lakebase_credential"


@pytest.fixture(scope="module")
def mcp(server: Server) -> Iterator[StdioMcp]:
    with StdioMcp(server) as client:
        yield client


@pytest.fixture
def created(mcp: StdioMcp, api: Api, name: str) -> Iterator[dict[str, Any]]:
    yield mcp.call(DATABASE, action="create_or_update", name=name, wait_seconds=60)
    if api.send("GET", f"/api/2.0/database/instances/{name}").status_code == 200:
        api.delete_instance(name)


# --- What the tools say of themselves --------------------------------------------------------------

PARAMETERS = {
    DATABASE: {
        "action", "name", "type", "capacity", "stopped", "display_name", "pg_version", "force",
        "wait_seconds", "confirm_token",
    },
    SYNC: {
        "action", "instance_name", "source_table_name", "target_table_name", "catalog_name",
        "database_name", "primary_key_columns", "scheduling_policy", "table_name", "purge_data",
        "wait_seconds", "confirm_token",
    },
    CREDENTIAL: {"instance_names", "endpoint"},
}  # fmt: skip


@pytest.mark.parametrize("era", [HANDSHAKE, STATELESS])
def test_parameters_and_choices(server: Server, era: str) -> None:
    with StdioMcp(server, era=era) as client:
        tools = client.tools()
    for name, parameters in PARAMETERS.items():
        schema = tools[name]["inputSchema"]
        assert set(schema["properties"]) == parameters
        assert schema["additionalProperties"] is False
        assert schema.get("required", []) == (["action"] if "action" in parameters else [])
        assert tools[name]["outputSchema"]["type"] == "object"
        assert tools[name]["annotations"]["title"]
        assert "default" not in str(schema["properties"].values()).split("description")[0]
    database, sync = tools[DATABASE]["inputSchema"], tools[SYNC]["inputSchema"]
    assert choices(database, "action") == ["create_or_update", "get", "list", "delete"]
    assert choices(database, "type") == ["provisioned", "autoscale"]
    assert choices(database, "capacity") == ["CU_1", "CU_2", "CU_4", "CU_8"]
    assert choices(sync, "action") == ["create_or_update", "delete"]
    assert choices(sync, "scheduling_policy") == ["TRIGGERED", "SNAPSHOT", "CONTINUOUS"]
    assert tools[DATABASE]["annotations"]["destructiveHint"] is True
    assert tools[CREDENTIAL]["annotations"]["destructiveHint"] is False


def choices(schema: dict[str, Any], name: str) -> list[str]:
    field = schema["properties"][name]
    return field.get("enum") or [choice["const"] for choice in field["oneOf"]]


# --- Instances -------------------------------------------------------------------------------------


def test_create_returns_at_once_and_says_what_to_ask(mcp: StdioMcp, api: Api, name: str) -> None:
    made = mcp.call(DATABASE, action="create_or_update", name=name, capacity="CU_1")
    assert made["status"] == "CREATING" and made["created"] is True
    assert (made["name"], made["capacity"], made["type"]) == (name, "CU_1", "provisioned")
    assert made["message"]
    while poll := made.get("poll"):
        made = mcp.call(poll["tool"], **poll["arguments"]) | {"poll": None}
        if made["state"] != "AVAILABLE":
            made["poll"] = poll
    assert made["read_write_dns"]
    api.delete_instance(name)


def test_get_and_list(mcp: StdioMcp, created: dict[str, Any], name: str) -> None:
    assert created["state"] == "AVAILABLE" and "poll" not in created
    seen = mcp.call(DATABASE, action="GET", name=name)
    # The reference's strings of an enum's class would fail here.
    assert (seen["state"], seen["capacity"]) == ("AVAILABLE", "CU_1")
    assert {"creator", "creation_time", "uid", "stopped", "type", "read_write_dns"} <= set(seen)
    for arguments in ({}, {"type": "provisioned"}, {"type": "Provisioned"}):
        listed = mcp.call(DATABASE, action="list", **arguments)["databases"]
        (entry,) = [one for one in listed if one["name"] == name]
        assert set(entry) == {"name", "state", "capacity", "read_write_dns", "stopped", "type"}
    assert mcp.fails(DATABASE, action="list", type="autoscale")["error_code"] == "NOT_IMPLEMENTED"


def test_only_what_was_sent_changes(mcp: StdioMcp, api: Api, created: dict, name: str) -> None:
    changed = mcp.call(
        DATABASE, action="create_or_update", name=name, capacity="CU_2", stopped=True,
        wait_seconds=60,
    )  # fmt: skip
    assert (changed["status"], changed["created"]) == ("UPDATED", False)
    assert (changed["state"], changed["capacity"]) == ("STOPPED", "CU_2")
    # A client that sends every parameter sends nulls.
    nulls = {"type": None, "capacity": None, "stopped": None, "force": None, "pg_version": None}
    for arguments in ({}, nulls):
        same = mcp.call(DATABASE, action="create_or_update", name=name, **arguments)
        assert same["status"] == "NO_CHANGES"
        assert (same["capacity"], same["stopped"]) == ("CU_2", True)
    started = mcp.call(
        DATABASE, action="create_or_update", name=name, stopped=False, wait_seconds=60
    )
    assert (started["state"], started["capacity"]) == ("AVAILABLE", "CU_2")
    assert started["read_write_dns"]


def test_an_absent_instance_is_an_error(mcp: StdioMcp) -> None:
    for action in ("get", "delete"):
        error = mcp.fails(DATABASE, action=action, name="absent")
        assert error["error_code"] == "RESOURCE_DOES_NOT_EXIST"
        assert (error["name"], error["state"], error["status"]) == ("absent", *["NOT_FOUND"] * 2)
        assert error["error"] == "Database 'absent' not found."


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        (DATABASE, {}, "action"),
        (DATABASE, {"action": "create_or_update"}, "name"),
        (DATABASE, {"action": "get"}, "name"),
        (DATABASE, {"action": "delete"}, "name"),
        (DATABASE, {"action": "drop"}, "action"),
        (DATABASE, {"action": "list", "type": "other"}, "type"),
        (DATABASE, {"action": "get", "name": "x", "type": "autoscale"}, "type"),
        (DATABASE, {"action": "create_or_update", "name": "x", "capacity": "CU_3"}, "capacity"),
        (DATABASE, {"action": "create_or_update", "name": "x", "stopped": "no"}, "stopped"),
        (DATABASE, {"action": "create_or_update", "name": "no spaces"}, "name"),
        (DATABASE, {"action": "get", "name": "x", "cascade": True}, "cascade"),
        (DATABASE, {"action": "get", "name": "x", "wait_seconds": 111}, "wait_seconds"),
        (SYNC, {"action": "create_or_update"}, "instance_name"),
        (SYNC, {"action": "delete"}, "table_name"),
        (SYNC, {"action": "delete", "table_name": "a.b"}, "table_name"),
        (CREDENTIAL, {}, "instance_names"),
        (CREDENTIAL, {"instance_names": []}, "instance_names"),
        (CREDENTIAL, {"instance_names": ["absent"]}, "absent"),
        (CREDENTIAL, {"endpoint": "projects/p/branches/b/endpoints/e"}, "endpoint"),
    ],
)
def test_what_is_wrong_is_named(
    mcp: StdioMcp, tool: str, arguments: dict[str, Any], named: str
) -> None:
    assert named in mcp.fails(tool, **arguments)["error"]


def test_a_stranger_tool_is_an_error_of_the_protocol(mcp: StdioMcp) -> None:
    with pytest.raises(Exception, match="manage_lakebase_branch"):
        mcp.call("manage_lakebase_branch", action="delete")


# --- Confirmations ---------------------------------------------------------------------------------


def test_a_deletion_is_confirmed_once(mcp: StdioMcp, api: Api, created: dict, name: str) -> None:
    plan = mcp.call(DATABASE, action="delete", name=name)
    assert plan["status"] == "CONFIRMATION_REQUIRED" and plan["needs_person"] is False
    assert any(name in line for line in plan["plan"])
    assert api.instance(name)["state"] == "AVAILABLE"
    token = plan["confirm_token"]
    # Bound to its arguments.
    other = mcp.fails(DATABASE, action="delete", name=name, force=True, confirm_token=token)
    assert other["error_code"] == "CONFIRMATION_REFUSED" and "arguments" in other["error"]
    gone = mcp.call(DATABASE, action="delete", name=name, confirm_token=token, wait_seconds=60)
    assert gone["name"] == name and gone["status"] == "deleted"
    assert mcp.fails(DATABASE, action="get", name=name)["state"] == "NOT_FOUND"
    mcp.call(DATABASE, action="create_or_update", name=name, wait_seconds=60)
    again = mcp.fails(DATABASE, action="delete", name=name, confirm_token=token)
    assert again["error_code"] == "CONFIRMATION_REFUSED"


def test_a_plan_grows_stale(mcp: StdioMcp, created: dict, name: str) -> None:
    token = mcp.call(DATABASE, action="delete", name=name)["confirm_token"]
    mcp.call(DATABASE, action="create_or_update", name=name, stopped=True, wait_seconds=60)
    stale = mcp.fails(DATABASE, action="delete", name=name, confirm_token=token)
    assert stale["error_code"] == "CONFIRMATION_REFUSED" and "changed" in stale["error"]
    assert mcp.call(DATABASE, action="get", name=name)["state"] == "STOPPED"


def test_a_plan_is_known_to_its_own_server_only(mcp: StdioMcp, server: Server, instance: dict):
    token = mcp.call(DATABASE, action="delete", name=instance["name"])["confirm_token"]
    with StdioMcp(server) as other:
        refused = other.fails(
            DATABASE, action="delete", name=instance["name"], confirm_token=token
        )
    assert refused["error_code"] == "CONFIRMATION_REFUSED"


def test_as_the_reference_does_it(server: Server, created: dict, name: str) -> None:
    """Recorded calls know no confirmation; the operator can do without."""
    with StdioMcp(server, "--no-confirm") as client:
        gone = client.call(DATABASE, action="delete", name=name, force=True)
        assert gone["status"] == "deleted"


@pytest.mark.parametrize("era", [HANDSHAKE, STATELESS])
def test_a_person_confirms_what_is_protected(
    server: Server, api: Api, created: dict, name: str, era: str
) -> None:
    asked, answers = [], []

    def person(question: dict[str, Any]) -> dict[str, Any]:
        asked.append(question)
        return answers.pop()

    flags = ("--no-confirm", "--protect", f"other,{name[:-1]}*")
    delete = {"action": "delete", "name": name}
    with StdioMcp(server, *flags, era=era) as mute:
        assert mute.call(DATABASE, action="get", name=name)["protected"] is True
        token = mute.call(DATABASE, **delete)["confirm_token"]
        refused = mute.fails(DATABASE, **delete, confirm_token=token)
        assert refused["error_code"] == "PERMISSION_DENIED" and "person" in refused["error"]
    with StdioMcp(server, *flags, era=era, answer=person) as client:
        for answer in (
            {"action": "decline"},
            {"action": "accept", "content": {"name": "other"}},
            {"action": "accept", "content": {}},
        ):
            answers.append(answer)
            plan = client.call(DATABASE, **delete)
            assert plan["needs_person"] is True
            refused = client.fails(DATABASE, **delete, confirm_token=plan["confirm_token"])
            assert refused["error_code"] == "CONFIRMATION_REFUSED"
        assert api.instance(name)["state"] == "AVAILABLE"
        assert len(asked) == 3 and name in asked[0]["message"]
        # A stop interrupts it, and is asked about as well.
        stop = client.call(DATABASE, action="create_or_update", name=name, stopped=True)
        assert stop["status"] == "CONFIRMATION_REQUIRED"
        answers.append({"action": "accept", "content": {"name": name}})
        assert client.confirmed(DATABASE, **delete)["status"] == "deleted"


# --- Synced tables ---------------------------------------------------------------------------------


@pytest.fixture
def source(api: Api, delta: DeltaTables) -> str:
    """A Delta table with a change data feed, by its three-part name."""
    catalog = unique("lake")
    make_schema(api, catalog, "shop")
    rows = pyarrow.table({"id": [1, 2, 3], "name": ["a", "b", "c"]})
    feed = {"configuration": {"delta.enableChangeDataFeed": "true"}}
    register(api, f"{catalog}.shop.items", delta.write("items", rows, **feed))
    return f"{catalog}.shop.items"


def test_life_of_a_sync(mcp: StdioMcp, api: Api, instance: dict, source: str) -> None:
    catalog, schema = unique("served"), unique("s")
    target = f"{catalog}.{schema}.items"
    wish = {
        "action": "create_or_update",
        "instance_name": instance["name"],
        "source_table_name": source,
        "target_table_name": target,
        "primary_key_columns": ["id"],
    }
    made = mcp.call(SYNC, **wish, wait_seconds=60)
    assert made["created"] is True
    assert made["catalog"]["status"] == "created"
    assert made["catalog"]["database_name"] == "databricks_postgres"
    table = made["synced_table"]
    assert (table["status"], table["scheduling_policy"]) == ("CREATING", "TRIGGERED")
    assert table["source_table_name"] == source and table["target_table_name"] == target
    assert table["detailed_state"].startswith("SYNCED_TABLE_ONLINE"), table
    login = Login.to(api, instance)
    assert login.value(f"SELECT count(*) FROM {schema}.items") == 3

    again = mcp.call(SYNC, **wish)
    assert again["created"] is False
    assert again["synced_table"]["primary_key_columns"] == ["id"]
    assert again["synced_table"]["delta_version"] == 0 and again["synced_table"]["pipeline_id"]
    for change in (
        {"scheduling_policy": "CONTINUOUS"},
        {"primary_key_columns": ["name"]},
        {"source_table_name": "other.shop.items"},
    ):
        refused = mcp.fails(SYNC, **(wish | change))
        assert refused["error_code"] == "INVALID_STATE" and next(iter(change)) in refused["error"]

    delete = {"action": "delete", "table_name": target, "catalog_name": catalog}
    gone = mcp.confirmed(SYNC, **delete, wait_seconds=60)
    assert gone["synced_table"]["status"] == "deleted"
    assert gone["synced_table"]["postgres_table"] == "kept"
    assert gone["catalog"] == {"name": catalog, "status": "deleted"}
    assert login.value(f"SELECT count(*) FROM {schema}.items") == 3
    missing = mcp.fails(SYNC, **delete)
    assert missing["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_a_refused_sync_leaves_nothing_behind(
    mcp: StdioMcp, api: Api, instance: dict, source: str, delta: DeltaTables
) -> None:
    lake = source.split(".")[0]
    register(api, f"{lake}.shop.bare", delta.write("bare", pyarrow.table({"id": [1]})))
    catalog = unique("served")
    wish = {
        "action": "create_or_update",
        "instance_name": instance["name"],
        "source_table_name": f"{lake}.shop.bare",
        "target_table_name": f"{catalog}.s.bare",
        "primary_key_columns": ["id"],
    }
    for change, named in [
        ({"scheduling_policy": "SOMETIMES"}, "scheduling_policy"),
        ({"source_table_name": f"{lake}.shop.absent"}, "source_table_name"),
        ({"source_table_name": "absent"}, "source_table_name"),
        ({"target_table_name": "a.b"}, "target_table_name"),
        ({"primary_key_columns": []}, "primary_key_columns"),
        ({"primary_key_columns": ["absent"]}, "absent"),
        ({"catalog_name": "other"}, "catalog_name"),
        ({"instance_name": "absent"}, "absent"),
    ]:
        assert named in mcp.fails(SYNC, **(wish | change))["error"], change
        assert api.send("GET", f"/api/2.0/database/catalogs/{catalog}").status_code == 404


def test_a_sync_into_a_catalog_that_shows_no_database(
    mcp: StdioMcp, api: Api, instance: dict, source: str
) -> None:
    lake = source.split(".")[0]
    made = mcp.call(
        SYNC,
        action="create_or_update",
        instance_name=instance["name"],
        source_table_name=source,
        target_table_name=f"{lake}.shop.{unique('t')}",
        primary_key_columns=["id"],
        scheduling_policy="SNAPSHOT",
        wait_seconds=60,
    )
    assert made["created"] is True and "status" not in made["catalog"]
    SyncedTable(api, made["synced_table"]["table_name"]).delete(purge_data="true")


# --- Credentials -----------------------------------------------------------------------------------


def test_a_credential_opens_its_instance(mcp: StdioMcp, api: Api, instance: dict) -> None:
    credential = mcp.call(CREDENTIAL, instance_names=[instance["name"]], endpoint="ignored")
    assert set(credential) == {"instance_names", "token", "expiration_time", "message"}
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", credential["token"])
    login = Login(instance["read_write_dns"], api.user_name(), credential["token"])
    assert login.value("SELECT 1") == 1


def test_who_may_only_look(server: Server, instance: dict) -> None:
    with StdioMcp(server, "--access", "observe") as client:
        tools = client.tools()
        assert DATABASE in tools and not {SYNC, CREDENTIAL} & set(tools)
        assert client.call(DATABASE, action="get", name=instance["name"])["state"] == "AVAILABLE"
        for arguments in ({"action": "delete"}, {"action": "create_or_update"}):
            refused = client.fails(DATABASE, **arguments, name=instance["name"])
            assert refused["error_code"] == "PERMISSION_DENIED"


def test_progress_is_told_when_asked(mcp: StdioMcp, api: Api, name: str) -> None:
    mcp.notifications.clear()
    mcp.call(
        DATABASE, {"progressToken": "p-1"}, action="create_or_update", name=name, wait_seconds=60
    )
    told = [one["params"] for one in mcp.notifications if one["method"] == "notifications/progress"]
    assert told and {one["progressToken"] for one in told} == {"p-1"}
    values = [one["progress"] for one in told]
    assert values == sorted(set(values)), values
    api.delete_instance(name)


def test_the_guide_names_every_tool_and_flag(server: Server) -> None:
    guide = (REPO / "docs" / "mcp.md").read_text()
    with StdioMcp(server, "--access", "write") as client:
        for tool in client.tools():
            assert f"`{tool}`" in guide, tool
    help_text = subprocess.run(
        [str(binary()), "mcp", "--help"], capture_output=True, text=True, check=True
    ).stdout
    common = {"--help", "--profile", "--host", "--output", "--quiet", "--verbose", "--version"}
    for flag in set(re.findall(r"--[a-z-]+", help_text)) - common:
        assert flag in guide, flag
    for block in re.findall(r"^```json\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL):
        assert json.loads(block)["mcpServers"]["lakebase"]
