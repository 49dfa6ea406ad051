"""Rights through groups: a member may what it may, logs in as it, and loses both on leaving."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
import requests

from kit.api import CREDENTIALS, INSTANCES, Api
from kit.identities import SCIM, Machine, machine, patch, principal
from kit.login import Login
from kit.names import unique
from kit.people import Person, add_role, grant, person

WHO = "SELECT current_user::text"


@dataclass
class Member:
    """A person, in a group that is in a group that may use an instance, in which it has a role."""

    person: Person
    inner: dict[str, Any]
    outer: dict[str, Any]
    instance: dict[str, Any]

    @property
    def role(self) -> str:
        return self.outer["displayName"]

    def login(self) -> Login:
        return replace(Login.to(self.person.api, self.instance), user=self.role)


@pytest.fixture
def member(api: Api, instance: dict[str, Any]) -> Iterator[Member]:
    with ExitStack() as stack:
        group = lambda label, id: stack.enter_context(  # noqa: E731
            principal(api, "Groups", displayName=unique(label), members=[{"value": id}])
        )
        someone = stack.enter_context(person(api))
        inner = group("inner", someone.id)
        outer = group("outer", inner["id"])
        made = Member(someone, inner, outer, instance)
        grant(api, instance, group_name=made.role)
        add_role(api, instance, made.role, "GROUP")
        yield made
        path = f"{INSTANCES}/{instance['name']}/roles/{made.role}"
        api.ok("DELETE", path, allow_missing="true")


def test_a_member_of_a_member_logs_in_as_the_group(member: Member) -> None:
    assert member.login().value(WHO) == member.role
    # As itself it has no role.
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        replace(member.login(), user=member.person.name).connect()


def test_an_access_token_opens_it_too(member: Member) -> None:
    login = Login(member.instance["read_write_dns"], member.role, member.person.api.token)
    assert login.value(WHO) == member.role


def test_nobody_logs_in_as_a_group_of_others(api: Api, member: Member) -> None:
    with principal(api, "Groups", displayName=unique("other")) as other:
        add_role(api, member.instance, other["displayName"], "GROUP")
        with pytest.raises(psycopg.OperationalError, match="28000|may not|not.*log in|password"):
            replace(member.login(), user=other["displayName"]).connect()
        path = f"{INSTANCES}/{member.instance['name']}/roles/{other['displayName']}"
        api.ok("DELETE", path)


def leave_inner(api: Api, member: Member) -> None:
    patch(
        api,
        f"Groups/{member.inner['id']}",
        {"op": "remove", "path": f'members[value eq "{member.person.id}"]'},
    )


def empty_outer(api: Api, member: Member) -> None:
    patch(api, f"Groups/{member.outer['id']}", {"op": "remove", "path": "members"})


def delete_inner(api: Api, member: Member) -> None:
    assert api.send("DELETE", f"{SCIM}/Groups/{member.inner['id']}").status_code == 204


@pytest.mark.parametrize("leave", [leave_inner, empty_outer, delete_inner])
def test_who_leaves_is_refused_at_once(api: Api, member: Member, leave: Any) -> None:
    login = member.login()
    assert login.value(WHO) == member.role
    leave(api, member)
    with pytest.raises(psycopg.OperationalError):
        login.connect()
    names = {"instance_names": [member.instance["name"]]}
    member.person.api.refused(404, "POST", CREDENTIALS, names)
    assert member.person.api.ok("GET", INSTANCES) == {"database_instances": []}


def test_a_service_principal_by_its_application_id(api: Api, instance: dict[str, Any]) -> None:
    with machine(api) as sp:
        own = Api(api.url, sp_token(api, sp))
        own.refused(404, "POST", CREDENTIALS, {"instance_names": [instance["name"]]})
        grant(api, instance, service_principal_name=sp.client_id)
        add_role(api, instance, sp.client_id, "SERVICE_PRINCIPAL")
        assert Login.to(own, instance).value(WHO) == sp.client_id
        api.ok("DELETE", f"{INSTANCES}/{instance['name']}/roles/{sp.client_id}")


def sp_token(api: Api, sp: Machine) -> str:
    answer = requests.post(
        f"{api.url}/oidc/v1/token",
        data={"grant_type": "client_credentials", "scope": "all-apis"},
        auth=(sp.client_id, sp.secret),
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def test_the_entitlement_to_create_instances(api: Api) -> None:
    entitled = [{"value": "allow-cluster-create"}]
    name = unique("entitled")
    with person(api) as one, person(api, entitlements=entitled) as other:
        refusal = one.api.refused(403, "POST", INSTANCES, {"name": name})
        assert "allow-cluster-create" in refusal.message
        members = [{"value": one.id}]
        body = {"displayName": unique("makers"), "members": members, "entitlements": entitled}
        with principal(api, "Groups", **body):
            for who in (one, other):
                # Refused for its capacity, not for who asks.
                bad = {"name": name, "capacity": "CU_3"}
                assert "capacity" in who.api.refused(400, "POST", INSTANCES, bad).message
            one.api.create_instance(name)
            mine = one.api.wait_for_state(name, "AVAILABLE")
            assert mine["creator"] == one.name
            assert Login.to(one.api, mine).value(WHO) == one.name
            other.api.refused(404, "GET", f"{INSTANCES}/{name}")
        one.api.delete_instance(name)
