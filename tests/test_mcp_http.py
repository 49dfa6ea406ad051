"""The endpoint /mcp: who gets in, as whom, and that both generations of clients are served."""

import json
import subprocess
from typing import Any

import pytest
import requests

from kit.api import Api
from kit.identities import Machine, machine
from kit.mcp import HANDSHAKE, STATELESS, HttpMcp
from kit.server import REPO, Server, binary, clean_environment

DATABASE = "manage_lakebase_database"
VENVS = REPO / "target" / "venv"
SCRIPT = REPO / "tests" / "mcp_script.py"


@pytest.fixture(params=[HANDSHAKE, STATELESS])
def mcp(server: Server, request: pytest.FixtureRequest) -> HttpMcp:
    return HttpMcp(f"{server.http}/mcp", server.token, era=request.param)


def test_both_eras(mcp: HttpMcp, instance: dict[str, Any]) -> None:
    if mcp.era == HANDSHAKE:
        info = mcp.initialize()
        assert info["protocolVersion"] == HANDSHAKE
    else:
        info = mcp.request("server/discover")
        assert STATELESS in info["supportedVersions"]
    assert info["instructions"] and "tools" in info["capabilities"]
    tools = mcp.tools()
    # A socket on the server's machine is of no use to who is elsewhere.
    assert DATABASE in tools and "lakebase_connect" not in tools
    assert mcp.call(DATABASE, action="get", name=instance["name"])["state"] == "AVAILABLE"
    where = {"instance_name": instance["name"]}
    assert mcp.call("lakebase_query", **where, query="SELECT 6 * 7")["rows"] == [[42]]


def test_pages_and_plans_outlive_a_request(mcp: HttpMcp, instance: dict[str, Any]) -> None:
    where = {"instance_name": instance["name"]}
    page = mcp.call("lakebase_query", **where, query="SELECT generate_series(1, 250)")
    assert page["row_count"] == 200
    assert mcp.call("lakebase_query", cursor=page["cursor"])["rows"][-1] == [250]
    plan = mcp.call(DATABASE, action="delete", name=instance["name"])
    other = mcp.fails(
        DATABASE, action="delete", name="absent", confirm_token=plan["confirm_token"]
    )
    assert other["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_progress_comes_before_the_answer(mcp: HttpMcp, api: Api, name: str) -> None:
    made = mcp.call(
        DATABASE, {"progressToken": 7}, action="create_or_update", name=name, wait_seconds=60
    )
    assert made["state"] == "AVAILABLE"
    assert [one["params"]["progressToken"] for one in mcp.notifications]
    api.delete_instance(name)


def test_the_address_says_how_much_is_allowed(server: Server, instance: dict[str, Any]) -> None:
    url = f"{server.http}/mcp?access="
    assert "lakebase_execute" in HttpMcp(url + "write", server.token).tools()
    observer = HttpMcp(url + "observe", server.token, era=STATELESS)
    assert not {"lakebase_execute", "generate_lakebase_credential"} & set(observer.tools())
    refused = observer.fails(DATABASE, action="delete", name=instance["name"])
    assert refused["error_code"] == "PERMISSION_DENIED"
    typo = HttpMcp(url + "readonly", server.token).post({"method": "ping", "params": {}})
    assert typo.status_code == 400 and "readonly" in typo.text


# --- Who gets in -----------------------------------------------------------------------------------


def test_without_a_token(server: Server) -> None:
    url = f"{server.http}/mcp"
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    for token in (None, "nonsense", "dapi00000000000000000000000000000000"):
        answer = HttpMcp(url, token).post(message)
        assert answer.status_code == 401
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith("Bearer ") and 'scope="mcp:manage"' in challenge
        assert ("invalid_token" in challenge) is (token is not None)
    metadata = challenge.split('resource_metadata="')[1].split('"')[0]
    resource = requests.get(metadata, timeout=10).json()
    assert resource["resource"] == url


def test_a_database_credential_is_no_access_token(server: Server, api: Api, instance: dict) -> None:
    credential = api.credential(instance["name"])
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    assert HttpMcp(f"{server.http}/mcp", credential).post(message).status_code == 401
    in_the_address = HttpMcp(f"{server.http}/mcp?access_token={server.token}", None)
    assert in_the_address.post(message).status_code == 400


def test_discovery_leads_to_the_authorization_server(server: Server) -> None:
    for path in ("", "/mcp"):
        resource = requests.get(
            f"{server.http}/.well-known/oauth-protected-resource{path}", timeout=10
        ).json()
        assert resource["resource"] == f"{server.http}/mcp"
        assert resource["bearer_methods_supported"] == ["header"]
    (issuer,) = resource["authorization_servers"]
    assert issuer == f"{server.http}/oidc"
    for address in (
        f"{server.http}/.well-known/oauth-authorization-server/oidc",
        f"{issuer}/.well-known/oauth-authorization-server",
    ):
        metadata = requests.get(address, timeout=10).json()
        assert metadata["issuer"] == issuer
        assert metadata["code_challenge_methods_supported"] == ["S256"]


def test_names_and_pages_of_elsewhere_are_refused(server: Server) -> None:
    mcp = HttpMcp(f"{server.http}/mcp", server.token, era=STATELESS)
    message = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/list",
        "params": {
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": STATELESS,
                "io.modelcontextprotocol/clientCapabilities": {},
            }
        },
    }  # fmt: skip
    own = server.http.split("//")[1]
    assert mcp.post(message, Origin=server.http).status_code == 200
    assert mcp.post(message, Host=f"localhost:{own.split(':')[1]}").status_code == 200
    for header in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"Host": f"localhost.evil.example:{own.split(':')[1]}"},
    ):
        assert mcp.post(message, **header).status_code == 403, header


def test_there_are_no_sessions(server: Server) -> None:
    mcp = HttpMcp(f"{server.http}/mcp", server.token)
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    answer = mcp.post(message)
    assert "Mcp-Session-Id" not in answer.headers
    for method in ("GET", "DELETE"):
        headers = mcp.headers(message)
        refused = requests.request(method, mcp.url, headers=headers, timeout=10)
        assert refused.status_code == 405
    large = mcp.post(message | {"params": {"x": "y" * (2 << 20)}})
    assert large.status_code == 413


def test_calls_are_audited_without_their_arguments(
    server: Server, mcp: HttpMcp, api: Api, instance: dict[str, Any]
) -> None:
    where = {"instance_name": instance["name"]}
    mcp.call("lakebase_query", **where, query="SELECT 'secret-in-a-query'")
    mcp.fails("lakebase_query", **where, query="SELECT 1/0")
    audit = (server.data_dir / "audit.log").read_text()
    lines = [json.loads(line) for line in audit.splitlines()]
    calls = [line for line in lines if line["event"] == "tool_call"][-2:]
    assert [call["outcome"] for call in calls] == ["done", "22012"]
    assert {call["tool"] for call in calls} == {"lakebase_query"}
    assert {call["subject"] for call in calls} == {api.user_name()}
    posts = [line for line in lines if line["event"] == "request" and line["path"] == "/mcp"]
    assert posts[-1]["subject"] == api.user_name()
    logins = [line for line in lines if line["event"] == "login"]
    assert logins[-1]["application"] == "lakeport-mcp"
    for log in (audit, server.log.read_text()):
        assert "secret-in-a-query" not in log and server.token not in log


# --- Official clients ------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ["mcp-1.30.0", "mcp-2.3.0"])
def test_official_client(server: Server, instance: dict[str, Any], environment: str) -> None:
    run = subprocess.run(
        [
            VENVS / environment / "bin" / "python", SCRIPT,
            binary().resolve(), f"{server.http}/mcp", server.token, instance["name"],
        ],
        env=clean_environment() | {"DATABRICKS_CONFIG_FILE": str(server.config_file)},
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "ok"


@pytest.mark.parametrize("admin", [True, False])
def test_an_oauth_access_token_calls_as_its_owner(server: Server, api: Api, admin: bool) -> None:
    with machine(api, admin=admin) as agent:
        mcp = HttpMcp(f"{server.http}/mcp", agent.access_token(server.http), era=STATELESS)
        assert DATABASE in mcp.tools()
        seen = mcp.result(DATABASE, action="list")
        # What it may not do by the API, it may not do by a tool.
        rest = Api(server.http, mcp.token).send("GET", "/api/2.0/database/instances")
        assert (rest.status_code == 200) is (not seen.get("isError"))
        assert not admin or rest.status_code == 200
