"""Logins by browser and by client secret, and the profiles that they are kept in."""

import configparser
import json
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from kit.api import Api
from kit.browser import Browser
from kit.cli import Cli
from kit.identities import principal
from kit.names import unique
from kit.server import Server

PASSWORD = "correct horse battery"


@dataclass
class Home:
    """A home directory of its own, with the command line in it."""

    path: Path
    cli: Cli

    @property
    def cache(self) -> Path:
        return self.path / ".databricks" / "token-cache.json"

    def tokens(self) -> dict:
        return json.loads(self.cache.read_text())["tokens"]

    def profiles(self) -> configparser.ConfigParser:
        parser = configparser.ConfigParser(default_section="", interpolation=None)
        parser.read(self.path / ".databrickscfg")
        return parser


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, Cli(tmp_path / ".databrickscfg", HOME=str(tmp_path)))


@pytest.fixture
def person(api: Api) -> Iterator[str]:
    name = f"{unique('p')}@example.com"
    with principal(api, "Users", userName=name, password=PASSWORD):
        yield name


def log_in(home: Home, person: str, *arguments: str) -> str:
    """What the command says, when the person has logged in on the page that it names."""
    running = home.cli.start(
        "auth", "login", "--no-browser", *arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert running.stderr.readline() == "Open this page:\n"
    page = running.stderr.readline().strip()
    back = Browser().allow(page, person, PASSWORD)
    assert requests.get(back.replace("code=", "other="), timeout=30).status_code == 404
    assert "logged in" in requests.get(back, timeout=30).text
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    return said


def expire(home: Home) -> None:
    cache = json.loads(home.cache.read_text())
    for token in cache["tokens"].values():
        token["expiry"] = "2020-01-01T00:00:00Z"
    home.cache.write_text(json.dumps(cache))


def test_login_by_browser_is_a_profile(home: Home, server: Server, person: str) -> None:
    said = log_in(home, person, "--host", server.http)
    assert f"{person} is logged in at {server.http}: profile `DEFAULT`" in said
    assert dict(home.profiles()["DEFAULT"]) == {
        "host": server.http,
        "auth_type": "databricks-cli",
    }
    assert stat.S_IMODE(home.cache.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.cache.parent.stat().st_mode) == 0o700
    # Under the profile's name and the host's, as newer and older official tools look for it.
    assert set(home.tokens()) == {"DEFAULT", server.http}
    token = json.loads(home.cli("auth", "token").stdout)
    assert (
        token["token_type"] == "Bearer"
        and Api(server.http, token["access_token"]).user_name() == person
    )
    assert person in home.cli("doctor", "-o", "text").stdout


def test_login_is_renewed_once_however_many_want_it(
    home: Home, server: Server, person: str
) -> None:
    log_in(home, person, "--host", server.http)
    before = home.tokens()["DEFAULT"]
    expire(home)
    answers: list[str] = []

    def ask() -> None:
        answers.append(json.loads(home.cli("auth", "token").stdout)["access_token"])

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 5 and len(set(answers)) == 1 and answers[0] != before["access_token"]
    after = home.tokens()
    assert after["DEFAULT"] == after[server.http]
    assert after["DEFAULT"]["refresh_token"] != before["refresh_token"]
    assert Api(server.http, answers[0]).user_name() == person


def test_ended_login_says_how_to_log_in_again(home: Home, server: Server, person: str) -> None:
    log_in(home, person, "--host", server.http)
    form = {"token": home.tokens()["DEFAULT"]["refresh_token"], "client_id": "databricks-cli"}
    requests.post(f"{server.http}/oidc/v1/revoke", data=form, timeout=30).raise_for_status()
    again = f"hint: log in again: lakeport auth login --host {server.http}"
    # With an access token that the server no longer takes, and with none left.
    assert again in home.cli("instance", "list", code=4).stderr
    expire(home)
    refused = home.cli("instance", "list", code=4)
    assert "the login at" in refused.stderr and again in refused.stderr
    log_in(home, person)
    assert json.loads(home.cli("auth", "token").stdout)["access_token"]


def test_logout_ends_the_login_at_the_server_too(home: Home, server: Server, person: str) -> None:
    log_in(home, person, "--host", server.http)
    held = home.tokens()["DEFAULT"]
    home.cli("auth", "logout")
    assert home.tokens() == {}
    assert (
        Api(server.http, held["access_token"])
        .send("GET", "/api/2.0/preview/scim/v2/Me")
        .status_code
        == 401
    )
    assert "nobody is logged in" in home.cli("instance", "list", code=4).stderr


def test_profiles_with_secrets_are_left_alone(home: Home, server: Server, person: str) -> None:
    config = home.path / ".databrickscfg"
    config.write_text(
        f"# mine\n[DEFAULT]\nhost = {server.http}\ntoken = {server.token}\n\n"
        "[dead]\nhost = http://127.0.0.1:1\ntoken = x\n"
    )
    said = log_in(home, person, "--host", server.http)
    assert "profile `lakeport`" in said
    assert config.read_text().startswith(
        f"# mine\n[DEFAULT]\nhost = {server.http}\ntoken = {server.token}\n"
    )
    refused = home.cli("auth", "login", "--profile", "DEFAULT", code=2)
    assert "holds a token" in refused.stderr
    told = json.loads(home.cli("auth", "profiles").stdout)["profiles"]
    assert {(row["name"], row["auth_type"], row["valid"]) for row in told} == {
        ("DEFAULT", "pat", True),
        ("dead", "pat", False),
        ("lakeport", "databricks-cli", True),
    }
    home.cli("auth", "token", code=1)


def test_declined_and_interrupted_logins_change_nothing(home: Home, server: Server) -> None:
    def begin() -> tuple[subprocess.Popen, str]:
        running = home.cli.start(
            "auth", "login", "--host", server.http, "--no-browser", stderr=subprocess.PIPE
        )
        running.stderr.readline()
        return running, running.stderr.readline().strip()

    running, page = begin()
    browser = Browser()
    back = browser.submit(browser.open(page), "deny").headers["Location"]
    assert "declined" in requests.get(back, timeout=30).text
    _, said = running.communicate(timeout=60)
    assert running.returncode == 4 and "access_denied" in said

    running, _ = begin()
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130 and "nothing was changed" in said
    assert not home.cache.exists() and not (home.path / ".databrickscfg").exists()


def test_browser_of_the_environment_is_opened(home: Home, server: Server, person: str) -> None:
    script = home.path / "browser"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {home.path}/opened\n')
    script.chmod(0o755)
    running = home.cli.start(
        "auth", "login", "--host", server.http, stderr=subprocess.PIPE, env={"BROWSER": str(script)}
    )
    assert "on the page that opens" in running.stderr.readline()
    page = running.stderr.readline().strip()
    requests.get(Browser().allow(page, person, PASSWORD), timeout=30)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert (home.path / "opened").read_text() == page


def test_client_secret_of_the_environment(lakeport: Cli, api: Api, server: Server) -> None:
    with principal(api, "ServicePrincipals", displayName="job") as sp:
        path = f"/api/2.0/accounts/servicePrincipals/{sp['id']}/credentials/secrets"
        machine = {
            "DATABRICKS_CONFIG_FILE": "/nowhere",
            "DATABRICKS_HOST": server.http,
            "DATABRICKS_CLIENT_ID": sp["applicationId"],
            "DATABRICKS_CLIENT_SECRET": api.ok("POST", path)["secret"],
        }
        told = lakeport("doctor", "-o", "text", **machine).stdout
        assert sp["applicationId"] in told and "a client secret" in told
        wrong = lakeport("auth", "token", code=4, **machine | {"DATABRICKS_CLIENT_SECRET": "no"})
        assert "invalid_client" in wrong.stderr and "no\n" not in wrong.stdout
        both = lakeport("instance", "list", code=1, **machine | {"DATABRICKS_TOKEN": "t"})
        assert "both a token and a client secret" in both.stderr
