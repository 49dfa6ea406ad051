"""Database catalogs: a database of an instance, under a name in the catalog."""

from collections.abc import Iterator

import pytest

from kit.api import CATALOGS, INSTANCES, Api
from kit.login import Login
from kit.names import unique


@pytest.fixture
def registered(api: Api, own_instance: dict) -> Iterator[dict]:
    """A catalog over a database that is created with it."""
    body = {
        "name": unique("cat"),
        "database_instance_name": own_instance["name"],
        "database_name": "orders",
        "create_database_if_not_exists": True,
    }
    yield api.ok("POST", CATALOGS, body)
    api.send("DELETE", f"{CATALOGS}/{body['name']}")


def test_create_makes_the_database(api: Api, registered: dict, own_instance: dict) -> None:
    assert registered["uid"]
    got = api.ok("GET", f"{CATALOGS}/{registered['name']}")
    assert (got["database_instance_name"], got["database_name"]) == (own_instance["name"], "orders")
    login = Login.to(api, own_instance)
    login.dbname = "orders"
    assert login.value("SELECT current_database()") == "orders"


def test_list(api: Api, registered: dict, own_instance: dict) -> None:
    listed = api.ok("GET", f"{INSTANCES}/{own_instance['name']}/catalogs")["database_catalogs"]
    assert [catalog["name"] for catalog in listed] == [registered["name"]]


def test_delete_keeps_the_database(api: Api, registered: dict, own_instance: dict) -> None:
    api.ok("DELETE", f"{CATALOGS}/{registered['name']}")
    refusal = api.refused(404, "GET", f"{CATALOGS}/{registered['name']}")
    assert "not found" in refusal.message.lower()
    count = Login.to(api, own_instance).value(
        "SELECT count(*) FROM pg_database WHERE datname = 'orders'"
    )
    assert count == 1


def test_a_missing_database_is_refused(api: Api, instance: dict) -> None:
    name = unique("cat")
    body = {
        "name": name,
        "database_instance_name": instance["name"],
        "database_name": "no_such_database",
    }
    answer = api.send("POST", CATALOGS, body)
    assert answer.status_code in (400, 404) and "no_such_database" in answer.json()["message"]
    api.refused(404, "GET", f"{CATALOGS}/{name}")


def test_an_unknown_instance_is_not_found(api: Api) -> None:
    body = {
        "name": unique("cat"),
        "database_instance_name": "no-such-instance",
        "database_name": "databricks_postgres",
    }
    assert "not found" in api.refused(404, "POST", CATALOGS, body).message.lower()
