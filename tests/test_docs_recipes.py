"""Recipes of the pages about roles, permissions, identities and operation, by the tools that they name.

Not here, since no machine of ours has them: `databricks` (the official CLI), Prometheus, outside issuers.
"""

import json
import shutil
from collections.abc import Iterator

import psycopg
import pytest

from kit.api import Api
from kit.cli import Cli
from kit.login import Login
from kit.server import Server, configured
from test_docs import run_python, snippets
from test_python_package import POSTGRES


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The pages name users and instances, which no other test may meet, and issuers that it trusts."""
    trusted, _ = snippets("docs/identities.md", "toml")
    with configured(tmp_path_factory.mktemp("recipes"), trusted) as server:
        yield server


@pytest.fixture(scope="module")
def admin(own: Server) -> Api:
    api = Api(own.http, own.token)
    schemas = ["urn:ietf:params:scim:schemas:core:2.0:User"]
    user = {"schemas": schemas, "userName": "bob@example.com"}
    assert api.send("POST", "/api/2.0/preview/scim/v2/Users", user).status_code in (200, 201)
    api.create_instance("shop")
    return api


@pytest.fixture(scope="module")
def shop(admin: Api) -> Login:
    return Login.to(admin, admin.wait_for_state("shop", "AVAILABLE"))


CLIENT = "from databricks.sdk import WorkspaceClient\nw = WorkspaceClient()\n"


def test_roles(own: Server, admin: Api, shop: Login) -> None:
    (by_api,) = snippets("docs/roles.md", "python")
    in_sql, native = snippets("docs/roles.md", "sql")
    (allow,) = snippets("docs/roles.md", "sh")
    run_python(own, CLIENT + by_api)
    seen = "SELECT rolcreatedb FROM pg_roles WHERE rolname = 'bob@example.com'"
    assert shop.value(seen) is True
    cli = Cli(own.config_file, LAKEPORT_PSQL=str(POSTGRES / "psql"))
    with shop.connect() as session:
        session.execute("DROP ROLE \"bob@example.com\"")
    cli("psql", "shop", "--", "-v", "ON_ERROR_STOP=1", "-c", in_sql)
    assert shop.value(seen) is False
    cli.shell(f"set -e\n{allow}")
    admin.wait_for_state("shop", "AVAILABLE")
    with shop.connect() as session:
        session.execute(native.replace("…", "a-long-password-1"))
    with psycopg.connect(
        host=shop.host, user="metabase", password="a-long-password-1",
        dbname="databricks_postgres", sslmode="require",
    ) as session:
        assert session.execute("SELECT current_user").fetchone() == ("metabase",)


def test_permissions(own: Server, admin: Api, shop: Login) -> None:
    (give,) = snippets("docs/permissions.md", "sh")
    cli = Cli(own.config_file, HOST=own.http, TOKEN=own.token)
    answer = json.loads(cli.shell(f"set -e\n{give}").stdout)
    assert "bob@example.com" in str(answer) and "CAN_USE" in str(answer)


def test_refused_logins_in_the_audit_log(own: Server, admin: Api, shop: Login) -> None:
    if shutil.which("jq") is None:
        pytest.skip("no jq")
    with pytest.raises(psycopg.OperationalError):
        shop.connect(password="wrong")
    query, _ = snippets("docs/operations.md", "sh")
    shown = Cli(own.config_file).shell(query.replace("lakeport-data", str(own.data_dir))).stdout
    assert "admin@lakeport.local" in shown


def test_identities(own: Server, admin: Api) -> None:
    blocks = snippets("docs/identities.md", "python")
    user, _, principal, machine, federation, member = blocks
    link, _, _, rotate = snippets("docs/identities.md", "sh")
    cli = Cli(own.config_file)
    run_python(own, user)
    assert "http" in cli.shell(f"set -e\n{link}").stdout
    machine = machine.replace("http://127.0.0.1:8080", own.http)
    steps = [
        CLIENT,
        principal,
        "application_id, secret = sp.application_id, secret.secret\nadmin = w\n",
        machine.replace("w = ", "machine = "),
        "assert machine.current_user.me().user_name == application_id\n",
        federation.replace("token=w.config.token", f"token={own.token!r}"),
        member,
        "assert any(m.value == sp.id for m in w.groups.get(admins.id).members)\n",
    ]
    run_python(own, "\n".join(steps))
    assert cli.shell(f"set -e\n{rotate}").stdout
