"""Malformed, expired and foreign things at every OAuth endpoint: a clear error, and nothing changed."""

import random
import string
from collections.abc import Iterator

import psycopg
import pytest
import requests

from kit.api import Api
from kit.bare_postgres import bare_postgres
from kit.browser import Browser, query_of
from kit.identities import SCIM, Machine, machine, principal
from kit.names import unique
from kit.oauth import Flow
from kit.server import Server

PASSWORD = "correct horse battery"
NAME = "e@example.com"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def flow(server: Server) -> Flow:
    return Flow(server.http)


@pytest.fixture
def job(api: Api) -> Iterator[Machine]:
    with machine(api) as job:
        yield job


@pytest.fixture
def person(api: Api) -> Iterator[str]:
    name = f"{unique('p')}@example.com"
    with principal(api, "Users", userName=name, password=PASSWORD):
        yield name


def error_of(answer: requests.Response, status: int) -> str:
    """The error's code, in RFC 6749's form whatever went wrong."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["Content-Type"].startswith("application/json"), answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert set(body) == {"error", "error_description"} and body["error_description"]
    return body["error"]


@pytest.mark.parametrize("endpoint", ["token", "revoke"])
def test_bodies_that_are_no_forms(server: Server, job: Machine, endpoint: str) -> None:
    url = f"{server.http}/oidc/v1/{endpoint}"
    auth = (job.client_id, job.secret)
    right = "grant_type=client_credentials"
    for body, headers in [
        (right, {}),
        (right, {"Content-Type": "text/plain"}),
        ('{"grant_type": "client_credentials"}', {"Content-Type": "application/json"}),
        (b"", FORM),
        (b"\x00\xff\xfe", FORM),
        (b"grant_type=%ff&token=%ff", FORM),
        (b"grant_type=%00&token=%00", FORM),
        (b"grant_type=client_credentials&%ff=1&token=x%ff", FORM),
        (f"{right}&{right}&token=a&token=b", FORM),
        (f"{right}&token=x&filler={'x' * 200_000}", FORM),
    ]:
        answer = requests.post(url, data=body, headers=headers, auth=auth, timeout=30)
        assert error_of(answer, 400) == "invalid_request", body[:50]
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = requests.request(method, f"{url}?{right}", auth=auth, timeout=30)
        assert error_of(answer, 405) == "invalid_request"
        assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("endpoint", ["token", "revoke"])
def test_clients_that_do_not_say_who_they_are(server: Server, job: Machine, endpoint: str) -> None:
    url = f"{server.http}/oidc/v1/{endpoint}"
    form = {"grant_type": "client_credentials", "token": "x"}

    def sent(authorization: str | None, **more: str) -> requests.Response:
        headers = {"Authorization": authorization} if authorization else {}
        return requests.post(url, data=form | more, headers=headers, timeout=30)

    for header in ("Basic", "Basic !", "Basic eA==", "Bearer x", "Negotiate x", "x"):
        answer = sent(header)
        assert error_of(answer, 401) == "invalid_client"
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert error_of(sent(None), 400) == "invalid_request"
    right = requests.auth._basic_auth_str(job.client_id, job.secret)
    assert error_of(sent(right, client_id="other"), 400) == "invalid_request"
    assert error_of(sent(right, client_secret="x"), 400) == "invalid_request"
    for id in ("", "nobody", "x\x01", "00000000-0000-0000-0000-000000000000", "x" * 5000):
        answer = sent(None, client_id=id, client_secret="x")
        assert error_of(answer, 401 if id else 400) in ("invalid_client", "invalid_request")
    assert error_of(sent(None, client_id="databricks-cli", client_secret="x"), 401)


def test_tokens_of_fewer_rights_are_not_promised(server: Server, job: Machine) -> None:
    for parameter, error in [
        ("authorization_details", "invalid_authorization_details"),
        ("assume_group", "invalid_request"),
    ]:
        answer = requests.post(
            f"{server.http}/oidc/v1/token",
            data={"grant_type": "client_credentials", parameter: "[]"},
            auth=(job.client_id, job.secret),
            timeout=30,
        )
        assert error_of(answer, 400) == error


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"request": "x"}, "invalid_request"),
        ({"request_uri": "https://evil.example"}, "invalid_request"),
        ({"authorization_details": "[]"}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"prompt": "none"}, "interaction_required"),
        ({"code_challenge": "x" * 42 + "!"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"scope": "offline_access everything"}, "invalid_scope"),
    ],
)
def test_requests_that_mean_something_else(flow: Flow, changed: dict, error: str) -> None:
    answer = requests.get(flow.authorize_url(**changed), allow_redirects=False, timeout=30)
    assert answer.status_code == 303, answer.text
    told = query_of(answer.headers["Location"])
    assert (told["error"], told["state"]) == (error, flow.state)
    assert "code" not in told


@pytest.mark.parametrize(
    "redirect",
    [
        "http://localhost:8020@evil.example/",
        "http://evil.example#@localhost:8020",
        "http://localhost.:8020",
        "http://[::1]:8020",
        "http://127.1:8020.evil.example",
        "https://localhost:8020",
        "//localhost:8020",
        "javascript:alert(1)//localhost",
        "http://localhost:8020/\r\nSet-Cookie: x=y",
        "http://user:secret@localhost:8020",
        "databricks://localhost",
    ],
)
def test_nobody_is_sent_elsewhere(flow: Flow, redirect: str) -> None:
    answer = requests.get(
        flow.authorize_url(redirect_uri=redirect), allow_redirects=False, timeout=30
    )
    if answer.status_code == 303:
        # Written in an odd way, and this machine all the same.
        assert answer.headers["Location"].startswith("http://localhost:8020/")
    else:
        assert answer.status_code in (200, 400)
        assert "Location" not in answer.headers and "x=y" not in str(answer.headers)
        policy = answer.headers["Content-Security-Policy"]
        assert "evil" not in policy, policy


def test_codes_and_tokens_of_one_client_are_nothing_to_another(
    api: Api, flow: Flow, person: str, job: Machine
) -> None:
    stranger = {"client_id": job.client_id, "client_secret": job.secret}
    code = flow.code(person, PASSWORD)
    assert error_of(flow.redeem(code, **stranger), 400) == "invalid_grant"
    tokens = flow.tokens(person, PASSWORD)
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert error_of(flow.post(**(refresh | stranger)), 400) == "invalid_grant"
    revoked = requests.post(
        f"{flow.url}/oidc/v1/revoke",
        data={"token": tokens["refresh_token"]} | stranger,
        timeout=30,
    )
    assert revoked.status_code == 200
    assert flow.refresh(tokens["refresh_token"]).status_code == 200, "still its owner's"


@pytest.mark.parametrize(
    "verifier",
    ["x" * 42, "x" * 129, "ä" * 50, " " * 50],
    ids=["short", "long", "letters of no verifier", "spaces"],
)
def test_verifiers_have_a_form(flow: Flow, person: str, verifier: str) -> None:
    answer = flow.redeem(flow.code(person, PASSWORD), code_verifier=verifier)
    assert error_of(answer, 400) == "invalid_grant"


def test_odd_names_and_passwords_are_only_wrong(flow: Flow) -> None:
    browser = Browser()
    page = browser.open(flow.authorize_url())
    for name, password in [("a'b--", "x"), ("x" * 10_000, "y" * 10_000), ("ä\n", "\t"), ("%", "%s")]:
        answer = browser.submit(page, "allow", username=name, password=password)
        assert answer.status_code == 401, answer.text
    answer = browser.submit(page, "allow", username="a\0b", password="x")
    assert answer.status_code == 400 and 'role="alert"' in answer.text


@pytest.fixture(scope="module")
def open_metadata() -> Iterator[tuple[Server, str]]:
    """A server, and its metadata database, in which a test can turn the clock."""
    with bare_postgres() as url:
        server = Server("--metadata-url", url)
        try:
            yield server.start(), url
        finally:
            server.close()


def test_a_refresh_token_that_comes_again_later_ends_the_login(
    open_metadata: tuple[Server, str],
) -> None:
    server, url = open_metadata
    flow = Flow(server.http)

    def metadata(sql: str) -> psycopg.Cursor:
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(sql)

    with principal(Api(server.http, server.token), "Users", userName=NAME, password=PASSWORD):
        first = flow.tokens(NAME, PASSWORD)
        second = flow.refresh(first["refresh_token"]).json()
        used = "select used_at from lakeport.refresh_tokens where used_at is not null"
        before = metadata(used).fetchall()
        third = flow.refresh(first["refresh_token"]).json()
        # The grace is counted from the first use.
        assert metadata(used).fetchall() == before
        metadata("update lakeport.refresh_tokens set used_at = used_at - interval '10 seconds'")
        answer = flow.refresh(first["refresh_token"])
        assert error_of(answer, 400) == "invalid_grant"
        # The Go SDK knows it by this text.
        assert answer.json()["error_description"] == "Refresh token is invalid"
        for tokens in (first, second, third):
            assert error_of(flow.refresh(tokens["refresh_token"]), 400) == "invalid_grant"
            assert Api(server.http, tokens["access_token"]).send("GET", f"{SCIM}/Me").status_code == 401


def test_another_client_has_no_grace(open_metadata: tuple[Server, str]) -> None:
    server, _ = open_metadata
    flow = Flow(server.http)
    api = Api(server.http, server.token)
    with principal(api, "Users", userName=NAME, password=PASSWORD), machine(api) as job:
        first = flow.tokens(NAME, PASSWORD)
        second = flow.refresh(first["refresh_token"]).json()
        stolen = {"client_id": job.client_id, "client_secret": job.secret}
        refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        assert error_of(flow.post(**refresh, **stolen), 400) == "invalid_grant"
        assert error_of(flow.refresh(second["refresh_token"]), 400) == "invalid_grant"


def test_what_has_expired_is_refused(open_metadata: tuple[Server, str]) -> None:
    server, url = open_metadata
    api = Api(server.http, server.token)
    flow = Flow(server.http)
    with principal(api, "Users", userName=NAME, password=PASSWORD), machine(api) as job:
        tokens = flow.tokens(NAME, PASSWORD)
        code = flow.code(NAME, PASSWORD)
        browser = Browser()
        browser.allow(flow.authorize_url(), NAME, PASSWORD)
        assert "signed in as" in browser.open(f"{server.http}/oidc/account").text
        for table in (
            "refresh_tokens",
            "authorization_codes",
            "service_principal_secrets",
            "login_sessions",
        ):
            with psycopg.connect(url) as connection:
                connection.execute(f"update lakeport.{table} set expires_at = now()")
        assert error_of(flow.refresh(tokens["refresh_token"]), 400) == "invalid_grant"
        assert error_of(flow.redeem(code), 400) == "invalid_grant"
        machine_login = requests.post(
            f"{server.http}/oidc/v1/token",
            data={"grant_type": "client_credentials"},
            auth=(job.client_id, job.secret),
            timeout=30,
        )
        assert error_of(machine_login, 401) == "invalid_client"
        assert browser.open(f"{server.http}/oidc/account").status_code == 401
        # The access token that was there before is good until its own end.
        assert Api(server.http, tokens["access_token"]).user_name() == NAME


def test_random_requests_are_answered_and_change_nothing(
    server: Server, api: Api, flow: Flow, person: str, job: Machine
) -> None:
    chance = random.Random(20260101)
    letters = string.printable + "äß€\u202e\0"
    names = [
        "grant_type client_id client_secret code code_verifier redirect_uri refresh_token scope token",
        "subject_token subject_token_type requested_token_type state response_type code_challenge",
        "code_challenge_method decision proof username password link request iss error",
    ]
    names = " ".join(names).split()
    values = ["client_credentials", "authorization_code", "refresh_token", "databricks-cli", "S256"]
    values += ["code", flow.url, "http://localhost:8020", job.client_id, person, "allow", "deny"]

    def value() -> str:
        if chance.random() < 0.7:
            return chance.choice(values)
        return "".join(chance.choices(letters, k=chance.randrange(60)))

    paths = ["v1/token", "v1/revoke", "v1/authorize", "login", "password", "logout", "account"]
    paths += ["provider", "provider/callback", ".well-known/oauth-authorization-server"]
    users = api.ok("GET", f"{SCIM}/Users")["totalResults"]
    for _ in range(400):
        form = {chance.choice(names): value() for _ in range(chance.randrange(6))}
        method, where = chance.choice([("GET", "params"), ("POST", "params"), ("POST", "data")])
        answer = requests.request(
            method,
            f"{server.http}/oidc/{chance.choice(paths)}",
            allow_redirects=False,
            timeout=30,
            **{where: form},
        )
        assert answer.status_code < 500, (answer.request.url, answer.request.body, answer.text)
    assert api.ok("GET", f"{SCIM}/Users")["totalResults"] == users
    assert flow.tokens(person, PASSWORD)
