"""Who did what is written down, counted, and never with a secret."""

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from kit.api import INSTANCES, Api
from kit.audit import event, events
from kit.browser import Browser
from kit.identities import SCIM, machine, principal
from kit.login import Login
from kit.names import unique
from kit.oauth import Flow
from kit.server import Server
from kit.tokens import parts
from kit.waiting import eventually

PASSWORD = "correct horse battery"


def test_logins_and_ends_are_written_down(server: Server, login: Login, instance: dict) -> None:
    with login.connect(application_name="audited") as connection:
        connection.execute("SELECT repeat('x', 10000)").fetchone()
    entry = event(server, "login", application="audited")
    _, claims, _ = parts(login.password)
    assert (entry["result"], entry["user"], entry["subject"]) == ("ok", login.user, claims["sub"])
    assert entry["token_id"] == claims["jti"]
    assert (entry["instance"], entry["instance_uid"]) == (instance["name"], instance["uid"])
    assert entry["source"].startswith("127.") and entry["time"].endswith("Z")
    end = event(server, "session_end", session=entry["session"])
    assert end["reason"] == "closed" and end["bytes_to_client"] > 10_000

    stranger = f"stranger-{unique('s')}\n{{}}"
    with pytest.raises(psycopg.OperationalError):
        replace(login, password="hunter2-hunter2", user=stranger).connect()
    refused = event(server, "login", user=stranger)
    assert (refused["result"], refused["sqlstate"]) == ("refused", "28P01")
    assert refused["reason"] == "the password is not a token" and "subject" not in refused
    assert refused["instance"] == instance["name"], "what a guess aimed at is known"

    mode = (server.data_dir / "audit.log").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_changes_by_api_are_written_down(server: Server, api: Api, name: str) -> None:
    api.create_instance(name)
    created = event(server, "request", method="POST", path=INSTANCES, subject=api.user_name())
    assert created["status"] == 200 and created["source"].startswith("127.")
    api.wait_for_state(name, "AVAILABLE")
    answer = api.send("POST", INSTANCES, {"name": name, "capacity": "CU_2"})
    entry = event(server, "request", request_id=answer.headers["x-request-id"])
    assert (entry["status"], entry["error_code"]) == (409, "RESOURCE_ALREADY_EXISTS")
    api.delete_instance(name)
    gone = event(server, "request", method="DELETE", path=f"{INSTANCES}/{name}")
    assert gone["query"] == "purge=true"

    before = len(events(server))
    api.ok("GET", INSTANCES)
    with machine(api) as job:
        nobody = Api(api.url, job.access_token(api.url))
        refused = nobody.send("GET", "/metrics")
        assert refused.status_code == 403
        entry = event(server, "request", request_id=refused.headers["x-request-id"])
        assert (entry["status"], entry["path"]) == (403, "/metrics")
    assert Api(api.url, "wrong").send("GET", INSTANCES).status_code == 401
    assert event(server, "request", path=INSTANCES, status=401)["error_code"] == "UNAUTHENTICATED"
    reads = [e for e in events(server)[before:] if e.get("method") == "GET"]
    assert {e["status"] for e in reads} <= {401, 403}, "what only reads is not written down"


def sign_in(flow: Flow, name: str, password: str) -> requests.Response:
    browser = Browser()
    page = browser.open(flow.authorize_url())
    return browser.submit(page, "allow", username=name, password=password)


def test_logins_for_tokens_are_written_down(server: Server, api: Api) -> None:
    token, authorize = {"path": "/oidc/v1/token"}, {"path": "/oidc/v1/authorize"}
    with machine(api) as job:
        job.access_token(server.http)
        event(server, "request", **token, subject=job.client_id, status=200)
        with pytest.raises(AssertionError, match="invalid_client"):
            replace(job, secret="wrong").access_token(server.http)
        event(server, "request", **token, subject=job.client_id, status=401)
    name = f"{unique('p')}@example.com"
    with principal(api, "Users", userName=name, password=PASSWORD):
        flow = Flow(server.http)
        assert sign_in(flow, name, "wrong").status_code == 401
        event(server, "request", **authorize, subject=name, status=401)
        tokens = flow.tokens(name, PASSWORD)
        event(server, "request", **authorize, subject=name, status=303)
        event(server, "request", **token, subject=name, status=200)
        form = {"client_id": "databricks-cli", "token": tokens["refresh_token"]}
        requests.post(f"{server.http}/oidc/v1/revoke", data=form, timeout=30)
        event(server, "request", path="/oidc/v1/revoke", subject=name, status=200)
        # A name that nobody has may be a password in the wrong field.
        answer = sign_in(flow, PASSWORD, name)
        entry = event(server, "request", request_id=answer.headers["x-request-id"])
        assert entry["status"] == 401 and "subject" not in entry and "query" not in entry


def sample(text: str, name: str) -> float:
    """The sum of a metric's samples."""
    values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    assert values, name
    return sum(map(float, values))


def test_metrics_count_what_happens(api: Api, login: Login, instance: dict) -> None:
    answer = api.send("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    before = answer.text
    with login.connect() as connection:
        connection.execute("SELECT repeat('x', 100000)").fetchone()
        open_now = api.send("GET", "/metrics").text
        mine = rf'^lakeport_sessions\{{instance="{instance["uid"]}"\}} [1-9]'
        assert re.search(mine, open_now, re.MULTILINE), open_now
    with pytest.raises(psycopg.OperationalError):
        replace(login, password="wrong").connect()
    after = api.send("GET", "/metrics").text
    assert sample(after, "lakeport_bytes_to_clients_total") >= 100_000
    for result in ("ok", "bad_credential"):
        name = rf'lakeport_logins_total\{{result="{result}"\}}'
        then = float(found[1]) if (found := re.search(rf"^{name} (\S+)$", before, re.M)) else 0
        assert float(re.search(rf"^{name} (\S+)$", after, re.M)[1]) >= then + 1
    for name in (
        "lakeport_build_info",
        "lakeport_connections_waiting",
        'lakeport_login_duration_seconds_count{stage="token"}'.replace("{", r"\{"),
        "lakeport_audit_lines_lost_total",
    ):
        assert re.search(rf"^{name}", after, re.MULTILINE), name
    asked = r'^lakeport_http_requests_total\{method="GET",route="/metrics",status="200"\} [1-9]'
    assert re.search(asked, after, re.MULTILINE), after


def test_metrics_are_for_administrators(server: Server, api: Api) -> None:
    assert requests.get(f"{server.http}/metrics", timeout=30).status_code == 401
    with machine(api) as job:
        token = job.access_token(api.url)
        assert Api(api.url, token).send("GET", "/metrics").status_code == 403


@contextmanager
def talkative() -> Iterator[Server]:
    """A server that logs all that it can."""
    server = Server("--log-filter", "trace", "--open-metrics")
    try:
        yield server.start()
    finally:
        server.close()


def use_every_secret(server: Server, name: str) -> dict[str, str]:
    """Goes through every way to log in, and returns what must not be found in any log."""
    admin = Api(server.http, server.token)
    admin.create_instance(name)
    instance = admin.wait_for_state(name, "AVAILABLE")
    login = Login.to(admin, instance)
    secrets = {"admin's token": server.token, "credential": login.password}
    assert login.value("SELECT 1") == 1
    role = "role-password-7f3a"
    with login.connect() as connection:
        connection.execute("CREATE ROLE native LOGIN")
        # Encrypted by the client, as every careful one does.
        encrypted = connection.pgconn.encrypt_password(role.encode(), b"native", b"scram-sha-256")
        connection.execute(f"ALTER ROLE native PASSWORD '{encrypted.decode()}'")
    secrets["role's password"] = role
    for wrong in ("typed-by-mistake-91c", login.password[:-4] + "AAAA"):
        with pytest.raises(psycopg.OperationalError):
            replace(login, password=wrong).connect()
        secrets[f"wrong password {len(wrong)}"] = wrong

    personal = admin.ok("POST", "/api/2.0/token/create", {"comment": "audit"})["token_value"]
    Api(server.http, personal).ok("GET", f"{SCIM}/Me")
    secrets["personal token"] = personal
    with machine(admin, admin=True) as job:
        secrets["service principal's secret"] = job.secret
        access = job.access_token(admin.url)
        secrets["machine's access token"] = access
        Api(server.http, access).ok("GET", f"{SCIM}/Me")
        with suppress(psycopg.OperationalError):
            replace(login, user=job.client_id, password=access).connect().close()
    person = f"{unique('p')}@example.com"
    with principal(admin, "Users", userName=person, password=PASSWORD):
        flow = Flow(server.http)
        code = flow.code(person, PASSWORD)
        tokens = flow.redeem(code).json()
        again = flow.refresh(tokens["refresh_token"]).json()
        body = {"user_name": person}
        link = admin.ok("POST", "/api/2.0/lakeport/login-links", body)["url"]
        assert Browser().open(link).status_code == 200
        secrets |= {
            "person's password": PASSWORD,
            "code": code,
            "verifier": flow.verifier,
            "access token": tokens["access_token"],
            "refresh token": tokens["refresh_token"],
            "second access token": again["access_token"],
            "second refresh token": again["refresh_token"],
            "login link": link.partition("link=")[2],
        }
    # Without a token only because the settings say so, and only from here.
    assert requests.get(f"{server.http}/metrics", timeout=30).status_code == 200
    return secrets


def test_no_log_of_a_servers_whole_life_holds_a_secret(name: str) -> None:
    with talkative() as server:
        secrets = use_every_secret(server, name)
        server.stop()
        key = (server.data_dir / "secret.key").read_text().strip()
        logs = [server.log, *server.data_dir.rglob("*.log"), *server.data_dir.rglob("audit.log*")]
        texts = {path: path.read_text(errors="replace") for path in set(logs)}
        assert {"server.log", "audit.log", "postgres.log"} <= {path.name for path in texts}
        assert " TRACE " in texts[server.log], "it does log all that it can"
        for path, text in texts.items():
            assert_no_secret(path, text, secrets | {"key": key})


def assert_no_secret(path: Path, text: str, secrets: dict[str, str]) -> None:
    for what, secret in secrets.items():
        assert secret not in text, f"{what} in {path}"
        if secret.count(".") == 2:
            signature = secret.rsplit(".", 1)[1]
            assert len(signature) < 20 or signature not in text, f"{what}'s signature in {path}"
    tokens = re.findall(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]{20,}", text)
    assert not tokens, f"a token in {path}"
