"""The Python package's connections, pools and engines, with the drivers themselves."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator

import psycopg
import pytest
from databricks.sdk.core import Config
from databricks.sdk.errors import NotFound
from databricks.sdk.service.database import DatabaseInstance
from sqlalchemy import text

from kit.api import Api
from kit.names import unique
from kit.server import REPO, Server
from kit.waiting import eventually

sys.path.insert(0, str(REPO / "python/src"))
import lakeport  # noqa: E402 - the package of this repository, not an installed one
from lakeport.tokens import TokenProvider  # noqa: E402

pytestmark = pytest.mark.usefixtures("guide_environment")
ADMIN = "admin@lakeport.local"


def test_connect_verifies_the_server_by_the_profile(instance: dict, server: Server) -> None:
    where = lakeport.endpoint(instance["name"])
    assert where.libpq["sslmode"] == "verify-full" and where.ca_file == str(server.ca_file)
    with lakeport.connect(instance["name"], application_name="shop") as connection:
        row = connection.execute(
            "SELECT current_user, current_setting('application_name')"
        ).fetchone()
    assert row == (ADMIN, "shop")


def test_pool_outlives_its_token(instance: dict) -> None:
    with lakeport.create_pool(instance["name"], min_size=1, max_size=3) as pool:
        with pool.connection() as connection:
            (first,) = connection.execute("SELECT pg_backend_pid()").fetchone()
        with lakeport.connect(instance["name"], autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (first,))
        with pool.connection() as connection:
            row = connection.execute("SELECT pg_backend_pid(), current_user").fetchone()
        assert row[0] != first and row[1] == ADMIN


def test_sqlalchemy(instance: dict) -> None:
    engine = lakeport.create_engine(instance["name"], pool_size=2)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT current_user")).scalar() == ADMIN
    engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_sqlalchemy_async(instance: dict, driver: str) -> None:
    async def scenario() -> None:
        engine = lakeport.create_async_engine(instance["name"], driver=driver)
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT current_user"))).scalar() == ADMIN
        await engine.dispose()

    asyncio.run(scenario())


def test_asyncpg_pool(instance: dict) -> None:
    async def scenario() -> None:
        async with lakeport.create_asyncpg_pool(instance["name"], min_size=2) as pool:
            assert await pool.fetchval("SELECT current_user") == ADMIN

    asyncio.run(scenario())


def test_wrong_names_are_told_at_once(instance: dict) -> None:
    with pytest.raises(NotFound):
        lakeport.create_engine(unique("nobody"))
    with pytest.raises(ValueError, match="driver"):
        lakeport.create_async_engine(instance["name"], driver="other")
    with pytest.raises(ValueError, match="instance_names"):
        TokenProvider([])


class Clock:
    """Moves the token provider's time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("lakeport.tokens.time.monotonic", lambda: self.now)


def test_token_is_used_again_and_renewed_before_it_ends(
    instance: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    provider = TokenProvider(instance["name"])
    first = provider()
    clock.now += 30 * 60
    assert provider() == first and asyncio.run(provider.get()) == first
    clock.now += 16 * 60
    # Nobody waits for a renewal while the old one is good.
    second = eventually(provider, "a renewed token", until=lambda token: token != first)
    provider.forget()
    assert asyncio.run(provider.get()) != second
    assert first not in repr(provider)


def test_absent_server_is_bridged_while_the_token_is_good(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The SDK asks a server that is away for five minutes, unless it is told otherwise.
    config = Config(
        config_file=str(own_server.config_file), profile="DEFAULT", retry_timeout_seconds=1
    )
    workspace = lakeport.WorkspaceClient(config=config)
    name = unique("i")
    workspace.database.create_database_instance(name=name, capacity="CU_1").result()
    clock = Clock(monkeypatch)
    provider = TokenProvider(name, workspace)
    token = provider()
    own_server.stop()
    clock.now += 50 * 60
    assert provider() == token
    clock.now += 11 * 60
    with pytest.raises(Exception):  # noqa: B017 - whichever the SDK has for a server that is away
        provider()


def test_nobody_waits_for_a_renewal_while_the_old_token_is_good(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(
        config_file=str(own_server.config_file), profile="DEFAULT", http_timeout_seconds=120
    )
    workspace = lakeport.WorkspaceClient(config=config)
    name = unique("i")
    workspace.database.create_database_instance(name=name, capacity="CU_1").result()
    clock = Clock(monkeypatch)
    provider = TokenProvider(name, workspace)
    first = provider()
    clock.now += 58 * 60
    os.kill(own_server.process.pid, signal.SIGSTOP)
    try:
        # Each of these would hang here if it waited for the server.
        assert [provider() for _ in range(5)] == [first] * 5
        assert asyncio.run(provider.get()) == first
    finally:
        os.kill(own_server.process.pid, signal.SIGCONT)
    eventually(provider, "a renewed token", until=lambda token: token != first)
    asked = 'lakeport_http_requests_total{method="POST",route="/api/2.0/database/credentials",status="200"} 2'
    metrics = Api(own_server.http, own_server.token).send("GET", "/metrics").text
    assert asked in metrics.splitlines()


def test_threads_share_one_token(instance: dict) -> None:
    provider = TokenProvider(instance["name"])
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(provider())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8 and len(set(seen)) == 1


# --- The spellings that circulate --------------------------------------------------------------


@pytest.fixture
def made() -> Iterator[tuple[lakeport.WorkspaceClient, str]]:
    workspace, name = lakeport.WorkspaceClient(), unique("i")
    yield workspace, name
    workspace.database.delete_database_instance(name=name, purge=True)


def test_circulating_spellings(made: tuple[lakeport.WorkspaceClient, str]) -> None:
    w, name = made
    instance = w.database.create_database_instance(
        name=name, capacity="CU_1", stopped=False
    ).result()
    assert (instance.name, instance.capacity) == (name, "CU_1")
    catalog = unique("c")
    made_catalog = w.database.register_database_instance(name=name, catalog=catalog, schema="shop")
    assert made_catalog.database_instance_name == name
    with lakeport.connect(name) as connection:
        assert connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'shop'").fetchone()
    w.database.delete_database_catalog(catalog)
    w.database.stop_database_instance(name)
    assert w.database.start_database_instance(name).state.value == "AVAILABLE"


def test_official_spelling_stays(made: tuple[lakeport.WorkspaceClient, str]) -> None:
    w, name = made
    w.database.create_database_instance(DatabaseInstance(name=name, capacity="CU_1")).result()
    with pytest.raises(TypeError, match="both"):
        w.database.create_database_instance(DatabaseInstance(name=name), capacity="CU_2")
    with pytest.raises(TypeError, match="name"):
        w.database.create_database_instance(capacity="CU_2")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        lakeport.connect(name, database="no_such")
