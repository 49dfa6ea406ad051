"""Tokens for the tools alone: their scopes, and the resource that they are bound to (RFC 8707)."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import psycopg
import pytest
import requests

from kit.api import Api
from kit.browser import Browser, query_of
from kit.identities import SCIM, Machine, machine, principal
from kit.login import Login
from kit.mcp import HANDSHAKE, STATELESS, HttpMcp
from kit.names import unique
from kit.oauth import Flow
from kit.server import REPO, Server, clean_environment

VENVS = REPO / "target" / "venv"
SCRIPT = Path(__file__).with_name("mcp_oauth_script.py")
DATABASE = "manage_lakebase_database"
PASSWORD = "correct horse battery"


@pytest.fixture
def job(api: Api) -> Iterator[Machine]:
    with machine(api, admin=True) as job:
        yield job


def asked(server: Server, job: Machine, **form: str) -> requests.Response:
    form = {"grant_type": "client_credentials"} | form
    auth = (job.client_id, job.secret)
    return requests.post(f"{server.http}/oidc/v1/token", data=form, auth=auth, timeout=30)


def granted(server: Server, job: Machine, **form: str) -> str:
    answer = asked(server, job, **form)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def challenge_of(answer: requests.Response) -> dict[str, str]:
    scheme, _, rest = answer.headers["WWW-Authenticate"].partition(" ")
    assert scheme == "Bearer"
    pairs = (part.split("=", 1) for part in rest.split(", "))
    return {name: value.strip('"') for name, value in pairs}


@pytest.mark.parametrize("era", [HANDSHAKE, STATELESS])
def test_a_scope_is_asked_of_each_call(
    server: Server, api: Api, job: Machine, instance: dict[str, Any], era: str
) -> None:
    role = {"name": job.client_id, "identity_type": "SERVICE_PRINCIPAL"}
    api.ok("POST", f"/api/2.0/database/instances/{instance['name']}/roles", role)
    resource = f"{server.http}/mcp"
    token = granted(server, job, scope="mcp:observe", resource=resource)
    mcp = HttpMcp(resource, token, era=era)
    # What a client can ask its user for is listed.
    assert {"lakebase_query", "manage_lakebase_sync"} <= set(mcp.tools())
    assert mcp.call(DATABASE, action="GET", name=instance["name"])["state"] == "AVAILABLE"
    where = {"instance_name": instance["name"]}
    assert mcp.call("lakebase_query", **where, query="SELECT 6 * 7")["rows"] == [[42]]
    for message in (
        call(DATABASE, action="Delete", name=instance["name"]),
        call(DATABASE, action="create_or_update", name=instance["name"], capacity="CU_2"),
        call("manage_lakebase_sync", action="delete", table_name="a.b.c"),
        call("generate_lakebase_credential", instance_names=[instance["name"]]),
    ):
        refused = mcp.post(message)
        assert refused.status_code == 403, refused.text
        assert refused.json()["error"] == "insufficient_scope"
        challenge = challenge_of(refused)
        assert (challenge["error"], challenge["scope"]) == ("insufficient_scope", "mcp:manage")
        metadata = requests.get(challenge["resource_metadata"], timeout=10).json()
        assert metadata["resource"] == resource and challenge["scope"] in metadata["scopes_supported"]


def test_scopes_and_the_address_both_limit(
    server: Server, job: Machine, instance: dict[str, Any]
) -> None:
    resource, where = f"{server.http}/mcp", {"instance_name": instance["name"]}
    execute = call("lakebase_execute", **where, statement="CREATE TABLE never ()")
    manage = granted(server, job, scope="mcp:manage")
    refused = HttpMcp(f"{resource}?access=write", manage).post(execute)
    assert refused.status_code == 403 and challenge_of(refused)["scope"] == "mcp:write"
    # Where the address has no such tool, more consent brings nothing.
    absent = HttpMcp(resource, manage).post(execute)
    assert "there is no tool" in absent.text, absent.text
    plan = HttpMcp(resource, manage).call(DATABASE, action="delete", name=instance["name"])
    assert plan["status"] == "CONFIRMATION_REQUIRED"
    for scope in ("mcp:write", "all-apis", "mcp:observe mcp:write"):
        token = granted(server, job, scope=scope, resource=resource)
        assert "lakebase_execute" in HttpMcp(f"{resource}?access=write", token).tools()
        assert "lakebase_execute" not in HttpMcp(resource, token).tools()
        observer = HttpMcp(f"{resource}?access=observe", token)
        refusal = observer.fails(DATABASE, action="delete", name=instance["name"])
        assert refusal["error_code"] == "PERMISSION_DENIED"
    nothing = granted(server, job, scope="offline_access", resource=resource)
    refused = HttpMcp(resource, nothing).post(call("lakebase_sync_list"))
    assert refused.status_code == 403 and challenge_of(refused)["scope"] == "mcp:manage"


def test_a_bound_token_is_for_the_tools_alone(
    server: Server, job: Machine, instance: dict[str, Any]
) -> None:
    resource = f"{server.http}/mcp"
    token = granted(server, job, scope="all-apis", resource=resource)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["aud"], claims["scope"]) == (resource, "all-apis")
    # Scopes of the tools alone are for the tools, also where a client names no resource.
    unnamed = granted(server, job, scope="mcp:write")
    assert jwt.decode(unnamed, options={"verify_signature": False})["aud"] == resource
    for bound in (token, unnamed):
        assert Api(server.http, bound).send("GET", f"{SCIM}/Me").status_code == 401
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            Login(instance["read_write_dns"], job.client_id, bound).connect()
        assert HttpMcp(resource, bound).tools()
        # The server remembers whose signatures it has checked; for whom they are, it asks again.
        assert Api(server.http, bound).send("GET", f"{SCIM}/Me").status_code == 401
    api_token = granted(server, job)
    assert jwt.decode(api_token, options={"verify_signature": False})["aud"] != resource
    assert HttpMcp(resource, api_token).tools()
    assert Api(server.http, api_token).send("GET", f"{SCIM}/Me").status_code == 200


def test_the_audience_is_this_resource(server: Server, job: Machine) -> None:
    port = server.http.rsplit(":", 1)[1]
    elsewhere = f"http://localhost:{port}"
    form = {"grant_type": "client_credentials", "resource": f"{elsewhere}/mcp"}
    there = requests.post(
        f"{elsewhere}/oidc/v1/token", data=form, auth=(job.client_id, job.secret), timeout=30
    ).json()["access_token"]
    assert HttpMcp(f"{elsewhere}/mcp", there).tools()
    here = HttpMcp(f"{server.http}/mcp", there).post(call("lakebase_sync_list"))
    assert here.status_code == 401 and challenge_of(here)["error"] == "invalid_token"
    altered = there[:-6] + ("AAAAAA" if there[-6:] != "AAAAAA" else "BBBBBB")
    assert HttpMcp(f"{elsewhere}/mcp", altered).post(call("x")).status_code == 401


@pytest.mark.parametrize(
    "resource",
    ["https://elsewhere.example/mcp", "{base}", "{base}/mcp#part", "{base}/api", "mcp", "urn:x:y"],
)
def test_foreign_resources_are_refused(server: Server, job: Machine, resource: str) -> None:
    resource = resource.format(base=server.http)
    refused = asked(server, job, resource=resource)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    flow = Flow(server.http)
    url = flow.authorize_url(resource=resource)
    answer = requests.get(url, allow_redirects=False, timeout=30)
    told = query_of(answer.headers["Location"])
    assert (told["error"], told["state"]) == ("invalid_target", flow.state)


def test_unknown_scopes_are_refused(server: Server, job: Machine) -> None:
    refused = asked(server, job, scope="mcp:everything")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


def test_a_person_consents_to_the_tools(server: Server, api: Api) -> None:
    resource = f"{server.http}/mcp"
    with principal(api, "Users", userName=f"{unique('p')}@example.com", password=PASSWORD) as user:
        flow = Flow(server.http)
        scope = "mcp:observe offline_access"
        url = flow.authorize_url(scope=scope, resource=resource)
        page = Browser().open(url)
        assert "cannot change anything" in page.text and "all rights" not in page.text
        code = flow.code_in(Browser().allow(url, user["userName"], PASSWORD))
        answer = flow.redeem(code, resource=resource)
        assert answer.status_code == 200, answer.text
        tokens = answer.json()
        assert tokens["scope"] == scope
        mcp = HttpMcp(resource, tokens["access_token"])
        assert mcp.call(DATABASE, action="list")["databases"] == []
        # Refreshed with or without naming the resource again, it stays bound to it.
        for more in ({}, {"resource": resource}):
            refreshed = flow.post(
                grant_type="refresh_token", refresh_token=tokens["refresh_token"], **more
            )
            assert refreshed.status_code == 200, refreshed.text
            tokens = refreshed.json()
            bound = tokens["access_token"]
            assert jwt.decode(bound, options={"verify_signature": False})["aud"] == resource
            assert Api(server.http, bound).send("GET", f"{SCIM}/Me").status_code == 401
        assert HttpMcp(resource, bound).tools()
        form = {"client_id": "databricks-cli", "token": bound}
        ended = requests.post(f"{server.http}/oidc/v1/revoke", data=form, timeout=30)
        assert ended.status_code == 200
        assert HttpMcp(resource, bound).post(call("lakebase_sync_list")).status_code == 401


def test_a_code_is_bound_to_what_was_consented_to(server: Server, api: Api) -> None:
    resource = f"{server.http}/mcp"
    with principal(api, "Users", userName=f"{unique('p')}@example.com", password=PASSWORD) as user:
        person = (user["userName"], PASSWORD)
        flow = Flow(server.http)
        # A consent to everything serves for the tools as well.
        narrowed = flow.redeem(flow.code(*person), resource=resource)
        assert narrowed.status_code == 200, narrowed.text
        token = narrowed.json()["access_token"]
        assert jwt.decode(token, options={"verify_signature": False})["aud"] == resource
        flow = Flow(server.http)
        url = flow.authorize_url(scope="mcp:observe", resource=resource)
        code = flow.code_in(Browser().allow(url, *person))
        refused = flow.redeem(code, resource="https://elsewhere.example/mcp")
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")


def test_discovery_names_the_scopes(server: Server) -> None:
    base = server.http
    resource = requests.get(f"{base}/.well-known/oauth-protected-resource/mcp", timeout=10).json()
    assert resource["scopes_supported"] == ["mcp:observe", "mcp:manage", "mcp:write"]
    address = f"{base}/oidc/.well-known/oauth-authorization-server"
    issuer = requests.get(address, timeout=10).json()
    assert issuer["registration_endpoint"] == f"{base}/oidc/v1/register"
    assert set(resource["scopes_supported"]) < set(issuer["scopes_supported"])
    without = HttpMcp(f"{base}/mcp?access=observe", None).post(call("x"))
    assert without.status_code == 401 and challenge_of(without)["scope"] == "mcp:observe"


def test_a_client_without_an_id_registers(server: Server) -> None:
    address = f"{server.http}/oidc/v1/register"
    # As an editor does that can also be reached by its maker's site.
    addresses = ["https://editor.example/redirect", "http://127.0.0.1:33418/"]
    asked = {"client_name": "editor", "redirect_uris": addresses}
    answer = requests.post(address, json=asked, timeout=10)
    assert answer.status_code == 201, answer.text
    given = answer.json()
    assert given["redirect_uris"] == addresses[1:] and "client_secret" not in given
    url = Flow(server.http).authorize_url(client_id=given["client_id"], redirect_uri=addresses[1])
    assert requests.get(url, timeout=30).status_code == 200
    for body, error in [
        (b'{"redirect_uris": ["https://editor.example/redirect"]}', "invalid_redirect_uri"),
        (b'{"redirect_uris": ["cursor://callback"]}', "invalid_redirect_uri"),
        (b"{}", "invalid_redirect_uri"),
        (b"no json", "invalid_client_metadata"),
        (b"[1]", "invalid_client_metadata"),
    ]:
        refused = requests.post(address, data=body, timeout=10)
        assert (refused.status_code, refused.json()["error"]) == (400, error), body
    assert requests.get(address, timeout=10).status_code == 405
    assert requests.post(address, data=b"x" * 20_000_000, timeout=30).status_code == 413


def test_refusals_are_audited(server: Server, job: Machine) -> None:
    token = granted(server, job, scope="mcp:observe")
    mcp = HttpMcp(f"{server.http}/mcp", token)
    assert mcp.post(call(DATABASE, action="delete", name="x")).status_code == 403
    lines = [json.loads(x) for x in (server.data_dir / "audit.log").read_text().splitlines()]
    last = [line for line in lines if line["event"] == "request" and line["path"] == "/mcp"][-1]
    assert last["subject"] == job.client_id and last["status"] == 403


@pytest.mark.parametrize("environment", ["mcp-1.30.0", "mcp-2.3.0"])
@pytest.mark.parametrize("begins", ["without a token", "with one that only looks"])
def test_official_client_asks_its_user(
    server: Server, api: Api, environment: str, begins: str
) -> None:
    resource = f"{server.http}/mcp"
    with principal(api, "Users", userName=f"{unique('p')}@example.com", password=PASSWORD) as user:
        person, token = (user["userName"], PASSWORD), ""
        if begins == "with one that only looks":
            flow = Flow(server.http)
            url = flow.authorize_url(scope="mcp:observe", resource=resource)
            code = flow.code_in(Browser().allow(url, *person))
            token = flow.redeem(code, resource=resource).json()["access_token"]
        process = subprocess.Popen(
            [VENVS / environment / "bin" / "python", SCRIPT, resource, token],
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                opened = process.stdout.readline()
                assert opened, process.stderr.read()
                asked = parse_qs(urlsplit(opened.strip()).query)
                said, errors = process.communicate(
                    Browser().allow(opened.strip(), *person) + "\n", timeout=90
                )
            finally:
                process.kill()
    assert process.returncode == 0, errors
    assert asked["resource"] == [resource]
    assert "mcp:manage" in asked["scope"][0] and "all-apis" not in asked["scope"][0]
    *_, scope, last = said.splitlines()
    assert last == "ok" and "mcp:manage" in scope
