"""Users that log in by themselves: made over SCIM, signed in by password, removed afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kit.api import INSTANCES, Api
from kit.identities import principal
from kit.names import unique
from kit.oauth import Flow

PERMISSIONS = "/api/2.0/permissions/database-instances"
PASSWORD = "correct horse battery staple"


@dataclass
class Person:
    """Who it is, and what it calls the API with: an access token of its own."""

    id: str
    name: str
    api: Api
    tokens: dict[str, Any]


@contextmanager
def person(admin: Api, **attributes: Any) -> Iterator[Person]:
    name = f"{unique('p')}@example.com"
    body = {"userName": name, "password": PASSWORD} | attributes
    with principal(admin, "Users", **body) as user:
        tokens = Flow(admin.url).tokens(name, PASSWORD)
        yield Person(user["id"], name, Api(admin.url, tokens["access_token"]), tokens)


def grant(admin: Api, instance: dict[str, Any], level: str = "CAN_USE", **who: str) -> None:
    """`who` is user_name, group_name or service_principal_name."""
    entry = {"permission_level": level} | who
    admin.ok("PATCH", f"{PERMISSIONS}/{instance['name']}", {"access_control_list": [entry]})


def take_all(admin: Api, instance: dict[str, Any]) -> None:
    """Nobody but administrators is left with a permission."""
    admin.ok("PUT", f"{PERMISSIONS}/{instance['name']}", {"access_control_list": []})


def add_role(admin: Api, instance: dict[str, Any], name: str, kind: str = "USER") -> None:
    body = {"name": name, "identity_type": kind}
    admin.ok("POST", f"{INSTANCES}/{instance['name']}/roles", body)
