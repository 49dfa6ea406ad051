"""The page that people begin with, as it stands: no line of it waits."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from databricks.sdk.service.database import DatabaseInstance

from kit.api import INSTANCES, Api
from kit.names import unique
from kit.server import REPO, Server, clean_environment
from test_docs import snippets

sys.path.insert(0, str(REPO / "python/src"))
import lakeport  # noqa: E402

(PAGE,) = snippets("docs/instances.md", "python")
BY_FIELDS = 'name="my-instance", capacity="CU_1", stopped=False'
WHOLE = "from databricks.sdk.service.database import DatabaseInstance\n" + PAGE.replace(
    f"({BY_FIELDS})", f"(DatabaseInstance({BY_FIELDS}))"
)
# The official client's wait object has the answer's fields in `response` alone.
OFFICIAL = WHOLE.replace("from lakeport import", "from databricks.sdk import").replace(
    f"({BY_FIELDS}))", f"({BY_FIELDS})).response"
)


@pytest.mark.parametrize("page", [PAGE, WHOLE, OFFICIAL], ids=["fields", "whole", "official"])
def test_the_page_runs_as_it_stands(server: Server, api: Api, page: str) -> None:
    assert PAGE.count("create_database_instance") == 1 and "sleep" not in page
    environment = clean_environment() | {
        "DATABRICKS_CONFIG_FILE": str(server.config_file),
        "PYTHONPATH": str(REPO / "python/src"),
    }
    done = subprocess.run(
        [sys.executable, "-c", page], env=environment, capture_output=True, text=True, timeout=120
    )
    # The next one finds the name free.
    api.ok("DELETE", f"{INSTANCES}/my-instance", purge="true")
    assert done.returncode == 0, done.stderr
    created, host, version = done.stdout.splitlines()
    assert created == "Instance created: my-instance" and host.startswith("DNS endpoint: 127.")
    assert version.startswith("PostgreSQL 16")


@pytest.fixture
def w(server: Server) -> lakeport.WorkspaceClient:
    return lakeport.WorkspaceClient(config_file=str(server.config_file), profile="DEFAULT")


@pytest.fixture
def made(w: lakeport.WorkspaceClient, name: str) -> Iterator[str]:
    yield name
    w.database.delete_database_instance(name=name, purge=True)


def test_the_wait_object_has_the_fields_of_its_answer_and_of_its_result(
    w: lakeport.WorkspaceClient, made: str
) -> None:
    waiting = w.database.create_database_instance(name=made, capacity="CU_1")
    assert (waiting.name, waiting.capacity, waiting.state.value) == (made, "CU_1", "STARTING")
    assert waiting.read_write_dns == waiting.response.read_write_dns
    with pytest.raises(AttributeError, match="no field 'no_such'"):
        _ = waiting.no_such
    assert not hasattr(waiting, "no_such") and waiting.bind() == {"name": made}
    assert waiting.result().state.value == waiting.state.value == "AVAILABLE"


def test_create_and_wait_takes_the_fields_too(w: lakeport.WorkspaceClient, made: str) -> None:
    instance = w.database.create_database_instance_and_wait(name=made, capacity="CU_1")
    assert instance.state.value == "AVAILABLE"


def test_registering_waits_for_the_instance(w: lakeport.WorkspaceClient, made: str) -> None:
    w.database.create_database_instance(DatabaseInstance(name=made, capacity="CU_1"))
    catalog = w.database.register_database_instance(name=made, catalog=unique("c"))
    assert catalog.database_instance_name == made
    w.database.delete_database_catalog(catalog.name)
