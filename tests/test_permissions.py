"""Who may do what on an instance: the permissions API, as SDK, Terraform and bundles use it."""

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound
from databricks.sdk.service import iam

from kit.api import Api

PERMISSIONS = "/api/2.0/permissions/database-instances"
ADMIN = "admin@lakeport.local"
MANAGES = {"permission_level": "CAN_MANAGE", "inherited": False}


def direct(answer: dict) -> list[dict]:
    """The entries that were given, not inherited."""
    entries = answer["access_control_list"]
    return [e for e in entries if not any(p["inherited"] for p in e["all_permissions"])]


def test_the_creator_manages_and_administrators_inherit(api: Api, own_instance: dict) -> None:
    name = own_instance["name"]
    answer = api.ok("GET", f"{PERMISSIONS}/{name}")
    assert answer["object_id"] == f"/database-instances/{name}"
    assert answer["object_type"] == "database-instances"
    assert direct(answer) == [
        {"user_name": ADMIN, "display_name": ADMIN, "all_permissions": [MANAGES]}
    ]
    inherited = [e for e in answer["access_control_list"] if e.get("group_name") == "admins"]
    assert inherited == [
        {
            "group_name": "admins",
            "all_permissions": [
                {
                    "permission_level": "CAN_MANAGE",
                    "inherited": True,
                    "inherited_from_object": ["/database-instances/"],
                }
            ],
        }
    ]


def test_put_replaces_patch_merges_and_reads_agree(api: Api, own_instance: dict) -> None:
    path = f"{PERMISSIONS}/{own_instance['name']}"
    use = [{"user_name": ADMIN, "permission_level": "CAN_USE"}]
    for method, entries, level in [
        ("PUT", use, "CAN_USE"),
        ("PATCH", [], "CAN_USE"),
        ("PATCH", [{"user_name": ADMIN, "permission_level": "CAN_MANAGE"}], "CAN_MANAGE"),
        # Named twice: the higher one.
        ("PUT", [*use, {"user_name": ADMIN, "permission_level": "CAN_MANAGE"}], "CAN_MANAGE"),
        ("PUT", [], None),
    ]:
        answer = api.ok(method, path, {"access_control_list": entries})
        levels = [e["all_permissions"][0]["permission_level"] for e in direct(answer)]
        assert levels == ([level] if level else []), (method, entries)
        assert api.ok("GET", path) == answer


def test_what_was_read_can_be_put_back(api: Api, own_instance: dict) -> None:
    path = f"{PERMISSIONS}/{own_instance['name']}"
    before = api.ok("GET", path)
    entries = [
        {k: v for k, v in e.items() if k in ("user_name", "group_name")}
        | {"permission_level": e["all_permissions"][0]["permission_level"]}
        for e in before["access_control_list"]
    ]
    assert api.ok("PUT", path, {"access_control_list": entries}) == before


def test_levels(api: Api, instance: dict) -> None:
    answer = api.ok("GET", f"{PERMISSIONS}/{instance['name']}/permissionLevels")
    levels = answer["permission_levels"]
    assert [level["permission_level"] for level in levels] == ["CAN_USE", "CAN_MANAGE"]
    assert all(level["description"] for level in levels)


def test_through_the_sdk(workspace: WorkspaceClient, own_instance: dict) -> None:
    kind, name = "database-instances", own_instance["name"]
    entry = iam.AccessControlRequest(user_name=ADMIN, permission_level=iam.PermissionLevel.CAN_USE)
    changed = workspace.permissions.set(kind, name, access_control_list=[entry])
    assert workspace.permissions.get(kind, name) == changed
    entry.permission_level = iam.PermissionLevel.CAN_MANAGE
    changed = workspace.permissions.update(kind, name, access_control_list=[entry])
    levels = {e.user_name: e.all_permissions[0].permission_level for e in changed.access_control_list}
    assert levels[ADMIN] == iam.PermissionLevel.CAN_MANAGE
    known = workspace.permissions.get_permission_levels(kind, name).permission_levels
    assert {level.permission_level.value for level in known} == {"CAN_USE", "CAN_MANAGE"}
    with pytest.raises(NotFound):
        workspace.permissions.get(kind, "nowhere")


BAD = [
    ([{"user_name": "nobody@x.y", "permission_level": "CAN_USE"}], "nobody@x.y"),
    ([{"group_name": ADMIN, "permission_level": "CAN_USE"}], "group"),
    ([{"service_principal_name": ADMIN, "permission_level": "CAN_USE"}], "service principal"),
    ([{"user_name": ADMIN, "permission_level": "CAN_CREATE"}], "permission_level"),
    ([{"user_name": ADMIN}], "permission_level"),
    ([{"permission_level": "CAN_USE"}], "user_name"),
    ([{"user_name": ADMIN, "group_name": "g", "permission_level": "CAN_USE"}], "exactly one"),
    ([{"group_name": "admins", "permission_level": "CAN_USE"}], "administrators"),
    ([{"username": ADMIN, "permission_level": "CAN_USE"}], "username"),
    ("x", "access_control_list"),
]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(("entries", "named"), BAD)
def test_a_bad_entry_is_named_and_nothing_changes(
    api: Api, instance: dict, method: str, entries: object, named: str
) -> None:
    path = f"{PERMISSIONS}/{instance['name']}"
    before = api.ok("GET", path)
    good = [{"user_name": ADMIN, "permission_level": "CAN_USE"}]
    mixed = good + entries if isinstance(entries, list) else entries
    refusal = api.refused(400, method, path, {"access_control_list": mixed})
    assert refusal.code == "INVALID_PARAMETER_VALUE" and named in refusal.message
    assert api.ok("GET", path) == before
