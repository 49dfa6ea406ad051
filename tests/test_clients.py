"""The official Go SDK with pgx, and the official Java SDK with JDBC, on a real server."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import requests

from kit.api import Api
from kit.browser import Browser
from kit.clients import go_client, java_client, run
from kit.delta import DeltaTables
from kit.identities import add_admin, machine, principal
from kit.names import unique
from kit.oauth import Flow
from kit.server import Server, clean_environment
from kit.synced import register

PASSWORD = "correct horse battery"
each_client = pytest.mark.parametrize("client", [go_client, java_client], ids=["go", "java"])
Command = Callable[[], list[str]]


@each_client
def test_life_of_an_instance(server: Server, client: Command, tmp_path: Path) -> None:
    profile = {"DATABRICKS_CONFIG_FILE": str(server.config_file)}
    run([*client(), "instance"], profile, tmp_path)


def test_principals_as_terraform_makes_them(server: Server, tmp_path: Path) -> None:
    profile = {"DATABRICKS_CONFIG_FILE": str(server.config_file)}
    run([*go_client(), "principals"], profile, tmp_path)


@each_client
def test_a_delta_table_is_served(
    server: Server,
    api: Api,
    instance: dict,
    catalog: str,
    delta: DeltaTables,
    client: Command,
    tmp_path: Path,
) -> None:
    source = f"{catalog}.{catalog}.source"
    register(api, source, delta.write("source", pa.table({"id": [1, 2], "name": ["a", "b"]})))
    settings = {
        "DATABRICKS_CONFIG_FILE": str(server.config_file),
        "INSTANCE": instance["name"],
        "CATALOG": unique("db"),
        "SOURCE": source,
    }
    run([*client(), "serve"], settings, tmp_path)


@each_client
def test_machine_logs_in(server: Server, api: Api, client: Command, tmp_path: Path) -> None:
    with machine(api) as job:
        settings = {
            "DATABRICKS_HOST": server.http,
            "DATABRICKS_CLIENT_ID": job.client_id,
            "DATABRICKS_CLIENT_SECRET": job.secret,
        }
        assert run([*client(), "who"], settings, tmp_path) == [f"oauth-m2m {job.client_id}"]


def test_person_logs_in_as_with_databricks_auth_login(
    server: Server, api: Api, name: str, tmp_path: Path
) -> None:
    user = f"{name}@example.com"
    with principal(api, "Users", userName=user, password=PASSWORD) as person:
        add_admin(api, person["id"])
        own = Api(server.http, Flow(server.http).tokens(user, PASSWORD)["access_token"])
        own.create_instance(name)
        host = own.wait_for_state(name, "AVAILABLE")["read_write_dns"]
        settings = {"DATABRICKS_HOST": server.http, "PGHOST": host}
        process = subprocess.Popen(
            [*go_client(), "login"],
            env=clean_environment() | settings | {"HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            answer = Browser().allow(process.stdout.readline().strip(), user, PASSWORD)
            # The client's page after the login.
            assert requests.get(answer, timeout=30).status_code == 200
            said = process.stdout.read().splitlines()
        assert (process.returncode, said) == (0, [user, "ok"])
        api.delete_instance(name)
