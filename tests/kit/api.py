"""Raw HTTP against the REST API: what is on the wire, with no SDK in between."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from kit.waiting import eventually

INSTANCES = "/api/2.0/database/instances"
CREDENTIALS = "/api/2.0/database/credentials"
CATALOGS = "/api/2.0/database/catalogs"
SYNCED_TABLES = "/api/2.0/database/synced_tables"
PIPELINES = "/api/2.0/pipelines"
UNITY = "/api/2.1/unity-catalog"


@dataclass
class Api:
    """One caller: a server's URL and a bearer token."""

    url: str
    token: str | None

    def send(self, method: str, path: str, body: Any = None, **query: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return requests.request(
            method, self.url + path, json=body, params=query, headers=headers, timeout=60
        )

    def ok(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The body of a successful answer."""
        answer = self.send(method, path, body, **query)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else {}

    def refused(
        self, status: int, method: str, path: str, body: Any = None, **query: Any
    ) -> "Refusal":
        """The error of an answer that must have this status and the form that clients parse."""
        answer = self.send(method, path, body, **query)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return Refusal.of(answer)

    # --- Instances, the object that most tests need -----------------------------------------------

    def create_instance(self, name: str, **spec: Any) -> dict[str, Any]:
        return self.ok("POST", INSTANCES, {"name": name, "capacity": "CU_1", **spec})

    def instance(self, name: str) -> dict[str, Any]:
        return self.ok("GET", f"{INSTANCES}/{name}")

    def wait_for_state(self, name: str, state: str) -> dict[str, Any]:
        return self.wait_until(name, lambda seen: seen["state"] == state, f"is {state}")

    def wait_until(
        self, name: str, until: Callable[[dict[str, Any]], Any], what: str
    ) -> dict[str, Any]:
        return eventually(lambda: self.instance(name), f"instance {name} {what}", until=until)

    def delete_instance(self, name: str) -> None:
        self.ok("DELETE", f"{INSTANCES}/{name}", purge="true")
        eventually(
            lambda: self.send("GET", f"{INSTANCES}/{name}").status_code,
            f"instance {name} is gone",
            until=lambda status: status == 404,
        )

    def credential(self, *names: str) -> str:
        body = {"instance_names": list(names), "request_id": "test"}
        return self.ok("POST", CREDENTIALS, body)["token"]

    def user_name(self) -> str:
        return self.ok("GET", "/api/2.0/preview/scim/v2/Me")["userName"]


@dataclass
class Refusal:
    """An error body, checked for the form that every SDK relies on."""

    code: str
    message: str

    @classmethod
    def of(cls, answer: requests.Response) -> "Refusal":
        body = answer.json()
        assert set(body) == {"error_code", "message", "details"}, body
        info = [d for d in body["details"] if d["@type"].endswith("google.rpc.RequestInfo")]
        assert len(info) == 1 and info[0]["request_id"], body
        # Clients repeat a request whose error holds one of these.
        assert "Unexpected error" not in body["message"]
        assert "Please try again later" not in body["message"]
        return cls(body["error_code"], body["message"])
