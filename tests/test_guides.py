"""The ways to connect that Lakebase's guides show, unchanged."""

import asyncio
import uuid

import asyncpg
import psycopg
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.database import DatabaseInstance
from psycopg_pool import ConnectionPool
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from kit.login import Login

pytestmark = pytest.mark.usefixtures("guide_environment")


def test_python_sdk_and_psycopg(name: str) -> None:
    w = WorkspaceClient()
    instance = w.database.create_database_instance(
        DatabaseInstance(name=name, capacity="CU_1")
    ).result()
    cred = w.database.generate_database_credential(
        request_id=str(uuid.uuid4()), instance_names=[name]
    )
    with psycopg.connect(
        host=instance.read_write_dns,
        dbname="postgres",
        user=w.current_user.me().user_name,
        password=cred.token,
        sslmode="require",
    ) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("admin@lakeport.local",)
        assert connection.info.server_version // 10000 == 16
    w.database.delete_database_instance(name=name, purge=True)


def test_psycopg_pool_with_a_token_for_each_connection(instance: dict) -> None:
    w = WorkspaceClient()

    class TokenConnection(psycopg.Connection):
        """The guides' way: a connection class that fetches its own password."""

        @classmethod
        def connect(cls, conninfo: str = "", **kwargs):
            kwargs["password"] = w.database.generate_database_credential(
                request_id=str(uuid.uuid4()), instance_names=[instance["name"]]
            ).token
            return super().connect(conninfo, **kwargs)

    with ConnectionPool(
        conninfo=f"dbname=databricks_postgres user={w.current_user.me().user_name} "
        f"host={instance['read_write_dns']} sslmode=require",
        connection_class=TokenConnection,
        min_size=2,
        max_size=4,
        open=True,
    ) as pool:
        pool.wait(timeout=60)
        for number in range(20):
            with pool.connection() as connection:
                assert connection.execute("SELECT %s::int", (number,)).fetchone() == (number,)


def test_asyncpg(login: Login) -> None:
    async def scenario() -> None:
        connection = await asyncpg.connect(
            host=login.host,
            user=login.user,
            password=login.password,
            database=login.dbname,
            ssl="require",
        )
        try:
            # Prepared statements and several types, through the extended protocol.
            rows = await connection.fetch(
                "SELECT n, n::text || $1 AS t FROM generate_series(1, $2::int) AS n", "!", 1000
            )
            assert [tuple(row) for row in rows] == [(n, f"{n}!") for n in range(1, 1001)]
        finally:
            await connection.close()

    asyncio.run(scenario())


def test_sqlalchemy_async_while_the_token_is_replaced(instance: dict) -> None:
    w = WorkspaceClient()
    tokens = {"now": None}
    used: list[str] = []

    def replace_token() -> None:
        tokens["now"] = w.database.generate_database_credential(
            request_id=str(uuid.uuid4()), instance_names=[instance["name"]]
        ).token

    replace_token()
    # No pool: every query logs in anew, so that logins do meet the moment of a replacement.
    engine = create_async_engine(
        f"postgresql+asyncpg://{instance['read_write_dns']}:5432/databricks_postgres",
        connect_args={"ssl": "require"},
        poolclass=NullPool,
    )

    @event.listens_for(engine.sync_engine, "do_connect")
    def provide_token(dialect, conn_rec, cargs, cparams) -> None:
        cparams["user"] = "admin@lakeport.local"
        cparams["password"] = tokens["now"]
        used.append(tokens["now"])

    asyncio.run(query_while_replacing(engine, replace_token))
    assert len(set(used)) > 1, "no login happened after a replacement"


async def query_while_replacing(engine: AsyncEngine, replace_token) -> None:
    replaced = asyncio.Event()

    async def worker(number: int) -> None:
        rounds = 0
        while rounds < 2 or not replaced.is_set():
            async with engine.connect() as connection:
                answer = await connection.execute(text("SELECT :n + 1"), {"n": number})
                assert answer.scalar_one() == number + 1
            rounds += 1

    async def replacer() -> None:
        try:
            for _ in range(3):
                await asyncio.to_thread(replace_token)
                await asyncio.sleep(0.05)
        finally:
            replaced.set()

    await asyncio.gather(replacer(), *(worker(number) for number in range(50)))
    await engine.dispose()
