"""What is taken away is refused from the next login on; where that is the policy, sessions end."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import requests

from kit.api import INSTANCES, Api
from kit.identities import SCIM, machine, patch, principal
from kit.login import Login
from kit.names import unique
from kit.people import Person, add_role, grant, person, take_all
from kit.server import Server
from kit.waiting import eventually

TOKENS = "/api/2.0/token"


@dataclass
class Place:
    api: Api
    instance: dict[str, Any]


@dataclass
class Holder:
    """Somebody who may log in, and the password in use."""

    person: Person
    place: Place
    password: str
    personal_token: str

    def login(self) -> Login:
        return Login(self.place.instance["read_write_dns"], self.person.name, self.password)


@pytest.fixture(scope="module")
def strict() -> Iterator[Place]:
    running = Server("--sessions-on-revoke", "terminate")
    try:
        running.start()
        api = Api(running.http, running.token)
        name = unique("strict")
        api.create_instance(name)
        yield Place(api, api.wait_for_state(name, "AVAILABLE"))
    finally:
        running.close()


@pytest.fixture
def holder(strict: Place) -> Iterator[Holder]:
    yield from holding(strict)


def holding(place: Place) -> Iterator[Holder]:
    with person(place.api) as someone:
        grant(place.api, place.instance, user_name=someone.name)
        add_role(place.api, place.instance, someone.name)
        made = someone.api.ok("POST", f"{TOKENS}/create", {"comment": "t"})
        own = Api(place.api.url, made["token_value"])
        password = own.credential(place.instance["name"])
        yield Holder(someone, place, password, made["token_info"]["token_id"])
    path = f"{INSTANCES}/{place.instance['name']}/roles/{someone.name}"
    place.api.ok("DELETE", path, allow_missing="true")


def take_permission(holder: Holder) -> None:
    take_all(holder.place.api, holder.place.instance)


def delete_user(holder: Holder) -> None:
    assert holder.place.api.send("DELETE", f"{SCIM}/Users/{holder.person.id}").status_code == 204


def deactivate(holder: Holder) -> None:
    change = {"op": "replace", "path": "active", "value": False}
    patch(holder.place.api, f"Users/{holder.person.id}", change)


def drop_role(holder: Holder) -> None:
    path = f"{INSTANCES}/{holder.place.instance['name']}/roles/{holder.person.name}"
    holder.place.api.ok("DELETE", path)


def delete_the_token_that_asked(holder: Holder) -> None:
    body = {"token_id": holder.personal_token}
    holder.person.api.ok("POST", f"{TOKENS}/delete", body)


WAYS = [take_permission, delete_user, deactivate, drop_role, delete_the_token_that_asked]


def ended(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


@pytest.mark.parametrize("way", WAYS)
def test_sessions_end_and_logins_are_refused(holder: Holder, way: Callable[[Holder], None]) -> None:
    login = holder.login()
    bystander = Login.to(holder.place.api, holder.place.instance).connect()
    with login.connect() as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
        way(holder)
        with pytest.raises(psycopg.OperationalError):
            login.connect()
        eventually(lambda: ended(session), "the session ends")
    assert bystander.execute("SELECT 1").fetchone() == (1,), "others stay"
    bystander.close()


def test_a_revoked_access_token_ends_its_sessions_only(holder: Holder) -> None:
    by_access_token = Login(
        holder.login().host, holder.person.name, holder.person.api.token
    )
    with by_access_token.connect() as session, holder.login().connect() as other:
        answer = requests.post(
            f"{holder.place.api.url}/oidc/v1/revoke",
            data={"client_id": "databricks-cli", "token": holder.person.api.token},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        with pytest.raises(psycopg.OperationalError):
            by_access_token.connect()
        eventually(lambda: ended(session), "the session of the revoked token ends")
        assert not ended(other), "that of another token stays"


def test_a_revoked_credential_ends_its_sessions_only(holder: Holder) -> None:
    another = Login(holder.login().host, holder.person.name, own_credential(holder))
    with holder.login().connect() as session, another.connect() as other:
        answer = requests.post(
            f"{holder.place.api.url}/oidc/v1/revoke",
            data={"client_id": "databricks-cli", "token": holder.password},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        with pytest.raises(psycopg.OperationalError):
            holder.login().connect()
        eventually(lambda: ended(session), "the session of the revoked credential ends")
        assert not ended(other), "that of another credential stays"


def own_credential(holder: Holder) -> str:
    return holder.person.api.credential(holder.place.instance["name"])


def test_a_deleted_secret_ends_the_sessions_that_came_of_it(strict: Place) -> None:
    with machine(strict.api) as job:
        grant(strict.api, strict.instance, service_principal_name=job.client_id)
        add_role(strict.api, strict.instance, job.client_id, "SERVICE_PRINCIPAL")
        token = job.access_token(strict.api.url)
        of_secret = Login(strict.instance["read_write_dns"], job.client_id, token)
        asked = Api(strict.api.url, token).credential(strict.instance["name"])
        of_token = Login(strict.instance["read_write_dns"], job.client_id, asked)
        bystander = Login.to(strict.api, strict.instance).connect()
        with of_secret.connect() as by_token, of_token.connect() as by_credential:
            secrets = f"/api/2.0/accounts/servicePrincipals/{job.id}/credentials/secrets"
            strict.api.ok("DELETE", f"{secrets}/{job.secret_id}")
            for login, session in ((of_secret, by_token), (of_token, by_credential)):
                with pytest.raises(psycopg.OperationalError):
                    login.connect()
                eventually(lambda session=session: ended(session), "the session ends")
        assert not ended(bystander), "others stay"
        bystander.close()
        strict.api.ok("DELETE", f"{INSTANCES}/{strict.instance['name']}/roles/{job.client_id}")


def test_leaving_a_group_ends_its_sessions(strict: Place) -> None:
    with ExitStack() as stack:
        someone = stack.enter_context(person(strict.api))
        members = [{"value": someone.id}]
        group = stack.enter_context(
            principal(strict.api, "Groups", displayName=unique("g"), members=members)
        )
        grant(strict.api, strict.instance, group_name=group["displayName"])
        add_role(strict.api, strict.instance, group["displayName"], "GROUP")
        login = Login.to(someone.api, strict.instance)
        login.user = group["displayName"]
        with login.connect() as session:
            patch(strict.api, f"Groups/{group['id']}", {"op": "remove", "path": "members"})
            with pytest.raises(psycopg.OperationalError):
                login.connect()
            eventually(lambda: ended(session), "the session ends")


def test_by_default_open_sessions_stay(api: Api, own_instance: dict[str, Any]) -> None:
    for way in (take_permission, deactivate, delete_the_token_that_asked):
        for holder in holding(Place(api, own_instance)):
            login = holder.login()
            with login.connect() as session:
                way(holder)
                with pytest.raises(psycopg.OperationalError):
                    login.connect()
                assert session.execute("SELECT 1").fetchone() == (1,), way.__name__


def test_a_name_that_is_given_again_does_not_revive_a_token(strict: Place) -> None:
    for holder in holding(strict):
        login = holder.login()
        delete_user(holder)
        with principal(strict.api, "Users", userName=holder.person.name):
            grant(strict.api, strict.instance, user_name=holder.person.name)
            with pytest.raises(psycopg.OperationalError):
                login.connect()
