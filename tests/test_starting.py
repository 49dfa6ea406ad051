"""A login for an instance that is starting waits, and is told at once what becomes of it."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from kit.api import INSTANCES, Api
from kit.bare_postgres import bare_postgres
from kit.login import Login
from kit.names import unique
from kit.server import Server
from kit.waiting import eventually

HOLD = """
create function lakeport.hold() returns trigger language plpgsql as $$
begin
    new.lease_owner := gen_random_uuid();
    new.lease_until := now() + interval '1 hour';
    return new;
end $$;
create trigger hold before insert on lakeport.instances
    for each row execute function lakeport.hold();
"""


@pytest.fixture(scope="module")
def stuck() -> Iterator[tuple[Api, psycopg.Connection[Any]]]:
    """A server whose instances are somebody else's to start, until they are let go."""
    with bare_postgres() as url:
        server = Server("--metadata-url", url)
        try:
            server.start()
            with psycopg.connect(url, autocommit=True) as metadata:
                metadata.execute(HOLD)
                yield Api(server.http, server.token), metadata
        finally:
            server.close()


def waiting(api: Api) -> bool:
    return "lakeport_connections_waiting 1\n" in api.send("GET", "/metrics").text


@contextmanager
def waiting_login(api: Api, name: str) -> Iterator[Future[int]]:
    """A login that waits for the instance."""
    login = Login.to(api, api.create_instance(name))
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(login.value, "SELECT 1")
        eventually(lambda: waiting(api), "the login waits")
        assert api.instance(name)["state"] == "STARTING" and not answer.done()
        yield answer


def test_it_is_let_in_when_the_instance_runs(
    stuck: tuple[Api, psycopg.Connection[Any]], name: str
) -> None:
    api, metadata = stuck
    with waiting_login(api, name) as answer:
        let_go(metadata, name)
        assert answer.result(120) == 1
    api.delete_instance(name)


def test_it_is_told_that_the_instance_is_deleted(
    stuck: tuple[Api, psycopg.Connection[Any]], name: str
) -> None:
    api, metadata = stuck
    with waiting_login(api, name) as answer:
        api.ok("DELETE", f"{INSTANCES}/{name}", purge="true")
        with pytest.raises(psycopg.OperationalError, match=f'"{name}" is being deleted'):
            answer.result(120)
    let_go(metadata, name)


def test_it_is_told_that_the_instance_is_stopped(
    stuck: tuple[Api, psycopg.Connection[Any]], name: str
) -> None:
    api, metadata = stuck
    with waiting_login(api, name) as answer:
        api.ok("PATCH", f"{INSTANCES}/{name}", {"stopped": True}, update_mask="stopped")
        with pytest.raises(psycopg.OperationalError, match=f'"{name}" is stopped'):
            answer.result(120)
    let_go(metadata, name)
    api.delete_instance(name)


def test_a_forged_token_does_not_wait(
    stuck: tuple[Api, psycopg.Connection[Any]], name: str
) -> None:
    api, metadata = stuck
    host = api.create_instance(name)["read_write_dns"]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        Login(host, api.user_name(), unique("forged")).connect()
    let_go(metadata, name)
    api.delete_instance(name)


def let_go(metadata: psycopg.Connection[Any], name: str) -> None:
    metadata.execute(
        "update lakeport.instances set lease_owner = null, lease_until = null where name = %s",
        (name,),
    )
