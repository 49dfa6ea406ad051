"""What the command line gives to other programs: variables, passwords, files, completions."""

import json
import shlex
import signal
import stat
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from kit.api import Api
from kit.cli import Cli
from kit.identities import principal
from kit.names import unique
from kit.oauth import Flow
from kit.server import REPO, Server

SIX = {"PGAPPNAME", "PGDATABASE", "PGHOST", "PGPORT", "PGSSLMODE", "PGUSER"}


def variables(lakeport: Cli, *arguments: str) -> dict[str, str]:
    return json.loads(lakeport("env", *arguments, "-o", "json").stdout)


def test_env_without_a_token_is_what_apps_are_given(lakeport: Cli, instance: dict) -> None:
    given = variables(lakeport, instance["name"], "--no-token")
    assert set(given) - {"PGSSLROOTCERT"} == SIX
    assert given["PGHOST"] == instance["read_write_dns"] and given["PGPORT"] == "5432"
    assert given["PGUSER"] == "admin@lakeport.local"


def test_env_is_enough_for_libpq(
    lakeport: Cli, instance: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables(lakeport, instance["name"]).items():
        monkeypatch.setenv(name, value)
    with psycopg.connect("") as connection:
        assert connection.execute("SELECT current_database()").fetchone() == (
            "databricks_postgres",
        )


def test_env_in_the_words_of_the_app_templates(lakeport: Cli, instance: dict) -> None:
    lines = lakeport("env", instance["name"], "--style", "lakebase", "--dotenv").stdout.splitlines()
    given = dict(line.split("=", 1) for line in lines)
    assert given["LAKEBASE_INSTANCE_NAME"] == instance["name"]
    url = given["LAKEBASE_PG_URL"].strip("'")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_connection_string_verifies_the_server(
    lakeport: Cli, instance: dict, server: Server
) -> None:
    url = lakeport("connection-string", instance["name"]).stdout.strip()
    parts = parse_qs(urlsplit(url).query)
    assert parts == {"sslmode": ["verify-full"], "sslrootcert": [str(server.ca_file)]}
    with psycopg.connect(url) as connection:
        assert connection.info.user == "admin@lakeport.local"
    without = lakeport("connection-string", instance["name"], "--no-token").stdout
    assert "admin%40lakeport.local@" in without


def test_password_alone(lakeport: Cli, instance: dict) -> None:
    password = lakeport("password", instance["name"]).stdout.strip()
    with psycopg.connect(
        host=instance["read_write_dns"],
        user="admin@lakeport.local",
        password=password,
        dbname="databricks_postgres",
        sslmode="require",
    ) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_password_file(lakeport: Cli, instance: dict, tmp_path: Path) -> None:
    file = tmp_path / "pgpass"
    file.write_text("elsewhere:5432:*:me:theirs\n")
    file.chmod(0o644)
    lakeport("pgpass", instance["name"], PGPASSFILE=str(file))
    lakeport("pgpass", instance["name"], "--file", str(file))
    ours, theirs = file.read_text().splitlines()
    assert theirs == "elsewhere:5432:*:me:theirs"
    assert ours.startswith(f"{instance['read_write_dns']}:5432:*:admin@lakeport.local:")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with psycopg.connect(
        host=instance["read_write_dns"],
        user="admin@lakeport.local",
        dbname="postgres",
        sslmode="require",
        passfile=str(file),
    ) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_password_file_is_watched_until_ctrl_c(
    lakeport: Cli, instance: dict, tmp_path: Path
) -> None:
    file = tmp_path / "pgpass"
    watching = lakeport.start(
        "pgpass", instance["name"], "--file", str(file), "--watch", stderr=subprocess.PIPE
    )
    assert "fresh tokens" in watching.stderr.readline()
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=60)
    assert watching.returncode == 130 and "not renewed any more" in said


def test_any_program_of_libpq_through_the_private_door(lakeport: Cli, instance: dict) -> None:
    pg_dump = str(REPO / "target/postgres/16/bin/pg_dump")
    dump = lakeport("exec", instance["name"], "--", pg_dump, "--schema-only", PGSSLMODE="require")
    assert "PostgreSQL database dump complete" in dump.stdout
    missing = lakeport("exec", instance["name"], "--", "/no/such/program", code=1)
    assert "/no/such/program" in missing.stderr
    assert lakeport("exec", instance["name"], "--", "sh", "-c", "exit 7", code=7)
    lakeport("exec", instance["name"], code=2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "elvish", "powershell"])
def test_completions(lakeport: Cli, shell: str) -> None:
    script = lakeport("completions", shell, DATABRICKS_CONFIG_FILE="/nowhere").stdout
    assert "create-database-instance" in script and "doctor" in script


def test_bash_takes_the_completions(lakeport: Cli) -> None:
    script = """
    source <(lakeport completions bash)
    COMP_WORDS=(lakeport database create-) COMP_CWORD=2
    _lakeport lakeport create- database
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert "create-database-instance" in lakeport.shell(script).stdout.split()


def test_man_pages(lakeport: Cli, tmp_path: Path) -> None:
    lakeport("man", "--dir", str(tmp_path))
    pages = {page.name for page in tmp_path.iterdir()}
    assert {"lakeport.1", "lakeport-psql.1", "lakeport-instance-create.1"} <= pages
    assert lakeport("man").stdout.startswith((".ie", ".TH"))


# --- doctor ----------------------------------------------------------------------------------


def findings(lakeport: Cli, *arguments: str, code: int = 0, **environment: str) -> list[dict]:
    told = lakeport("doctor", *arguments, "-o", "json", code=code, **environment).stdout
    return json.loads(told)["findings"]


def test_doctor_finds_all_well(lakeport: Cli, instance: dict) -> None:
    found = findings(lakeport, instance["name"])
    assert [finding["step"] for finding in found] == [
        "configuration",
        "server",
        "instance",
        "host name",
        "credential",
        "login",
        "rights",
    ]
    assert all(finding["ok"] for finding in found), found
    text = lakeport("doctor", "-o", "text").stdout
    assert text.startswith("ok    configuration: ") and "a token" in text


def test_doctor_prints_the_grants_that_mend(lakeport: Cli, api: Api, own_instance: dict) -> None:
    name, role = own_instance["name"], "app@example.com"

    def sql(statement: str) -> None:
        lakeport("psql", name, "--", "-v", "ON_ERROR_STOP=1", "-c", statement)

    def last(code: int) -> dict:
        return findings(lakeport, name, "--role", role, code=code)[-1]

    absent = last(code=1)
    assert "no PostgreSQL role" in absent["message"]
    assert absent["mend"] == [
        f"lakeport database create-database-instance-role {name} {role} --identity-type USER"
    ]

    sql(f'CREATE ROLE "{role}" LOGIN')
    sql("CREATE TABLE public.shop (id int)")
    steps = findings(lakeport, name, "--role", role, code=1)
    wrong = [finding for finding in steps if not finding["ok"]]
    assert "CREATE on schema public" in wrong[0]["message"]
    assert "1 of 1 tables" in wrong[-1]["message"]
    for finding in wrong:
        for statement in finding["mend"]:
            if statement.endswith(";"):
                sql(statement)
    schemas = last(code=0)
    assert schemas["ok"] and "may not create schemas" in schemas["message"]
    (grant,) = schemas["mend"]
    assert grant == f'GRANT CREATE ON DATABASE "databricks_postgres" TO "{role}";'
    sql(grant)
    well = last(code=0)
    assert "create and read in public" in well["message"] and not well.get("mend")


def test_doctor_stops_where_it_leads_no_further(
    lakeport: Cli, api: Api, server: Server, own_instance: dict
) -> None:
    name = own_instance["name"]
    gone = findings(lakeport, unique("nobody"), code=1)[-1]
    assert gone["step"] == "instance" and "CAN_USE" in gone["mend"][0]
    no_database = findings(lakeport, name, "-d", "no_such", code=1)[-1]
    assert no_database["mend"] == ['CREATE DATABASE "no_such";']
    wrong_port = findings(lakeport, name, "--port", "1", code=1)[-1]
    assert wrong_port["step"] == "login" and ":1" in wrong_port["message"]
    lakeport("instance", "stop", name)
    stopped = findings(lakeport, name, code=1)[-1]
    assert stopped["mend"] == [f"start it: lakeport instance start {name}"]
    nobody = {"DATABRICKS_HOST": server.http, "DATABRICKS_TOKEN": "lkpt_wrong"}
    refused = findings(lakeport, name, code=1, **nobody)[-1]
    assert refused["step"] == "server" and refused["mend"]
    nothing = findings(lakeport, name, code=1, DATABRICKS_CONFIG_FILE="/nowhere/at/all")
    assert [finding["step"] for finding in nothing] == ["configuration"]
    assert nothing[0]["mend"]


def test_doctor_leads_a_newcomer_all_the_way(
    lakeport: Cli, api: Api, server: Server, own_instance: dict
) -> None:
    """Each time what the doctor prints is done, by whom it says, and it leads one step further."""
    name, user = own_instance["name"], f"{unique('p')}@example.com"
    with principal(api, "Users", userName=user, password="correct horse battery"):
        token = Flow(server.http).tokens(user, "correct horse battery")["access_token"]
        newcomer = {
            "DATABRICKS_HOST": server.http,
            "DATABRICKS_TOKEN": token,
            "LAKEPORT_CA_FILE": str(server.ca_file),
        }

        def last(code: int) -> dict:
            return findings(lakeport, name, code=code, **newcomer)[-1]

        unseen = last(code=1)
        assert unseen["step"] == "instance" and "CAN_USE" in unseen["mend"][0]
        entry = {"user_name": user, "permission_level": "CAN_USE"}
        path = f"/api/2.0/permissions/database-instances/{name}"
        api.ok("PATCH", path, {"access_control_list": [entry]})

        no_role = last(code=1)
        assert no_role["step"] == "login" and "does not exist" in no_role["message"]
        lakeport(*shlex.split(no_role["mend"][0])[1:], **newcomer)

        no_right = last(code=1)
        assert "CREATE on schema public" in no_right["message"]
        lakeport("psql", name, "--", "-v", "ON_ERROR_STOP=1", "-c", no_right["mend"][0])
        assert last(code=0)["ok"]
        lakeport("psql", name, "--", "-c", "CREATE TABLE public.mine (id int)", **newcomer)

        roles = json.loads(lakeport("database", "list-database-instance-roles", name).stdout)
        assert user in [role["name"] for role in roles]
        lakeport("database", "get-database-instance-role", name, user)
        delete = ["database", "delete-database-instance-role", "--instance-name", name, user]
        owner = lakeport(*delete, code=1)
        assert "own" in owner.stderr
        lakeport(*delete, "--reassign-owned-to", "admin@lakeport.local")
        lakeport(*delete, code=3)
        lakeport(*delete, "--allow-missing")
