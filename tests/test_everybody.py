"""The group `users`: everybody is in it, and nobody has to be put there."""

from collections.abc import Iterator
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service import iam

from kit.api import CREDENTIALS, INSTANCES, Api
from kit.identities import SCIM, machine, patch, principal, scim_refused
from kit.login import Login
from kit.people import Person, add_role, grant, person, take_all

OBJECT = "database-instances"


@pytest.fixture(scope="module")
def users(api: Api) -> dict[str, Any]:
    (found,) = api.ok("GET", f"{SCIM}/Groups", filter='displayName eq "users"')["Resources"]
    return found


@pytest.fixture
def someone(api: Api) -> Iterator[Person]:
    with person(api) as made:
        yield made


def test_it_is_listed_with_everybody_in_it(
    api: Api, users: dict[str, Any], someone: Person
) -> None:
    me = someone.api.ok("GET", f"{SCIM}/Me")
    assert [(g["display"], g["type"]) for g in me["groups"]] == [("users", "direct")]
    with principal(api, "ServicePrincipals", displayName="job") as job:
        members = {m["value"] for m in api.ok("GET", f"{SCIM}/Groups/{users['id']}")["members"]}
        assert {someone.id, job["id"]} <= members
        assert users["id"] not in members
    members = {m["value"] for m in api.ok("GET", f"{SCIM}/Groups/{users['id']}")["members"]}
    assert job["id"] not in members


def test_nobody_is_put_in_or_taken_out(api: Api, users: dict[str, Any], someone: Person) -> None:
    path = f"Groups/{users['id']}"
    for operation in (
        {"op": "remove", "path": f'members[value eq "{someone.id}"]'},
        {"op": "replace", "path": "members", "value": []},
        {"op": "add", "path": "members", "value": [{"value": users["id"]}]},
    ):
        refusal = scim_refused(api, 400, "PATCH", path, {"Operations": [operation]})
        assert "members" in refusal["detail"]
    scim_refused(api, 400, "PUT", path, {"displayName": "others"})
    scim_refused(api, 400, "DELETE", path)
    scim_refused(api, 409, "POST", "Groups", {"displayName": "users"})
    # What a client has read it may send back, with something else changed.
    now = api.ok("GET", f"{SCIM}/{path}")
    changed = api.ok("PUT", f"{SCIM}/{path}", now | {"externalId": "everybody"})
    assert changed["externalId"] == "everybody"
    gone = patch(api, path, {"op": "remove", "path": "externalId"})
    assert "externalId" not in gone and len(gone["members"]) == len(now["members"])


def test_a_permission_of_it_is_everybodys(
    api: Api, workspace: WorkspaceClient, own_instance: dict[str, Any], someone: Person
) -> None:
    name = own_instance["name"]
    assert someone.api.send("GET", f"{INSTANCES}/{name}").status_code == 404
    asked = iam.AccessControlRequest(
        group_name="users", permission_level=iam.PermissionLevel.CAN_USE
    )
    shown = workspace.permissions.update(OBJECT, name, access_control_list=[asked])
    assert "users" in [entry.group_name for entry in shown.access_control_list]

    assert someone.api.instance(name)["name"] == name
    listed = someone.api.ok("GET", INSTANCES)["database_instances"]
    assert name in [instance["name"] for instance in listed]
    with machine(api) as job:
        assert Api(api.url, job.access_token(api.url)).instance(name)["name"] == name

    take_all(api, own_instance)
    assert someone.api.send("GET", f"{INSTANCES}/{name}").status_code == 404


def test_everybody_may_log_in_as_it(
    api: Api, own_instance: dict[str, Any], someone: Person
) -> None:
    grant(api, own_instance, group_name="users")
    add_role(api, own_instance, "users", "GROUP")
    body = {"instance_names": [own_instance["name"]], "request_id": "r"}
    token = someone.api.ok("POST", CREDENTIALS, body)["token"]
    login = Login(own_instance["read_write_dns"], "users", token)
    assert login.value("SELECT current_user::text") == "users"


def test_groups_that_it_is_in_are_everybodys_too(
    api: Api, users: dict[str, Any], someone: Person
) -> None:
    with principal(api, "Groups", displayName="wider", members=[{"value": users["id"]}]) as wider:
        me = someone.api.ok("GET", f"{SCIM}/Me")
        assert {(g["value"], g["type"]) for g in me["groups"]} == {
            (users["id"], "direct"),
            (wider["id"], "indirect"),
        }
