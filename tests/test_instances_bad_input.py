"""Bad input to the instances API: each is refused by name, and leaves nothing behind."""

import pytest
import requests

from kit.api import INSTANCES, Api, Refusal


@pytest.fixture
def nothing_is_made(api: Api):
    """After the test there are the instances that were there before it."""
    before = names(api)
    yield
    assert names(api) == before


def names(api: Api) -> set[str]:
    return {seen["name"] for seen in api.ok("GET", INSTANCES).get("database_instances", [])}


@pytest.mark.usefixtures("nothing_is_made")
@pytest.mark.parametrize("bad", ["", "a/b", "two words", "x" * 64, "Upper", "a#b", "a?b", "ä"])
def test_name(api: Api, bad: str) -> None:
    refusal = api.refused(400, "POST", INSTANCES, {"name": bad, "capacity": "CU_1"})
    assert refusal.code == "INVALID_PARAMETER_VALUE" and "name" in refusal.message


@pytest.mark.usefixtures("nothing_is_made")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("capacity", "CU_3"),
        ("capacity", 1),
        ("retention_window_in_days", -1),
        ("retention_window_in_days", 1),
        ("retention_window_in_days", 36),
        ("retention_window_in_days", 10**12),
        ("retention_window_in_days", "seven"),
        ("stopped", "yes"),
        ("node_count", "two"),
        ("custom_tags", {"key": "value"}),
        ("pg_version", "PG_VERSION_3"),
        # Not built: refused, and not ignored.
        ("node_count", 2),
        ("enable_readable_secondaries", True),
        ("parent_instance_ref", {"name": "another"}),
    ],
)
def test_field(api: Api, name: str, field: str, value: object) -> None:
    body = {"name": name, "capacity": "CU_1", field: value}
    refusal = api.refused(400, "POST", INSTANCES, body)
    assert field in refusal.message


@pytest.mark.usefixtures("nothing_is_made")
@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', '{"name": "x"', "\x00", "{'a': 1}"])
def test_malformed_body(api: Api, body: str) -> None:
    assert post_raw(api, body.encode()).status_code == 400


@pytest.mark.usefixtures("nothing_is_made")
def test_name_of_the_wrong_type(api: Api) -> None:
    refusal = api.refused(400, "POST", INSTANCES, {"name": 5, "capacity": "CU_1"})
    assert "name" in refusal.message


@pytest.mark.usefixtures("nothing_is_made")
def test_body_over_the_limit(api: Api, name: str) -> None:
    padding = b" " * (8 << 20)
    answer = post_raw(api, b'{"name":"%s",%s"capacity":"CU_1"}' % (name.encode(), padding))
    assert answer.status_code in (400, 413)


def post_raw(api: Api, body: bytes) -> requests.Response:
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}
    answer = requests.post(api.url + INSTANCES, data=body, headers=headers, timeout=60)
    assert Refusal.of(answer).message
    return answer


@pytest.mark.parametrize("token", ["made-up", "MTIz", "../../etc", "%00"])
def test_made_up_page_token(api: Api, token: str) -> None:
    refusal = api.refused(400, "GET", INSTANCES, page_token=token)
    assert refusal.code == "INVALID_PARAMETER_VALUE" and "page_token" in refusal.message


@pytest.mark.parametrize("size", ["-1", "many"])
def test_page_size(api: Api, size: str) -> None:
    assert "page_size" in api.refused(400, "GET", INSTANCES, page_size=size).message
