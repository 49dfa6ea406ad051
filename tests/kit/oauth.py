"""The authorization code flow, step by step, as a client does it."""

import base64
import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests

from kit.browser import Browser, query_of

REDIRECT = "http://localhost:8765"


@contextmanager
def callback_port() -> Iterator[None]:
    """The Python SDKs listen on one fixed port: one of them at a time."""
    name = f"lakeport-tests-callback-port-{os.getuid()}"
    with (Path(tempfile.gettempdir()) / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass
class Flow:
    """One login of the public client at a server's URL."""

    url: str
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def authorize_url(self, **changed: str | None) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": "databricks-cli",
            "redirect_uri": REDIRECT,
            "scope": "all-apis offline_access",
            "state": self.state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        query = {k: v for k, v in (parameters | changed).items() if v is not None}
        return f"{self.url}/oidc/v1/authorize?{urlencode(query)}"

    def code(self, username: str, password: str, browser: Browser | None = None) -> str:
        return self.code_in((browser or Browser()).allow(self.authorize_url(), username, password))

    def code_in(self, location: str) -> str:
        assert location.startswith(REDIRECT), location
        answer = query_of(location)
        assert answer["state"] == self.state
        return answer["code"]

    def post(self, **form: str) -> requests.Response:
        body = {"client_id": "databricks-cli"} | form
        return requests.post(f"{self.url}/oidc/v1/token", data=body, timeout=30)

    def redeem(self, code: str, /, **changed: str) -> requests.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": self.verifier,
        }
        return self.post(**(form | changed))

    def refresh(self, token: str) -> requests.Response:
        return self.post(grant_type="refresh_token", refresh_token=token)

    def tokens(self, username: str, password: str) -> dict[str, Any]:
        answer = self.redeem(self.code(username, password))
        assert answer.status_code == 200, answer.text
        return answer.json()
