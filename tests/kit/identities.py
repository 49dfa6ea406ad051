"""Principals for tests, made over SCIM and removed afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from kit.api import Api
from kit.names import unique

SCIM = "/api/2.0/preview/scim/v2"


def made(api: Api, plural: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = api.send("POST", f"{SCIM}/{plural}", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


@contextmanager
def principal(api: Api, plural: str, **body: Any) -> Iterator[dict[str, Any]]:
    resource = made(api, plural, body)
    try:
        yield resource
    finally:
        answer = api.send("DELETE", f"{SCIM}/{plural}/{resource['id']}")
        assert answer.status_code in (204, 404), answer.text


def scim_refused(
    api: Api, status: int, method: str, path: str, body: Any = None, **query: Any
) -> dict[str, Any]:
    """The body of a SCIM error, checked for its form."""
    answer = api.send(method, f"{SCIM}/{path}", body, **query)
    assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
    error = answer.json()
    assert error["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert error["status"] == str(status) and error["detail"]
    return error


def admins_id(api: Api) -> str:
    found = api.ok("GET", f"{SCIM}/Groups", filter='displayName eq "admins"')["Resources"]
    assert len(found) == 1, found
    return found[0]["id"]


def patch(api: Api, path: str, *operations: dict[str, Any]) -> dict[str, Any]:
    return api.ok("PATCH", f"{SCIM}/{path}", {"Operations": list(operations)})


def add_admin(api: Api, principal_id: str) -> None:
    add = {"op": "add", "path": "members", "value": [{"value": principal_id}]}
    patch(api, f"Groups/{admins_id(api)}", add)


@dataclass
class Machine:
    """A service principal with a secret."""

    id: str
    client_id: str
    secret: str
    secret_id: str

    def access_token(self, url: str) -> str:
        """By client credentials, from the server at `url`."""
        answer = requests.post(
            f"{url}/oidc/v1/token",
            data={"grant_type": "client_credentials", "scope": "all-apis"},
            auth=(self.client_id, self.secret),
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]


@contextmanager
def machine(api: Api, *, admin: bool = False) -> Iterator[Machine]:
    with principal(api, "ServicePrincipals", displayName=unique("sp")) as sp:
        if admin:
            add_admin(api, sp["id"])
        path = f"/api/2.0/accounts/servicePrincipals/{sp['id']}/credentials/secrets"
        secret = api.ok("POST", path, {"lifetime": "3600s"})
        yield Machine(sp["id"], sp["applicationId"], secret["secret"], secret["id"])
