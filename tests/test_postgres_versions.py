"""Every PostgreSQL version that the server has found makes instances."""

from typing import Any

import pytest

from kit.api import Api
from kit.login import Login
from kit.names import unique

VERSIONS = "/api/2.0/lakeport/postgres-versions"


def test_abilities_are_published(api: Api) -> None:
    published = api.ok("GET", VERSIONS)
    found = {version["major"]: version for version in published["versions"]}
    assert {15, 16, 17, 18} <= set(found) and published["default_major"] == 16
    assert "vector" in found[16]["extensions"]
    for major, version in found.items():
        assert version["full"].startswith(str(major)) and isinstance(version["icu"], bool)


@pytest.mark.parametrize("major", [15, 16, 17, 18])
def test_an_instance_of_each(api: Api, major: int) -> None:
    versions: list[dict[str, Any]] = api.ok("GET", VERSIONS)["versions"]
    found = next(version for version in versions if version["major"] == major)
    name = unique("v")
    api.create_instance(name, pg_version=f"PG_VERSION_{major}")
    login = Login.to(api, api.wait_for_state(name, "AVAILABLE"))
    assert login.value("SHOW server_version_num").startswith(str(major))
    # From 16 on, who may create roles gains nothing by it; before, the right is not given.
    createrole = "SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert login.value(createrole) is (major >= 16)
    if "vector" in found["extensions"]:
        with login.connect() as connection:
            connection.execute("CREATE EXTENSION vector")
    api.delete_instance(name)
