"""Database instances on the wire: what goes in, what comes back, and who may ask."""

from datetime import timedelta

import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.database import DatabaseInstance, DatabaseInstanceState

from kit.api import CREDENTIALS, INSTANCES, Api, Refusal
from kit.login import Login
from kit.names import unique
from kit.server import Server
from kit.waiting import eventually

# A plain field comes back if and only if the client has set it; its twin comes back always.
TWINS = {
    "stopped": False,
    "node_count": 1,
    "retention_window_in_days": 7,
    "enable_readable_secondaries": False,
    "enable_pg_native_login": False,
}


def all_views(api: Api, name: str, created: dict) -> list[dict]:
    """The instance in the answers of create, get, list and find."""
    listed = api.ok("GET", INSTANCES)["database_instances"]
    return [
        created,
        api.instance(name),
        *[seen for seen in listed if seen["name"] == name],
        api.ok("GET", f"{INSTANCES}:findByUid", uid=created["uid"]),
    ]


def test_unset_fields_are_absent_and_their_effective_twins_are_there(api: Api, name: str) -> None:
    created = api.create_instance(name)
    views = all_views(api, name, created)
    assert len(views) == 4
    for view in views:
        for field, default in TWINS.items():
            assert field not in view
            assert view[f"effective_{field}"] == default
    api.delete_instance(name)


def test_set_fields_are_echoed_everywhere_even_when_they_are_defaults(api: Api, name: str) -> None:
    created = api.create_instance(
        name, stopped=False, node_count=1, retention_window_in_days=7, capacity="CU_2"
    )
    for view in all_views(api, name, created):
        assert view["stopped"] is False and view["effective_stopped"] is False
        assert view["node_count"] == view["effective_node_count"] == 1
        assert view["retention_window_in_days"] == view["effective_retention_window_in_days"] == 7
        assert view["capacity"] == view["effective_capacity"] == "CU_2"
        assert "enable_readable_secondaries" not in view
    api.delete_instance(name)


def test_output_fields(api: Api, instance: dict) -> None:
    assert instance["creator"] == api.user_name()
    assert instance["pg_version"] == "PG_VERSION_16"
    assert instance["uid"] and instance["creation_time"]
    # Clients take it as a bare host, and add port 5432 themselves.
    assert ":" not in instance["read_write_dns"]
    assert "read_only_dns" not in instance


def test_a_dns_name_is_accepted_as_a_name(api: Api, instance: dict) -> None:
    assert api.instance(instance["read_write_dns"])["uid"] == instance["uid"]
    assert api.credential(instance["read_write_dns"])


def test_paging_visits_every_instance_once(api: Api, instance: dict, own_instance: dict) -> None:
    names: list[str] = []
    token: str | None = None
    while True:
        query = {"page_size": 1} | ({"page_token": token} if token else {})
        page = api.ok("GET", INSTANCES, **query)
        assert len(page.get("database_instances", [])) <= 1
        names += [seen["name"] for seen in page.get("database_instances", [])]
        token = page.get("next_page_token")
        if not token:
            break
    assert {instance["name"], own_instance["name"]} <= set(names)
    assert len(names) == len(set(names))


def test_a_second_create_is_refused_whatever_it_asks_for(api: Api, name: str) -> None:
    first = api.create_instance(name)
    for body in ({"name": name, "capacity": "CU_1"}, {"name": name, "capacity": "CU_2"}):
        refusal = api.refused(409, "POST", INSTANCES, body)
        assert refusal.code == "RESOURCE_ALREADY_EXISTS"
        assert "Instance name is not unique" in refusal.message
    assert api.instance(name)["uid"] == first["uid"]
    api.delete_instance(name)


def test_an_instance_has_its_host_from_the_first_answer_on(api: Api, name: str) -> None:
    made = api.create_instance(name)
    assert made["state"] == "STARTING" and made["read_write_dns"]
    seen = [
        api.instance(name),
        api.ok("GET", f"{INSTANCES}:findByUid", uid=made["uid"]),
        api.ok("PATCH", f"{INSTANCES}/{name}", {"capacity": "CU_2"}, update_mask="capacity"),
        *(i for i in api.ok("GET", INSTANCES)["database_instances"] if i["name"] == name),
        api.wait_for_state(name, "AVAILABLE"),
    ]
    assert len(seen) == 5
    assert {instance["read_write_dns"] for instance in seen} == {made["read_write_dns"]}
    api.delete_instance(name)


def test_a_taken_name_with_another_spec_is_refused(api: Api, own_instance: dict) -> None:
    body = {"name": own_instance["name"], "capacity": "CU_4"}
    refusal = api.refused(409, "POST", INSTANCES, body)
    assert refusal.code == "RESOURCE_ALREADY_EXISTS"
    assert "already exists" in refusal.message and "not unique" in refusal.message
    assert api.instance(own_instance["name"])["capacity"] == "CU_1"


def test_created_stopped_it_is_available_before_it_stops(
    api: Api, workspace: WorkspaceClient, name: str
) -> None:
    """Every official client waits for AVAILABLE, and for nothing else."""
    asked = DatabaseInstance(name=name, capacity="CU_1", stopped=True)
    waited = workspace.database.create_database_instance(asked).result(timedelta(minutes=2))
    assert waited.state == DatabaseInstanceState.AVAILABLE
    assert waited.stopped is True and waited.effective_stopped is False
    seen = api.wait_for_state(name, "STOPPED")
    assert seen["stopped"] is True and seen["effective_stopped"] is True
    # From now on it stops when it is told to.
    api.ok("PATCH", f"{INSTANCES}/{name}", {"stopped": False}, update_mask="stopped")
    api.wait_for_state(name, "AVAILABLE")
    api.ok("PATCH", f"{INSTANCES}/{name}", {"stopped": True}, update_mask="stopped")
    assert api.instance(name)["state"] in ("UPDATING", "STOPPED")
    api.delete_instance(name)


def test_delete_without_purge_is_refused_and_deletes_nothing(api: Api, own_instance: dict) -> None:
    path = f"{INSTANCES}/{own_instance['name']}"
    refusal = api.refused(400, "DELETE", path, purge="false")
    assert refusal.code == "INVALID_PARAMETER_VALUE" and "purge" in refusal.message.lower()
    assert api.instance(own_instance["name"])["state"] == "AVAILABLE"


def test_a_name_is_free_when_its_delete_was_answered(api: Api, name: str) -> None:
    uids = [api.create_instance(name)["uid"]]
    api.wait_for_state(name, "AVAILABLE")
    for _ in range(3):
        api.ok("DELETE", f"{INSTANCES}/{name}", force="true", purge="true")
        made = api.create_instance(name)
        assert made["uid"] not in uids and api.instance(name)["uid"] == made["uid"]
        names = [seen["name"] for seen in api.ok("GET", INSTANCES)["database_instances"]]
        assert names.count(name) == 1
        uids.append(made["uid"])
    again = api.wait_for_state(name, "AVAILABLE")
    assert again["uid"] == uids[-1]
    assert Login.to(api, again).value("SELECT 1") == 1
    for uid in uids[:-1]:
        eventually(
            lambda uid=uid: api.send("GET", f"{INSTANCES}:findByUid", uid=uid).status_code,
            "the deleted one is gone",
            until=lambda status: status == 404,
        )
    api.delete_instance(name)


def test_unknown_objects_are_not_found(api: Api) -> None:
    for method, path, body, query in [
        ("GET", f"{INSTANCES}/no-such-instance", None, {}),
        ("PATCH", f"{INSTANCES}/no-such-instance", {"stopped": True}, {"update_mask": "stopped"}),
        ("DELETE", f"{INSTANCES}/no-such-instance", None, {"purge": "true"}),
        ("GET", f"{INSTANCES}:findByUid", None, {"uid": "00000000-0000-4000-8000-000000000000"}),
        ("POST", CREDENTIALS, {"instance_names": ["no-such-instance"], "request_id": "r"}, {}),
    ]:
        refusal = api.refused(404, method, path, body, **query)
        assert refusal.code == "RESOURCE_DOES_NOT_EXIST", (method, path)
        assert "not found" in refusal.message.lower(), (method, path)


def test_every_route_wants_a_token(server: Server, instance: dict) -> None:
    for token in (None, "not-a-token", "a.b.c"):
        caller = Api(server.http, token)
        for path in (INSTANCES, f"{INSTANCES}/{instance['name']}", "/api/2.0/preview/scim/v2/Me"):
            caller.refused(401, "GET", path)
        caller.refused(401, "POST", INSTANCES, {"name": unique("i"), "capacity": "CU_1"})


def test_the_scheme_of_the_authorization_header_has_no_case(server: Server) -> None:
    headers = {"Authorization": f"bearer {server.token}"}
    assert requests.get(server.http + INSTANCES, headers=headers, timeout=10).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        f"{INSTANCES}/%ff",
        f"{INSTANCES}/a/roles/%C3%28",
        "/api/2.0/permissions/database-instances/%ff",
        "/api/2.1/unity-catalog/tables/a.b.%ff",
        "/api/2.0/pipelines/%ff",
        "/api/2.0/apps/%ff",
    ],
)
def test_a_path_that_is_no_text_has_the_error_form(api: Api, path: str) -> None:
    refusal = api.refused(400, "GET", path)
    assert refusal.code == "INVALID_PARAMETER_VALUE" and "UTF-8" in refusal.message


def test_unknown_route_has_the_error_form(api: Api) -> None:
    answer = api.send("GET", "/api/2.0/database/no-such-thing")
    assert answer.status_code == 404
    assert Refusal.of(answer).code
