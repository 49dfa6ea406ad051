"""A FastAPI app with a pool; its passwords are database credentials, got by the host's name."""

import os
import uuid
from contextlib import asynccontextmanager

from databricks.sdk import WorkspaceClient
from fastapi import FastAPI
from psycopg import Connection
from psycopg_pool import ConnectionPool

workspace = WorkspaceClient()


class Login(Connection):
    """A connection that brings a fresh password."""

    @classmethod
    def connect(cls, conninfo: str = "", **options):
        # A resource gives the host, not the instance's name: both name the instance.
        credential = workspace.database.generate_database_credential(
            request_id=str(uuid.uuid4()), instance_names=[os.environ["DATABASE_HOST"]]
        )
        return super().connect(conninfo, **options, password=credential.token)


pool = ConnectionPool(
    connection_class=Login,
    kwargs={"autocommit": True},
    min_size=1,
    max_size=4,
    open=False,
    check=ConnectionPool.check_connection,
)


@asynccontextmanager
async def lifespan(_: FastAPI):
    with pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
def visit() -> dict:
    with pool.connection() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS fastapi_app")
        connection.execute("CREATE TABLE IF NOT EXISTS fastapi_app.visits (at timestamptz)")
        connection.execute("INSERT INTO fastapi_app.visits VALUES (now())")
        visits = connection.execute("SELECT count(*) FROM fastapi_app.visits").fetchone()[0]
        user = connection.execute("SELECT current_user").fetchone()[0]
    return {"greeting": os.environ["GREETING"], "user": user, "visits": visits}
