"""People log in by browser: pages, codes, refresh tokens, login links."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from kit.api import Api
from kit.browser import Browser, Form, query_of
from kit.identities import SCIM, made, patch, principal
from kit.login import Login
from kit.names import unique
from kit.oauth import REDIRECT, Flow, callback_port
from kit.server import REPO, Server, binary, clean_environment

VENVS = REPO / "target" / "venv"
SCRIPT = Path(__file__).with_name("sdk_u2m_script.py")
REFRESH_SCRIPT = Path(__file__).with_name("sdk_refresh_script.py")
PASSWORD = "correct horse battery"


@dataclass
class Person:
    id: str
    name: str
    password: str = PASSWORD


@pytest.fixture
def person(api: Api) -> Iterator[Person]:
    name = f"{unique('p')}@example.com"
    with principal(api, "Users", userName=name, password=PASSWORD) as user:
        assert "password" not in user
        yield Person(user["id"], name)


@pytest.fixture
def flow(server: Server) -> Flow:
    return Flow(server.http)


def works(flow: Flow, tokens: dict) -> bool:
    status = Api(flow.url, tokens["access_token"]).send("GET", f"{SCIM}/Me").status_code
    assert status in (200, 401)
    return status == 200


def refused(answer: requests.Response, error: str) -> str:
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == error
    return answer.json()["error_description"]


@pytest.mark.parametrize("environment", ["sdk-0.61.0", "sdk-0.81.0", "kit"])
def test_login_by_browser(server: Server, person: Person, environment: str, tmp_path: Path) -> None:
    with callback_port():
        run = subprocess.run(
            [VENVS / environment / "bin" / "python", SCRIPT],
            env=clean_environment()
            | {
                "DATABRICKS_HOST": server.http,
                "U2M_USER": person.name,
                "U2M_PASSWORD": person.password,
                "HOME": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "ok"


def test_tokens_are_the_persons_own(flow: Flow, person: Person) -> None:
    tokens = flow.tokens(person.name, person.password)
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
    me = Api(flow.url, tokens["access_token"]).ok("GET", f"{SCIM}/Me")
    assert (me["id"], me["userName"]) == (person.id, person.name)


def test_page_is_plain_and_shut_to_others(flow: Flow) -> None:
    page = Browser().open(flow.authorize_url())
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert f"form-action 'self' {REDIRECT}" in policy
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "<script" not in page.text and 'lang="en"' in page.text
    form = Form(page)
    assert form.inputs == form.labels == {"username", "password"}
    cookie = page.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/oidc" in cookie


def test_the_page_says_which_client_asks(flow: Flow) -> None:
    text = Browser().open(flow.authorize_url()).text
    # Every public client has this id, so the page claims no more than that and where it listens.
    assert "databricks-cli" in text and f"listens at {REDIRECT}" in text
    assert "command line" not in text


def test_no_way_to_a_provider_that_is_not_there(flow: Flow) -> None:
    assert "Sign in with" not in Browser().open(flow.authorize_url()).text
    for path in ("/oidc/provider", "/oidc/provider/callback?code=x&state=y"):
        assert requests.get(flow.url + path, timeout=30).status_code == 400


def test_wrong_password_stays_on_the_page(flow: Flow, person: Person) -> None:
    browser = Browser()
    page = browser.open(flow.authorize_url())
    texts = set()
    for name, password in [(person.name, "wrong password"), ("nobody@example.com", PASSWORD)]:
        answer = browser.submit(page, "allow", username=name, password=password)
        assert answer.status_code == 401 and 'role="alert"' in answer.text
        texts.add(answer.text)
    assert len(texts) == 1, "an unknown user is not told from a wrong password"


def test_denial_reaches_the_client(flow: Flow) -> None:
    browser = Browser()
    answer = browser.submit(browser.open(flow.authorize_url()), "deny")
    assert answer.status_code == 303
    told = query_of(answer.headers["Location"])
    assert (told["error"], told["state"]) == ("access_denied", flow.state)


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "unknown"},
        {"client_id": None},
        {"redirect_uri": "https://evil.example"},
        {"redirect_uri": "http://localhost.evil.example:8020"},
        {"redirect_uri": None},
    ],
)
def test_nobody_is_sent_to_a_stranger(flow: Flow, changed: dict) -> None:
    answer = requests.get(flow.authorize_url(**changed), allow_redirects=False, timeout=30)
    assert answer.status_code == 400 and "Location" not in answer.headers
    assert 'role="alert"' in answer.text


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "all-apis root"}, "invalid_scope"),
    ],
)
def test_malformed_requests_are_told_to_the_client(flow: Flow, changed: dict, error: str) -> None:
    answer = requests.get(flow.authorize_url(**changed), allow_redirects=False, timeout=30)
    assert answer.status_code == 303, answer.text
    told = query_of(answer.headers["Location"])
    assert (told["error"], told["state"]) == (error, flow.state)


def test_markup_in_a_request_stays_text(flow: Flow) -> None:
    page = Browser().open(flow.authorize_url(state='"><script>alert(1)</script>'))
    assert page.status_code == 200 and "<script" not in page.text


def test_forms_of_others_are_not_taken(flow: Flow, person: Person) -> None:
    browser, attacker = Browser(), Browser()
    fields = {"username": person.name, "password": person.password}
    page = browser.open(flow.authorize_url())
    action, foreign = Form(page).action, Form(attacker.open(flow.authorize_url())).values["proof"]
    for proof in ({}, {"proof": ""}, {"proof": "0" * 64}, {"proof": foreign}):
        data = fields | {"decision": "allow"} | proof
        answer = browser.session.post(action, data=data, timeout=30, allow_redirects=False)
        assert answer.status_code == 401, answer.text
    assert browser.submit(page, "allow", **fields).status_code == 303


def test_code_is_good_for_its_client_once(flow: Flow, person: Person) -> None:
    code = flow.code(person.name, person.password)
    first = flow.redeem(code).json()
    assert works(flow, first)
    assert "used before" in refused(flow.redeem(code), "invalid_grant")
    # Two have had the code, so neither keeps what it got for it.
    assert not works(flow, first)
    refused(flow.refresh(first["refresh_token"]), "invalid_grant")


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "x" * 48},
        {"redirect_uri": "http://localhost:1"},
        {"code": "lkpa_unknown"},
    ],
)
def test_code_needs_what_it_was_asked_with(flow: Flow, person: Person, changed: dict) -> None:
    code = flow.code(person.name, person.password)
    refused(flow.redeem(code, **changed), "invalid_grant")


def test_missing_parameters_are_named(flow: Flow) -> None:
    for missing in ("code", "code_verifier", "redirect_uri"):
        assert missing in refused(flow.redeem("x", **{missing: ""}), "invalid_request")
    assert "refresh_token" in refused(flow.refresh(""), "invalid_request")


def test_refresh_tokens_rotate(flow: Flow, person: Person) -> None:
    first = flow.tokens(person.name, person.password)
    second = flow.refresh(first["refresh_token"]).json()
    third = flow.refresh(second["refresh_token"]).json()
    assert len({t["refresh_token"] for t in (first, second, third)}) == 3
    assert all(works(flow, tokens) for tokens in (first, second, third))


def test_processes_of_one_client_may_refresh_at_once(
    server: Server, flow: Flow, person: Person
) -> None:
    first = flow.tokens(person.name, person.password)
    clients = [
        subprocess.Popen(
            [VENVS / "kit/bin/python", REFRESH_SCRIPT, f"{server.http}/oidc/v1/token"],
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert [client.stdout.readline() for client in clients] == ["ready\n"] * 4
    # All of them have it before one has an answer.
    for client in clients:
        client.stdin.write(first["refresh_token"] + "\n")
        client.stdin.flush()
    renewed = [json.loads(client.communicate(timeout=60)[0]) for client in clients]
    assert len({tokens["refresh_token"] for tokens in renewed}) == 4
    for tokens in renewed:
        assert works(flow, tokens) and works(flow, flow.refresh(tokens["refresh_token"]).json())


def test_no_refresh_token_unless_asked(flow: Flow, person: Person) -> None:
    where = Browser().allow(flow.authorize_url(scope="all-apis"), person.name, person.password)
    assert "refresh_token" not in flow.redeem(flow.code_in(where)).json()


def test_revoked_refresh_token_ends_the_login(flow: Flow, person: Person) -> None:
    tokens = flow.tokens(person.name, person.password)
    form = {"token": tokens["refresh_token"], "client_id": "databricks-cli"}
    for _ in range(2):
        answer = requests.post(f"{flow.url}/oidc/v1/revoke", data=form, timeout=30)
        assert answer.status_code == 200
    assert not works(flow, tokens)
    refused(flow.refresh(tokens["refresh_token"]), "invalid_grant")


def test_deactivated_person_is_out_at_once(api: Api, flow: Flow, person: Person) -> None:
    tokens = flow.tokens(person.name, person.password)
    inactive = {"op": "replace", "path": "active", "value": False}
    patch(api, f"Users/{person.id}", inactive)
    assert not works(flow, tokens)
    refused(flow.refresh(tokens["refresh_token"]), "invalid_grant")
    browser = Browser()
    page = browser.open(flow.authorize_url())
    answer = browser.submit(page, "allow", username=person.name, password=person.password)
    assert answer.status_code == 401


def login_link(server: Server, user: str) -> str:
    run = subprocess.run(
        [binary(), "auth", "login-link", user],
        env=clean_environment() | {"DATABRICKS_CONFIG_FILE": str(server.config_file)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_login_link_signs_in_once_and_lets_choose_a_password(
    server: Server, api: Api, flow: Flow, instance: dict
) -> None:
    admin = api.user_name()
    link = login_link(server, admin)
    browser = Browser()
    # Looking does not use it up.
    browser.open(link)
    answer = browser.submit(browser.open(link), "allow")
    assert answer.status_code == 303
    assert Browser().open(link).status_code == 410
    page = browser.open(f"{flow.url}/oidc/account")
    assert admin in page.text
    assert browser.submit(page, "set", password="short").status_code == 400
    assert browser.submit(page, "set", password=PASSWORD).status_code == 200

    # Signed in already: consent is all that is asked.
    page = browser.open(flow.authorize_url())
    assert Form(page).inputs == set()
    answer = browser.submit(page, "allow")
    tokens = flow.redeem(flow.code_in(answer.headers["Location"])).json()
    login = Login(instance["read_write_dns"], admin, tokens["access_token"])
    assert login.value("SELECT current_user") == admin

    assert works(flow, Flow(flow.url).tokens(admin, PASSWORD))
    again = browser.submit(browser.open(f"{flow.url}/oidc/account"), "set", password=PASSWORD)
    assert again.status_code == 200


def test_link_for_nobody_is_refused(api: Api) -> None:
    refusal = api.refused(
        404, "POST", "/api/2.0/lakeport/login-links", {"user_name": "nobody@example.com"}
    )
    assert "not found" in refusal.message


def test_logins_survive_a_restart_and_secrets_stay_out_of_the_log() -> None:
    server = Server("--log-filter", "trace")
    try:
        server.start()
        api = Api(server.http, server.token)
        user = made(api, "Users", {"userName": "r@example.com", "password": PASSWORD})
        sp = made(api, "ServicePrincipals", {"displayName": "job"})
        path = f"/api/2.0/accounts/servicePrincipals/{sp['id']}/credentials/secrets"
        secret = api.ok("POST", path)["secret"]
        personal = api.ok("POST", "/api/2.0/token/create", {})["token_value"]
        flow = Flow(server.http)
        code = flow.code("r@example.com", PASSWORD)
        tokens = flow.redeem(code).json()
        link = login_link(server, "r@example.com").split("link=")[1]
        Browser().open(f"{server.http}/oidc/login?link={link}")

        server.restart()
        assert works(flow, tokens)
        assert Api(server.http, personal).user_name() == api.user_name()
        renewed = flow.refresh(tokens["refresh_token"]).json()
        assert works(flow, renewed)
        machine = requests.post(
            f"{server.http}/oidc/v1/token",
            data={"grant_type": "client_credentials"},
            auth=(sp["applicationId"], secret),
            timeout=30,
        ).json()
        assert works(flow, machine)

        log = server.log.read_text(errors="replace")
        assert "r@example.com" in log, "the log tells who has logged in"
        secrets = [PASSWORD, secret, personal, code, link, server.token, flow.verifier]
        secrets += [t["access_token"] for t in (tokens, renewed, machine)]
        secrets += [t["refresh_token"] for t in (tokens, renewed)]
        assert not [text for text in secrets if text in log]
        assert user["id"]
    finally:
        server.close()
