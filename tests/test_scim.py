"""Users, service principals and groups over SCIM, as the SDK and as raw HTTP send it."""

from contextlib import AbstractContextManager, ExitStack
from uuid import UUID, uuid4

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound
from databricks.sdk.service import iam

from kit.api import INSTANCES, Api
from kit.identities import SCIM, admins_id, made, patch, principal, scim_refused
from kit.names import unique
from kit.server import Server


def test_life_of_a_user_through_the_sdk(workspace: WorkspaceClient) -> None:
    name = f"{unique('u')}@example.com"
    user = workspace.users.create(user_name=name, display_name="Ada", external_id="x-1")
    try:
        assert (user.user_name, user.display_name, user.active) == (name, "Ada", True)
        assert [u.id for u in workspace.users.list(filter=f'userName eq "{name.upper()}"')] == [
            user.id
        ]
        change = iam.Patch(op=iam.PatchOp.REPLACE, path="displayName", value="Ada L.")
        workspace.users.patch(
            user.id,
            operations=[change],
            schemas=[iam.PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP],
        )
        workspace.users.update(user.id, user_name=name, display_name="Ada L.", active=False)
        seen = workspace.users.get(user.id)
        assert (seen.display_name, seen.active, seen.external_id) == ("Ada L.", False, None)
        # Who was shut out is not let in again by a change of something else.
        workspace.users.update(user.id, user_name=name, display_name="Ada")
        assert workspace.users.get(user.id).active is False
    finally:
        workspace.users.delete(user.id)
    with pytest.raises(NotFound):
        workspace.users.get(user.id)


def test_lists_end_and_pages_meet(api: Api, workspace: WorkspaceClient) -> None:
    prefix = unique("page")
    with ExitStack() as stack:
        ids = [
            stack.enter_context(principal(api, "Groups", displayName=f"{prefix}-{n}"))["id"]
            for n in range(5)
        ]
        where = f'displayName sw "{prefix}"'
        assert [g.id for g in workspace.groups.list(filter=where)] == ids
        seen = []
        for start in (1, 3, 5, 6):
            page = api.ok("GET", f"{SCIM}/Groups", filter=where, startIndex=start, count=2)
            assert (page["totalResults"], page["startIndex"]) == (5, start)
            assert page["itemsPerPage"] == len(page["Resources"]) <= 2
            seen += [group["id"] for group in page["Resources"]]
        assert seen == [*ids]
        down = api.ok(
            "GET", f"{SCIM}/Groups", filter=where, sortBy="displayName", sortOrder="descending"
        )
        assert [group["id"] for group in down["Resources"]] == ids[::-1]
        few = api.ok("GET", f"{SCIM}/Groups", filter=where, attributes="id,displayName")
        assert set(few["Resources"][0]) == {"id", "schemas", "displayName"}


def test_service_principal_has_an_application_id(api: Api, workspace: WorkspaceClient) -> None:
    chosen = str(uuid4())
    with principal(api, "ServicePrincipals", displayName="job", applicationId=chosen) as sp:
        assert sp["applicationId"] == sp["userName"] == chosen
        found = list(workspace.service_principals.list(filter=f'applicationId eq "{chosen}"'))
        assert [f.id for f in found] == [sp["id"]]
        path = f"ServicePrincipals/{sp['id']}"
        other = {"displayName": "job", "applicationId": str(uuid4())}
        assert "applicationId" in scim_refused(api, 400, "PUT", path, other)["detail"]
    with principal(api, "ServicePrincipals", displayName="given") as sp:
        UUID(sp["applicationId"])


def test_groups_within_groups(api: Api) -> None:
    def group(prefix: str, member: dict) -> AbstractContextManager[dict]:
        members = [{"value": member["id"]}]
        return principal(api, "Groups", displayName=unique(prefix), members=members)

    with (
        principal(api, "Users", userName=f"{unique('m')}@example.com") as user,
        group("in", user) as inner,
        group("out", inner) as outer,
    ):
        groups = api.ok("GET", f"{SCIM}/Users/{user['id']}")["groups"]
        assert {(g["display"], g["type"]) for g in groups} == {
            ("users", "direct"),
            (inner["displayName"], "direct"),
            (outer["displayName"], "indirect"),
        }
        ring = {"op": "add", "path": "members", "value": [{"value": outer["id"]}]}
        error = scim_refused(api, 400, "PATCH", f"Groups/{inner['id']}", {"Operations": [ring]})
        assert "itself" in error["detail"]
        gone = {"op": "remove", "path": f'members[value eq "{user["id"]}"]'}
        assert patch(api, f"Groups/{inner['id']}", gone)["members"] == []
        left = api.ok("GET", f"{SCIM}/Users/{user['id']}")["groups"]
        assert [group["display"] for group in left] == ["users"]


def test_me_is_in_admins(api: Api) -> None:
    answer = api.send("GET", f"{SCIM}/Me")
    assert int(answer.headers["X-Databricks-Org-Id"])
    assert [group["display"] for group in answer.json()["groups"]] == ["admins", "users"]


@pytest.mark.parametrize(
    ("plural", "body", "field"),
    [
        ("Users", {}, "userName"),
        ("Users", {"userName": "a b@example.com"}, "userName"),
        ("Users", {"userName": "pg_user"}, "userName"),
        ("Users", {"userName": "databricks_superuser"}, "userName"),
        ("Users", {"userName": "x" * 64}, "userName"),
        ("Users", {"userName": "p@example.com", "password": "short"}, "password"),
        ("Users", {"userName": ["p@example.com"]}, "userName"),
        ("Groups", {"displayName": 'a"b'}, "displayName"),
        ("Groups", {"displayName": "g", "members": [{"value": "1"}]}, "members"),
        ("Groups", {"displayName": "g", "members": [{"value": "me"}]}, "members"),
        ("ServicePrincipals", {"displayName": "s", "applicationId": "x"}, "applicationId"),
    ],
)
def test_bad_resources_name_the_field(api: Api, plural: str, body: dict, field: str) -> None:
    assert field in scim_refused(api, 400, "POST", plural, body)["detail"]


def test_bad_requests_change_nothing(api: Api) -> None:
    for bad in ("userName", 'userName is "x"', "userName eq x", 'shoeSize eq "44"', "((("):
        error = scim_refused(api, 400, "GET", "Users", filter=bad)
        assert error["scimType"] == "invalidFilter", bad
    with principal(api, "Users", userName=f"{unique('b')}@example.com") as user:
        path = f"Users/{user['id']}"
        good = {"op": "replace", "path": "displayName", "value": "changed"}
        bad = {"op": "replace", "path": "shoeSize", "value": "44"}
        error = scim_refused(api, 400, "PATCH", path, {"Operations": [good, bad]})
        assert error["scimType"] == "invalidPath"
        renamed = {"userName": "other@example.com"}
        assert "userName" in scim_refused(api, 400, "PUT", path, renamed)["detail"]
        assert api.ok("GET", f"{SCIM}/{path}") == user
        twice = scim_refused(api, 409, "POST", "Users", {"userName": user["userName"]})
        assert twice["scimType"] == "uniqueness"
        taken = scim_refused(api, 409, "POST", "Groups", {"displayName": user["userName"]})
        assert "already exists" in taken["detail"]
    scim_refused(api, 404, "GET", path)
    scim_refused(api, 404, "DELETE", path)
    scim_refused(api, 404, "GET", "Users/not-a-number")
    scim_refused(api, 404, "GET", f"Users/{admins_id(api)}")


def test_the_last_administrator_stays(own_server: Server) -> None:
    api = Api(own_server.http, own_server.token)
    me = api.ok("GET", f"{SCIM}/Me")
    admins = admins_id(api)
    everybody_out = {"op": "remove", "path": "members"}
    scim_refused(api, 400, "DELETE", f"Users/{me['id']}")
    scim_refused(api, 400, "PATCH", f"Groups/{admins}", {"Operations": [everybody_out]})
    inactive = {"op": "replace", "path": "active", "value": False}
    scim_refused(api, 400, "PATCH", f"Users/{me['id']}", {"Operations": [inactive]})
    scim_refused(api, 400, "DELETE", f"Groups/{admins}")
    scim_refused(api, 400, "PUT", f"Groups/{admins}", {"displayName": "other"})
    assert api.ok("GET", f"{SCIM}/Me") == me

    second = made(api, "Users", {"userName": "second@example.com"})
    group = made(api, "Groups", {"displayName": "ops", "members": [{"value": second["id"]}]})
    patch(
        api,
        f"Groups/{admins}",
        {"op": "replace", "path": "members", "value": [{"value": group["id"]}]},
    )
    # No longer an administrator, so the change cannot be taken back by the same caller.
    scim_refused(api, 403, "PATCH", f"Groups/{admins}", {"Operations": [everybody_out]})
    assert api.send("POST", INSTANCES, {"name": "no-more"}).status_code == 403


def test_administrators_are_made_as_the_guide_shows(api: Api, workspace: WorkspaceClient) -> None:
    w = workspace
    with principal(api, "ServicePrincipals", displayName="job") as sp:
        admins = next(w.groups.list(filter='displayName eq "admins"'))
        add = iam.Patch(op=iam.PatchOp.ADD, path="members", value=[{"value": sp["id"]}])
        schema = iam.PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP
        w.groups.patch(admins.id, operations=[add], schemas=[schema])
        seen = w.service_principals.get(sp["id"])
        assert [group.display for group in seen.groups] == ["admins", "users"]
        assert sp["id"] in {member.value for member in w.groups.get(admins.id).members}


@pytest.mark.parametrize("plural", ["Users", "ServicePrincipals", "Groups"])
def test_an_entry_that_says_nothing_is_neither_kept_nor_answered(api: Api, plural: str) -> None:
    name = unique("p")
    nothing = {field: [{}] for field in ("entitlements", "emails", "roles", "groups", "members")}
    body = {"userName": f"{name}@example.com", "displayName": name} | nothing
    with principal(api, plural, **body) as made:
        path = f"{SCIM}/{plural}/{made['id']}"

        def without_empty_entries(resource: dict) -> None:
            assert "entitlements" not in resource and "roles" not in resource
            assert resource.get("members", []) == []
            for field in ("emails", "groups"):
                assert all(entry["value"] for entry in resource.get(field, []))

        without_empty_entries(made)
        without_empty_entries(api.ok("PUT", path, body))
        without_empty_entries(api.ok("PUT", path, body | {"entitlements": [{"value": ""}]}))
        add = {"op": "add", "path": "entitlements", "value": [{}, {"value": "workspace-access"}]}
        assert patch(api, f"{plural}/{made['id']}", add)["entitlements"] == [{"value": "workspace-access"}]
        clear = {"op": "replace", "path": "entitlements", "value": [{}]}
        without_empty_entries(patch(api, f"{plural}/{made['id']}", clear))
        without_empty_entries(api.ok("GET", path))


def test_what_a_client_is_known_by_is_in_each_answer(api: Api) -> None:
    with principal(api, "ServicePrincipals", displayName="job") as job:
        path = f"{SCIM}/ServicePrincipals"
        always = {name: job[name] for name in ("id", "schemas", "applicationId")}
        for query in (
            {"attributes": "userName,displayName,active,externalId,entitlements"},
            {"attributes": "entitlements"},
            {"excludedAttributes": "id,schemas,applicationId,userName"},
        ):
            got = api.ok("GET", f"{path}/{job['id']}", **query)
            assert {name: got.get(name) for name in always} == always, query
            listed = api.ok("GET", path, filter=f'applicationId eq "{job["applicationId"]}"', **query)
            assert [{n: one.get(n) for n in always} for one in listed["Resources"]] == [always], query
        few = api.ok("GET", f"{path}/{job['id']}", attributes="entitlements")
        assert set(few) == set(always)
