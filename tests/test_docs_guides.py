"""The guides, as a reader follows them: files under their names, commands in their order."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow
import pytest
import requests

from kit.api import Api
from kit.bare_postgres import bare_postgres
from kit.cli import Cli
from kit.clients import CLIENTS, built
from kit.delta import DeltaTables
from kit.identities import principal
from kit.login import Login
from kit.provider import free_port
from kit.server import REPO, Server, clean_environment
from kit.synced import SyncedTable, register
from kit.waiting import eventually
from test_docs import run_python, snippets
from test_python_package import POSTGRES, PYTHON, environment_of, run, site

__all__ = ["site"]

# It has FastAPI and an HTTP server for it.
WEB_PYTHON = REPO / "target/venv/memory/bin/python"


@pytest.fixture(scope="module")
def my_instance(api: Api) -> Iterator[dict]:
    """The instance that the guides are about."""
    api.create_instance("my-instance")
    yield api.wait_for_state("my-instance", "AVAILABLE")
    api.delete_instance("my-instance")


@pytest.fixture
def python_blocks() -> list[str]:
    return snippets("docs/connecting.md", "python")


def with_package(server: Server) -> dict[str, str]:
    return clean_environment() | {
        "DATABRICKS_CONFIG_FILE": str(server.config_file),
        "PYTHONPATH": str(REPO / "python/src"),
    }


def test_pools_and_engines(server: Server, my_instance: dict, python_blocks: list[str]) -> None:
    _, by_package, by_hand, *_ = python_blocks
    assert run([sys.executable, "-c", by_package], with_package(server)) == "2\n4\n"
    assert run_python(server, by_hand) == "6\n"


def test_fastapi(
    server: Server, my_instance: dict, python_blocks: list[str], tmp_path: Path
) -> None:
    (code,) = [block for block in python_blocks if block.startswith("# api.py")]
    (tmp_path / "api.py").write_text(code)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = subprocess.Popen(
        [WEB_PYTHON, "-m", "uvicorn", "api:app", "--port", str(port)],
        cwd=tmp_path,
        env=with_package(server) | {"LAKEBASE_INSTANCE_NAME": "my-instance"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        answer = eventually(
            lambda: requests.get(f"http://127.0.0.1:{port}/orders", timeout=30).json(),
            "the app answers",
        )
        assert answer == {"orders": 8}
    finally:
        app.terminate()
        _, said = app.communicate(timeout=60)
    assert "Application shutdown complete" in said, said


def test_app_of_a_service_principal(
    server: Server, api: Api, my_instance: dict, python_blocks: list[str]
) -> None:
    (code,) = [block for block in python_blocks if block.startswith("# app.py")]
    with principal(api, "ServicePrincipals", displayName="app") as sp:
        admins = next(
            group
            for group in api.ok("GET", "/api/2.0/preview/scim/v2/Groups")["Resources"]
            if group["displayName"] == "admins"
        )
        add = {"op": "add", "path": "members", "value": [{"value": sp["id"]}]}
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [add]}
        api.ok("PATCH", f"/api/2.0/preview/scim/v2/Groups/{admins['id']}", body)
        secrets = f"/api/2.0/accounts/servicePrincipals/{sp['id']}/credentials/secrets"
        environment = clean_environment() | {
            "DATABRICKS_HOST": server.http,
            "DATABRICKS_CLIENT_ID": sp["applicationId"],
            "DATABRICKS_CLIENT_SECRET": api.ok("POST", secrets)["secret"],
        }
        given = Cli(server.config_file)("env", "my-instance", "--no-token", "--dotenv").stdout
        environment |= dict(line.split("=", 1) for line in given.splitlines())
        environment["PGUSER"] = sp["applicationId"]
        role = f'CREATE ROLE "{sp["applicationId"]}" LOGIN'
        Cli(server.config_file, LAKEPORT_PSQL=str(POSTGRES / "psql"))(
            "psql", "my-instance", "--", "-c", role
        )
        assert run([sys.executable, "-c", code], environment).strip() == sp["applicationId"]


NODE_PACKAGES = REPO / "target/clients/node/node_modules"
NODE = REPO / "target/venv/mcp-2.3.0/bin/node"


def test_node(server: Server, my_instance: dict, tmp_path: Path) -> None:
    (code,) = snippets("docs/connecting.md", "js")
    (tmp_path / "orders.js").write_text(code)
    (tmp_path / "node_modules").symlink_to(NODE_PACKAGES)
    script = f'eval "$(lakeport env my-instance --no-token)"; {NODE} {tmp_path}/orders.js'
    assert Cli(server.config_file).shell(script).stdout == "10\n"


JAVA_LIBRARIES = CLIENTS / "java/lib"
# The guide's lines stand in a method of an application.
JAVA_CLASS = """
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.util.Properties;

public class Orders {
    public static void main(String[] arguments) throws Exception {
        String token = System.getenv("PGPASSWORD");
%s
        try (ResultSet row = connection.createStatement().executeQuery("select 7 + 7")) {
            row.next();
            System.out.println(row.getInt(1));
        }
    }
}
"""


def test_java(server: Server, my_instance: dict, tmp_path: Path) -> None:
    code, _ = snippets("docs/connecting.md", "java")
    libraries = built(JAVA_LIBRARIES, "java", "javac", "mvn")
    (tmp_path / "Orders.java").write_text(JAVA_CLASS % code)
    script = (
        'set -e; eval "$(lakeport env my-instance)"\n'
        f"javac -d {tmp_path} {tmp_path}/Orders.java\n"
        f"java -cp '{tmp_path}:{libraries}/*' Orders"
    )
    assert Cli(server.config_file).shell(script).stdout == "14\n"


POOL_CLASS = """
import com.zaxxer.hikari.*;
import com.zaxxer.hikari.util.Credentials;
import java.sql.*;
import java.util.*;

public class Pool {
    static final Set<String> tokens = new HashSet<>();

    static String freshToken() {
        try {
            Process asked = new ProcessBuilder("lakeport", "password", "my-instance").start();
            String token = new String(asked.getInputStream().readAllBytes()).trim();
            tokens.add(token);
            return token;
        } catch (java.io.IOException error) {
            throw new IllegalStateException(error);
        }
    }

    public static void main(String[] arguments) throws Exception {
%s
        for (int number = 0; number < 3; number++) {
            try (Connection connection = pool.getConnection()) {
                ResultSet row = connection.createStatement().executeQuery("select 8 + 8");
                row.next();
                System.out.println(row.getInt(1));
                pool.evictConnection(connection);
            }
        }
        pool.close();
        System.out.println(tokens.size() >= 3 ? "a token each" : "one token for several");
    }
}
"""


def test_java_pool(server: Server, my_instance: dict, tmp_path: Path) -> None:
    _, code = snippets("docs/connecting.md", "java")
    libraries = built(JAVA_LIBRARIES, "java", "javac", "mvn")
    (tmp_path / "Pool.java").write_text(POOL_CLASS % code)
    script = (
        'set -e; eval "$(lakeport env my-instance --no-token)"\n'
        f"javac -d {tmp_path} -cp '{libraries}/*' {tmp_path}/Pool.java\n"
        f"java -cp '{tmp_path}:{libraries}/*' Pool"
    )
    said = Cli(server.config_file).shell(script).stdout
    assert said == "16\n16\n16\na token each\n"


def test_name_that_does_not_resolve(tmp_path: Path) -> None:
    """A stand-in for dig says what the resolver would: nothing here is in the real DNS."""
    dig = tmp_path / "dig"
    dig.write_text('#!/bin/sh\n[ "$1" = +short ] && echo alias.example.com. && echo 127.0.0.1\n')
    dig.chmod(0o755)
    (code,) = snippets("docs/connecting.md", "py")
    connect, *_ = snippets("docs/connecting.md", "python")
    before = connect[: connect.index("connection = ")]
    shown = "print(connection.info.host, connection.info.hostaddr)"
    port = str(free_port())
    server = Server("--domain", "db.example.com", "--pg-port", port)
    try:
        api = Api(server.start().http, server.token)
        api.create_instance("my-instance")
        name = api.wait_for_state("my-instance", "AVAILABLE")["read_write_dns"]
        environment = with_package(server) | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PGPORT": port,
            "PGSSLROOTCERT": str(server.ca_file),
        }
        # The name that is not resolved is still what the certificate is checked for.
        code = before + code.replace('"require"', '"verify-full"') + shown
        assert run([sys.executable, "-c", code], environment) == f"{name} 127.0.0.1\n"
    finally:
        server.close()


def test_static_url(server: Server, my_instance: dict) -> None:
    (line,) = [b for b in snippets("docs/connecting.md", "sh") if "LAKEBASE_PG_URL" in b]
    script = f"{line}\n{sys.executable} -c '{READ_URL}'"
    assert Cli(server.config_file).shell(script).stdout == "1\n"


READ_URL = """
import os, psycopg
print(psycopg.connect(os.environ["LAKEBASE_PG_URL"]).execute("select 1").fetchone()[0])
"""


# --- From a laptop to CI -----------------------------------------------------------------------


def test_project_of_the_testing_guide(site: Path, tmp_path: Path) -> None:
    for code in snippets("docs/testing.md", "python"):
        name = code.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(code)
    assert {path.name for path in tmp_path.iterdir()} == {"shop.py", "test_shop.py"}
    command = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path]
    assert "2 passed" in run(command, environment_of(site))


# --- From Databricks and back ------------------------------------------------------------------


@pytest.fixture
def two_sides(server: Server, own_server: Server, tmp_path: Path) -> Cli:
    """Profiles of two servers: one stands for the workspace."""
    config = tmp_path / "databrickscfg"
    config.write_text(
        f"[workspace]\nhost = {server.http}\ntoken = {server.token}\n"
        f"lakeport_ca_file = {server.ca_file}\n"
        f"[local]\nhost = {own_server.http}\ntoken = {own_server.token}\n"
        f"lakeport_ca_file = {own_server.ca_file}\n"
    )
    return Cli(config, PATH=f"{POSTGRES}:{os.environ['PATH']}")


def test_moving_there_and_back(two_sides: Cli, tmp_path: Path) -> None:
    _, instance, copy, rights, check, _ = snippets("docs/moving.md", "sh")
    two_sides("--profile", "workspace", "instance", "create", "shop")
    sql = "create table orders (id int); insert into orders values (1), (2)"
    two_sides("--profile", "workspace", "psql", "shop", "--", "-c", sql)
    sides = f"cd {tmp_path}; set -eo pipefail; app=admin@lakeport.local\n"
    there = "\n".join([sides, instance, copy, rights, check])
    assert two_sides.shell(there).stdout.splitlines()[-2:] == ["2", "2"]

    two_sides("--profile", "local", "psql", "shop", "--", "-c", "insert into orders values (3)")
    two_sides("--profile", "workspace", "instance", "delete", "shop")
    back = there.replace("from=workspace to=local", "from=local to=workspace")
    assert two_sides.shell(back).stdout.splitlines()[-2:] == ["3", "3"]
    two_sides("--profile", "workspace", "instance", "delete", "shop")


@pytest.mark.parametrize("major", [16, 18])
def test_moving_to_a_plain_server(
    server: Server, api: Api, delta: DeltaTables, catalog: str, tmp_path: Path, major: int
) -> None:
    """The same major version and a newer one, with the real programs, synced tables and extensions."""
    api.create_instance("shop", pg_version="16")
    try:
        shop = api.wait_for_state("shop", "AVAILABLE")
        source = f"{catalog}.{catalog}.users"
        register(api, source, delta.write("users", pyarrow.table({"id": [1, 2]})))
        SyncedTable.create(api, f"{catalog}.{catalog}.synced", "shop", source, ["id"]).wait_online()
        with Login.to(api, shop).connect() as owner:
            owner.execute("CREATE EXTENSION citext; CREATE EXTENSION databricks_auth")
            owner.execute("CREATE TABLE orders (id int PRIMARY KEY, note citext)")
            owner.execute("INSERT INTO orders VALUES (1, 'first')")
        recipe = snippets("docs/moving.md", "sh")[-1]
        newer, older = "--exclude-extension=databricks_auth", "--extension='[^d]*|d[^a]*'"
        switch = newer if major > 16 else older
        assert switch in (REPO / "docs/moving.md").read_text()
        recipe = recipe.replace("pg_dump --format", f"pg_dump {switch} --format")
        with bare_postgres(major) as url:
            host = url.partition("host=")[2]
            programs = REPO / "target/postgres" / str(major) / "bin"
            cli = Cli(server.config_file, PATH=f"{programs}:{os.environ['PATH']}")
            here = f"export PGHOST={host} PGUSER=admin; cd {tmp_path}; set -e\n"
            assert "ERROR" not in cli.shell(here + recipe).stderr
            with psycopg.connect(f"host={host} user=admin dbname=shop", autocommit=True) as plain:
                rows = plain.execute(f"SELECT id FROM {catalog}.synced ORDER BY 1").fetchall()
                assert rows == [(1,), (2,)]
                assert plain.execute("SELECT note FROM orders").fetchall() == [("first",)]
                # An ordinary table now.
                plain.execute(f"INSERT INTO {catalog}.synced VALUES (3)")
    finally:
        api.delete_instance("shop")
