"""People log in at an outside OpenID provider, a certified one that runs as a process of its own."""

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from re import search
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import pytest
import requests

from kit.api import Api
from kit.audit import event
from kit.browser import Browser, query_of
from kit.identities import SCIM, patch, principal
from kit.names import unique
from kit.oauth import Flow
from kit.provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, Person
from kit.server import Server


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    serving = OpenIdProvider()
    yield serving
    serving.close()


@pytest.fixture(scope="module")
def server(
    provider: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("provider")
    (folder / "secret").write_text(f"{CLIENT_SECRET}\n")
    server = Server("--config", str(config(folder, provider)), "--log-filter", "trace")
    try:
        server.start()
        provider.start(f"{server.http}/oidc/provider/callback")
        yield server
    finally:
        server.close()


def config(folder: Path, provider: OpenIdProvider, **more: str) -> Path:
    keys = {
        "url": f'"{provider.url}"',
        "name": '"Example & Co"',
        "client_id": f'"{CLIENT_ID}"',
        "client_secret_file": f'"{folder / "secret"}"',
    }
    lines = [f"{key} = {value}" for key, value in (keys | more).items()]
    file = folder / "lakeport.toml"
    file.write_text("[login_provider]\n" + "\n".join(lines) + "\n")
    return file


@pytest.fixture
def api(server: Server) -> Api:
    return Api(server.http, server.token)


@pytest.fixture
def flow(server: Server) -> Flow:
    return Flow(server.http)


def link_on(page: requests.Response) -> str:
    """Where the button of the page leads."""
    found = search(r'<a href="([^"]+)">Sign in with Example &amp; Co</a>', page.text)
    assert found, page.text
    return urljoin(page.url, unescape(found[1]))


def test_a_person_logs_in_and_a_client_gets_tokens(server: Server, api: Api, flow: Flow) -> None:
    name = f"{unique('p')}@example.com"
    with principal(api, "Users", userName=name):
        person = Person(name)
        asked = person.session.get(flow.authorize_url(), timeout=30)
        consent = person.log_in(link_on(asked), until=f"{server.http}/oidc/v1/authorize")
        assert f"You are signed in as {name}" in consent.text
        event(server, "request", path="/oidc/provider/callback", subject=name, status=303)
        browser = Browser()
        browser.session = person.session
        answer = browser.submit(consent, "allow")
        tokens = flow.redeem(flow.code_in(answer.headers["Location"])).json()
        assert Api(server.http, tokens["access_token"]).user_name() == name
        # Known at the provider still: a second client costs no password.
        person.session.cookies.clear(domain="127.0.0.1", path="/oidc")
        page = person.session.get(f"{server.http}/oidc/account", timeout=30)
        assert page.status_code == 401
        page = person.session.get(link_on(page), timeout=30)
        assert (page.url, page.status_code) == (f"{server.http}/oidc/account", 200)
        log = server.log.read_text(errors="replace")
        secrets = [CLIENT_SECRET, tokens["access_token"], tokens["refresh_token"]]
        assert not [secret for secret in secrets if secret in log]


def arrives(server: Server, name: str) -> requests.Response:
    """The page that a person sees after the provider's."""
    url = f"{server.http}/oidc/provider"
    return Person(name).log_in(url, until=f"{server.http}/oidc/")


def told_off(page: requests.Response, text: str) -> None:
    assert page.status_code == 403 and 'role="alert"' in page.text, page.text
    assert text in page.text, page.text


def test_who_is_no_user_stays_outside(server: Server, api: Api) -> None:
    name = f"{unique('p')}@example.com"
    told_off(arrives(server, name), f"There is no user &quot;{name}&quot; here")
    with principal(api, "Users", userName=name) as user:
        assert f"signed in as {name}" in arrives(server, name).text
        # The person is known by its subject; another one with the same address is somebody else.
        told_off(arrives(server, f"second-{name}"), "another person")
        patch(api, f"Users/{user['id']}", {"op": "replace", "path": "active", "value": False})
        told_off(arrives(server, name), "deactivated")
    told_off(arrives(server, name), "There is no user")


def test_an_address_must_be_verified(server: Server, api: Api) -> None:
    name = f"unverified-{unique('p')}@example.com"
    with principal(api, "Users", userName=name):
        told_off(arrives(server, name), "does not vouch")
    for group in ("admins", "public", "lakeport_admin"):
        told_off(arrives(server, group), "There is no user")


def test_new_people_become_users_where_that_is_wanted(
    provider: OpenIdProvider, tmp_path: Path
) -> None:
    """A second server and a second provider: the first one's knows one callback only."""
    second = OpenIdProvider()
    (tmp_path / "secret").write_text(CLIENT_SECRET)
    server = Server("--config", str(config(tmp_path, second, create_users="true")))
    try:
        server.start()
        second.start(f"{server.http}/oidc/provider/callback")
        api = Api(server.http, server.token)
        name = f"{unique('new')}@example.com"
        for _ in range(2):
            assert f"signed in as {name}" in arrives(server, name).text
        found = api.ok("GET", f"{SCIM}/Users", filter=f'userName eq "{name}"')["Resources"]
        assert len(found) == 1
        assert [group["display"] for group in found[0]["groups"]] == ["users"]
        # What cannot be a user's name becomes none.
        for bad in ("databricks_x", "o'brien@example.com", "admins"):
            assert arrives(server, bad).status_code == 403
    finally:
        server.close()
        second.close()


def test_an_answer_counts_in_the_browser_that_asked(server: Server, api: Api) -> None:
    name = f"{unique('p')}@example.com"
    with principal(api, "Users", userName=name):
        victim, attacker = Person(name), Person(name)
        start = attacker.session.get(
            f"{server.http}/oidc/provider", timeout=30, allow_redirects=False
        )
        sent = query_of(start.headers["Location"])
        assert sent["code_challenge_method"] == "S256" and sent["nonce"] and sent["state"]
        assert "HttpOnly" in start.headers["Set-Cookie"]
        callback = answer_of(attacker, start.headers["Location"], server)
        # In another browser; with another's state; twice.
        assert victim.session.get(callback, timeout=30).status_code == 400
        victim.session.get(f"{server.http}/oidc/provider", timeout=30, allow_redirects=False)
        assert victim.session.get(callback, timeout=30).status_code == 400
        assert attacker.session.get(callback, timeout=30).status_code == 200
        assert attacker.session.get(callback, timeout=30).status_code == 400


@pytest.mark.parametrize("request_", ["a%0d%0aSet-Cookie:x=y", "x" * 3000, "%C3%A4", "a%20b"])
def test_only_a_query_is_carried_along(server: Server, request_: str) -> None:
    url = f"{server.http}/oidc/provider?request={request_}"
    answer = requests.get(url, allow_redirects=False, timeout=30)
    assert answer.status_code == 400 and "Location" not in answer.headers


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"state": "x"}, 400),
        ({"state": None}, 400),
        ({"code": None}, 400),
        ({"code": "x"}, 502),
        ({"iss": "https://evil.example"}, 400),
        ({"error": "access_denied"}, 400),
    ],
)
def test_malformed_answers_sign_nobody_in(
    server: Server, api: Api, changed: dict, status: int
) -> None:
    name = f"{unique('p')}@example.com"
    with principal(api, "Users", userName=name):
        person = Person(name)
        start = person.session.get(f"{server.http}/oidc/provider", timeout=30, allow_redirects=False)
        callback = urlsplit(answer_of(person, start.headers["Location"], server))
        query = {k: v for k, v in (dict(parse_qsl(callback.query)) | changed).items() if v}
        page = person.session.get(callback._replace(query=urlencode(query)).geturl(), timeout=30)
        assert page.status_code == status and 'role="alert"' in page.text
        assert person.session.get(f"{server.http}/oidc/account", timeout=30).status_code == 401


def answer_of(person: Person, url: str, server: Server) -> str:
    """The provider's answer, before the browser takes it to the server."""
    stop = f"{server.http}/oidc/provider/callback"
    send = person.session.send

    class Arrived(Exception):
        pass

    def watch(request: requests.PreparedRequest, **options: object) -> requests.Response:
        if request.url.startswith(stop):
            raise Arrived(request.url)
        return send(request, **options)

    person.session.send = watch
    try:
        person.log_in(url, until=stop)
    except Arrived as arrived:
        return str(arrived)
    finally:
        person.session.send = send
    raise AssertionError("the provider gave no answer")
