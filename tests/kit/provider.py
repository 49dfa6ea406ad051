"""A certified OpenID provider as a process, and a person who logs in at it."""

import os
import signal
import socket
import subprocess
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests

from kit.clients import CLIENTS, NODE
from kit.waiting import eventually

CLIENT_ID, CLIENT_SECRET = "lakeport", "a secret of the tests"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class OpenIdProvider:
    """Its address is known before it runs: who uses it asks for it only when somebody logs in."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, redirect_uri: str) -> None:
        self.process = subprocess.Popen(
            [NODE, CLIENTS / "provider" / "provider.mjs"],
            env=os.environ
            | {
                "PORT": str(self.port),
                "CLIENT_ID": CLIENT_ID,
                "CLIENT_SECRET": CLIENT_SECRET,
                "REDIRECT_URI": redirect_uri,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # `node` of a wheel is a program that runs another.
            start_new_session=True,
        )
        eventually(lambda: requests.get(f"{self.url}/jwks", timeout=5).ok, "the provider answers")

    def close(self) -> None:
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class FirstForm(HTMLParser):
    def __init__(self, page: requests.Response) -> None:
        super().__init__()
        self.action, self.values = "", {}
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form" and not self.action:
            self.action = found.get("action") or ""
        elif tag == "input" and found.get("type") == "hidden":
            self.values[found["name"]] = found.get("value") or ""


class Person:
    """Somebody with a browser, who is at the provider whoever they say they are."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.session = requests.Session()

    def log_in(self, url: str, until: str, **changed: Any) -> requests.Response:
        """Follows a link through the provider's pages to the first page of `until`."""
        page = self.session.get(url, timeout=30)
        for _ in range(4):
            if page.url.startswith(until):
                return page
            form = FirstForm(page)
            data = form.values | {"login": self.name, "password": "any"} | changed
            page = self.session.post(urljoin(page.url, form.action), data=data, timeout=30)
        raise AssertionError(f"still at {page.url}: {page.text[:500]}")
