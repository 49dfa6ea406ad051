"""Logging in through the gateway: which passwords it takes, and what it says to the others."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import asyncpg
import psycopg
import pytest

from kit import tokens
from kit.api import INSTANCES, Api
from kit.login import Login
from kit.server import Server
from kit.waiting import eventually


def refusal_of(login: Login) -> asyncpg.PostgresError:
    """The error of a login that must be refused; asyncpg shows its SQLSTATE, libpq does not."""

    async def attempt() -> None:
        connection = await login.connect_asyncpg()
        await connection.close()

    with pytest.raises(asyncpg.PostgresError) as refused:
        asyncio.run(attempt())
    return refused.value


def assert_bad_password(login: Login) -> None:
    error = refusal_of(login)
    assert error.sqlstate == "28P01", error
    assert f'password authentication failed for user "{login.user}"' in str(error)


FORGERIES = {
    "not a JWT": lambda token: "secret",
    "three parts of nothing": lambda token: "a.b.c",
    "16 KiB": lambda token: "x" * 16384,
    "16 KiB of claims": lambda token: tokens.altered(token, padding="x" * 12000),
    "alg none": tokens.unsigned,
    "signature left out": lambda token: token.rsplit(".", 1)[0] + ".",
    "signed by a stranger": tokens.signed_by_a_stranger,
    "signed with a shared secret": tokens.signed_with_a_shared_secret,
    "longer life": lambda token: tokens.altered(token, exp=4102444800),
    "another subject": lambda token: tokens.altered(token, sub="root@lakeport.local"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_token(login: Login, forgery: str) -> None:
    assert login.value("SELECT 1") == 1
    assert_bad_password(replace(login, password=FORGERIES[forgery](login.password)))


def test_token_for_another_instance(api: Api, login: Login, own_instance: dict) -> None:
    assert_bad_password(replace(login, password=api.credential(own_instance["name"])))


def test_token_for_several_instances(
    api: Api, login: Login, instance: dict, own_instance: dict
) -> None:
    both = api.credential(instance["name"], own_instance["name"])
    for target in (instance, own_instance):
        there = replace(login, host=target["read_write_dns"], password=both)
        assert there.value("SELECT 1") == 1


def test_token_of_another_user(login: Login) -> None:
    assert_bad_password(replace(login, user="somebody@lakeport.local"))


def test_roles_of_the_control_plane_cannot_log_in(login: Login) -> None:
    for role in ("lakeport_admin", "lb_writer", "lb_control", "databricks_superuser", "postgres"):
        assert_bad_password(replace(login, user=role))


def test_access_token_of_the_api_is_no_password(server: Server, login: Login) -> None:
    assert_bad_password(replace(login, password=server.token))


def test_nothing_is_told_of_databases_before_a_valid_token(login: Login) -> None:
    assert_bad_password(replace(login, password="wrong", dbname="no_such_database"))


def test_missing_database(login: Login) -> None:
    error = refusal_of(replace(login, dbname="no_such_database"))
    assert error.sqlstate == "3D000" and "does not exist" in str(error)


def test_stopped_instance(api: Api, login: Login, own_instance: dict) -> None:
    name = own_instance["name"]
    there = replace(login, host=own_instance["read_write_dns"], password=api.credential(name))
    body = {"stopped": True}
    api.ok("PATCH", f"{INSTANCES}/{name}", body, update_mask="stopped")
    api.wait_for_state(name, "STOPPED")
    error = refusal_of(there)
    assert re.search(rf"instance [\"']?{name}[\"']? is stopped", str(error)), error
    assert error.sqlstate != "28P01", "clients would fetch tokens in a loop"


def test_plaintext_is_refused_and_says_ssl(login: Login) -> None:
    with pytest.raises(psycopg.OperationalError, match="SSL"):
        login.connect(sslmode="disable")


def test_verify_full_with_the_written_authority(server: Server, login: Login) -> None:
    options = {"sslmode": "verify-full", "sslrootcert": str(server.ca_file)}
    with login.connect(**options) as connection:
        assert connection.pgconn.ssl_in_use


def test_direct_tls(login: Login) -> None:
    with login.connect(sslnegotiation="direct") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_certificate_is_not_accepted_under_another_authority(
    own_server: Server, login: Login
) -> None:
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        login.connect(sslmode="verify-full", sslrootcert=str(own_server.ca_file))


def test_start_up_option_routes_and_is_not_passed_on(login: Login, instance: dict) -> None:
    with login.connect(options=f"-c lakeport.instance={instance['name']}") as connection:
        setting = "SELECT current_setting('lakeport.instance', true)"
        assert connection.execute(setting).fetchone() == (None,)


def test_routes_that_disagree_are_an_error(
    api: Api, login: Login, instance: dict, own_instance: dict
) -> None:
    # The token opens both, so only the disagreement can be the reason.
    both = replace(login, password=api.credential(instance["name"], own_instance["name"]))
    with pytest.raises(psycopg.OperationalError, match=own_instance["name"]):
        both.connect(options=f"-c lakeport.instance={own_instance['name']}")


def test_session_settings_of_the_client_arrive(login: Login) -> None:
    with login.connect(application_name="shop", options="-c search_path=pg_catalog") as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("shop",)
        assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog",)


def test_drivers_know_the_process_id_of_the_server(login: Login) -> None:
    with login.connect() as one, login.connect() as other:
        other.execute("LISTEN news")
        one.execute("NOTIFY news")
        (heard,) = other.notifies(timeout=30, stop_after=1)
        assert heard.pid == one.info.backend_pid
        other.execute("SELECT pg_terminate_backend(%s)", (one.info.backend_pid,))
        with pytest.raises(psycopg.errors.AdminShutdown):
            one.execute("SELECT 1")

    async def scenario() -> None:
        connection = await login.connect_asyncpg()
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        assert connection.get_server_pid() == pid
        await connection.close()

    asyncio.run(scenario())


def test_replication_is_refused_in_words_that_are_true(login: Login) -> None:
    with pytest.raises(psycopg.OperationalError, match="replication connections are not accepted"):
        login.connect(replication="database")


@pytest.mark.parametrize("way", ["over TLS", "in plaintext"])
def test_cancel(login: Login, way: str) -> None:
    with login.connect() as sleeper, login.connect() as watcher, ThreadPoolExecutor(1) as pool:
        pid = sleeper.info.backend_pid
        assert sleeper.execute("SELECT pg_backend_pid()").fetchone() == (pid,)
        sleep = pool.submit(sleeper.execute, "SELECT pg_sleep(60)")
        state = f"SELECT state FROM pg_stat_activity WHERE pid = {pid}"
        eventually(lambda: watcher.execute(state).fetchone() == ("active",), "it sleeps")
        if way == "over TLS":
            sleeper.cancel_safe(timeout=30)
        else:
            sleeper.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            sleep.result()
        assert sleeper.execute("SELECT 1").fetchone() == (1,)


def test_a_bulk_stream_passes_unchanged(login: Login, tmp_path: Path) -> None:
    line = b"0123456789abcdef" * 64
    with login.connect() as connection:
        connection.execute("CREATE TEMP TABLE stream (line text)")
        with connection.cursor().copy("COPY stream FROM STDIN") as copy:
            for _ in range(20_000):
                copy.write(line + b"\n")
        with connection.cursor().copy("COPY stream TO STDOUT") as copy:
            received = b"".join(bytes(block) for block in copy)
    assert received == (line + b"\n") * 20_000
