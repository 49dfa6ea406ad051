"""PATCH of an instance: the update mask says which fields count, present in the body or not."""

import random
from typing import Any

from kit.api import INSTANCES, Api

# Each field that an update may name, with values that it may have.
FIELDS: dict[str, list[Any]] = {
    "capacity": ["CU_1", "CU_2"],
    "custom_tags": [[], [{"key": "a", "value": "b"}]],
    "enable_pg_native_login": [False, True],
    "enable_readable_secondaries": [False],
    "node_count": [1],
    "retention_window_in_days": [2, 7],
    "stopped": [True],
    "usage_policy_id": ["p", "q"],
}


def patch(api: Api, name: str, body: dict, mask: str | None) -> dict:
    query = {} if mask is None else {"update_mask": mask}
    return api.ok("PATCH", f"{INSTANCES}/{name}", body, **query)


def set_fields(seen: dict) -> dict:
    return {name: value for name, value in seen.items() if name in FIELDS}


def test_a_named_field_missing_from_the_body_is_unset(api: Api, name: str) -> None:
    api.create_instance(name, stopped=True)
    api.wait_for_state(name, "STOPPED")
    # What the official CLI sends for `--stopped=false`.
    assert "stopped" not in patch(api, name, {}, "stopped")
    seen = api.wait_for_state(name, "AVAILABLE")
    assert seen["effective_stopped"] is False and "stopped" not in seen
    api.delete_instance(name)


def test_whatever_the_mask_only_what_somebody_has_set_is_answered(api: Api, name: str) -> None:
    chance = random.Random(14)
    expected = {"capacity": "CU_1", "stopped": True}
    api.create_instance(name, **expected)
    for _ in range(80):
        mask = chance.choice([None, "*", chance.sample(list(FIELDS), chance.randint(1, len(FIELDS)))])
        chosen = chance.sample(list(FIELDS), chance.randint(0, len(FIELDS)))
        body = {field: chance.choice(FIELDS[field]) for field in chosen}
        # Whether servers start and stop is not the question here.
        body["stopped"] = True
        named = list(body) if mask in (None, "*") else mask
        for field in named:
            expected.pop(field, None)
            if field in body:
                expected[field] = body[field]
        text = mask if mask in (None, "*") else ",".join(mask)
        told = patch(api, name, body | {"name": name}, text)
        assert set_fields(told) == expected, (mask, body)
        seen = api.instance(name)
        assert set_fields(seen) == expected, (mask, body)
        assert seen["effective_capacity"] == expected.get("capacity", "CU_1")
        assert seen["effective_retention_window_in_days"] == expected.get("retention_window_in_days", 7)
        assert seen["effective_custom_tags"] == expected.get("custom_tags", [])
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
