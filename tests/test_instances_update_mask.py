"""PATCH of an instance: the update mask says which fields count, present in the body or not."""

from kit.api import INSTANCES, Api


def patch(api: Api, name: str, body: dict, mask: str | None) -> dict:
    query = {} if mask is None else {"update_mask": mask}
    return api.ok("PATCH", f"{INSTANCES}/{name}", body, **query)


def test_a_named_field_missing_from_the_body_is_its_zero_value(api: Api, name: str) -> None:
    api.create_instance(name, stopped=True)
    api.wait_for_state(name, "STOPPED")
    # What the official CLI sends for `--stopped=false`.
    assert patch(api, name, {}, "stopped")["stopped"] is False
    assert api.wait_for_state(name, "AVAILABLE")["effective_stopped"] is False
    api.delete_instance(name)


def test_only_named_fields_change(api: Api, own_instance: dict) -> None:
    name = own_instance["name"]
    body = {"name": name, "capacity": "CU_2", "retention_window_in_days": 20}
    patch(api, name, body, "retention_window_in_days")
    seen = api.wait_for_state(name, "AVAILABLE")
    assert (seen["capacity"], seen["retention_window_in_days"]) == ("CU_1", 20)


def test_several_names_in_one_mask(api: Api, own_instance: dict) -> None:
    name = own_instance["name"]
    body = {"capacity": "CU_2", "retention_window_in_days": 20}
    patch(api, name, body, "capacity,retention_window_in_days")
    seen = api.wait_for_state(name, "AVAILABLE")
    assert (seen["capacity"], seen["retention_window_in_days"]) == ("CU_2", 20)


def test_star_does_not_reset_absent_fields(api: Api, name: str) -> None:
    api.create_instance(name, retention_window_in_days=20)
    api.wait_for_state(name, "AVAILABLE")
    patch(api, name, {"name": name, "capacity": "CU_2"}, "*")
    seen = api.wait_for_state(name, "AVAILABLE")
    assert (seen["capacity"], seen["retention_window_in_days"]) == ("CU_2", 20)
    api.delete_instance(name)


def test_no_mask_updates_what_the_body_has(api: Api, name: str) -> None:
    api.create_instance(name, retention_window_in_days=20)
    api.wait_for_state(name, "AVAILABLE")
    patch(api, name, {"capacity": "CU_2"}, None)
    seen = api.wait_for_state(name, "AVAILABLE")
    assert (seen["capacity"], seen["retention_window_in_days"]) == ("CU_2", 20)
    api.delete_instance(name)


def test_an_unknown_name_is_refused_and_changes_nothing(api: Api, own_instance: dict) -> None:
    path = f"{INSTANCES}/{own_instance['name']}"
    body = {"capacity": "CU_2"}
    refusal = api.refused(400, "PATCH", path, body, update_mask="capacity,colour")
    assert refusal.code == "INVALID_PARAMETER_VALUE" and "colour" in refusal.message
    assert api.instance(own_instance["name"])["capacity"] == "CU_1"


def test_an_update_that_changes_nothing_is_accepted(api: Api, own_instance: dict) -> None:
    name = own_instance["name"]
    patch(api, name, {"name": name, "capacity": "CU_1"}, "capacity")
    assert api.wait_for_state(name, "AVAILABLE")["uid"] == own_instance["uid"]


def test_values_are_checked_as_at_create(api: Api, own_instance: dict) -> None:
    path = f"{INSTANCES}/{own_instance['name']}"
    refusal = api.refused(400, "PATCH", path, {"capacity": "CU_3"}, update_mask="capacity")
    assert "CU_3" in refusal.message
    assert api.instance(own_instance["name"])["capacity"] == "CU_1"
