"""Connections, pools and engines of the usual drivers, each with a live token as the password.

Owns where, as whom and with which TLS settings to connect. A driver is imported when it is wanted.
"""

from __future__ import annotations

import configparser
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeport.tokens import TokenProvider, _default_workspace

if TYPE_CHECKING:
    import asyncpg  # type: ignore[import-untyped]
    import psycopg
    import psycopg_pool
    import sqlalchemy
    from databricks.sdk import WorkspaceClient
    from sqlalchemy.ext.asyncio import AsyncEngine

DEFAULT_DATABASE = "databricks_postgres"


@dataclass(frozen=True)
class Endpoint:
    """Where an instance is reached, as whom, and the provider of the password."""

    instance: str
    host: str
    port: int
    user: str
    database: str
    ca_file: str | None
    token: TokenProvider = field(compare=False)

    @property
    def libpq(self) -> dict[str, Any]:
        """The parameters of psycopg and of every other libpq client, but the password."""
        parameters = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.database,
            "sslmode": "verify-full" if self.ca_file else "require",
        }
        return parameters | ({"sslrootcert": self.ca_file} if self.ca_file else {})

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """The same for drivers without libpq."""
        if self.ca_file:
            return ssl.create_default_context(cafile=self.ca_file)
        context = ssl.create_default_context()
        # What sslmode=require means: encrypted, and nobody is verified.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def endpoint(
    instance: str,
    workspace: WorkspaceClient | None = None,
    *,
    database: str = DEFAULT_DATABASE,
    port: int | None = None,
) -> Endpoint:
    """Asks the server where the instance is, and who the caller is to it.

    `port` is what the API does not tell: $LAKEPORT_PG_PORT, else 5432.
    """
    workspace = workspace or _default_workspace()
    found = workspace.database.get_database_instance(name=instance)
    host = found.read_write_dns or found.read_only_dns
    if not host:
        state = found.state.value if found.state else "unknown"
        raise ConnectionError(f"instance {instance} has no host name yet: its state is {state}")
    user = workspace.current_user.me().user_name
    if not user:
        raise ConnectionError("the server does not tell who the caller is")
    return Endpoint(
        instance=found.name,
        host=host,
        port=port or int(os.environ.get("LAKEPORT_PG_PORT") or 5432),
        user=user,
        database=database,
        ca_file=_ca_file(workspace),
        token=TokenProvider(found.name, workspace),
    )


def connect(
    instance: str,
    workspace: WorkspaceClient | None = None,
    *,
    database: str = DEFAULT_DATABASE,
    port: int | None = None,
    **options: Any,
) -> psycopg.Connection[Any]:
    """One psycopg connection; options are psycopg's."""
    import psycopg

    where = endpoint(instance, workspace, database=database, port=port)
    return psycopg.connect(**(where.libpq | {"password": where.token()} | options))


def create_pool(
    instance: str,
    workspace: WorkspaceClient | None = None,
    *,
    database: str = DEFAULT_DATABASE,
    port: int | None = None,
    kwargs: dict[str, Any] | None = None,
    **options: Any,
) -> psycopg_pool.ConnectionPool[Any]:
    """A psycopg_pool.ConnectionPool; options are its own, `kwargs` are those of its connections.

    A connection is tried before it is handed out, since an instance may have been restarted.
    """
    import psycopg
    import psycopg_pool

    where = endpoint(instance, workspace, database=database, port=port)

    class TokenConnection(psycopg.Connection[Any]):
        @classmethod
        def connect(cls, conninfo: str = "", **parameters: Any) -> Any:
            return super().connect(conninfo, **(parameters | {"password": where.token()}))

    defaults: dict[str, Any] = {"open": True, "check": psycopg_pool.ConnectionPool.check_connection}
    return psycopg_pool.ConnectionPool(
        connection_class=TokenConnection,
        kwargs=where.libpq | (kwargs or {}),
        **(defaults | options),
    )


def create_engine(
    instance: str,
    workspace: WorkspaceClient | None = None,
    *,
    database: str = DEFAULT_DATABASE,
    port: int | None = None,
    **options: Any,
) -> sqlalchemy.Engine:
    """A SQLAlchemy engine on psycopg; options are those of `sqlalchemy.create_engine`."""
    import sqlalchemy

    where = endpoint(instance, workspace, database=database, port=port)
    engine = sqlalchemy.create_engine("postgresql+psycopg://", **_engine_options(where, options))

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def _provide(dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> None:
        parameters["password"] = where.token()

    return engine


def create_async_engine(
    instance: str,
    workspace: WorkspaceClient | None = None,
    *,
    database: str = DEFAULT_DATABASE,
    port: int | None = None,
    driver: str = "psycopg",
    **options: Any,
) -> AsyncEngine:
    """A SQLAlchemy AsyncEngine on psycopg or asyncpg."""
    import sqlalchemy
    from sqlalchemy.ext import asyncio
    from sqlalchemy.util import await_only

    if driver not in ("psycopg", "asyncpg"):
        raise ValueError(f"driver: {driver!r} is neither 'psycopg' nor 'asyncpg'")
    where = endpoint(instance, workspace, database=database, port=port)
    settings = _engine_options(where, options)
    if driver == "asyncpg":
        given = options.get("connect_args") or {}
        settings["connect_args"] = {
            "host": where.host,
            "port": where.port,
            "user": where.user,
            "database": where.database,
            "ssl": where.ssl_context,
        } | given
    engine = asyncio.create_async_engine(f"postgresql+{driver}://", **settings)

    @sqlalchemy.event.listens_for(engine.sync_engine, "do_connect")
    def _provide(dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> None:
        parameters["password"] = await_only(where.token.get())

    return engine


def create_asyncpg_pool(
    instance: str,
    workspace: WorkspaceClient | None = None,
    *,
    database: str = DEFAULT_DATABASE,
    port: int | None = None,
    **options: Any,
) -> asyncpg.Pool:
    """An asyncpg pool, to be awaited or entered; options are those of `asyncpg.create_pool`."""
    import asyncpg

    where = endpoint(instance, workspace, database=database, port=port)
    settings: dict[str, Any] = {
        "host": where.host,
        "port": where.port,
        "user": where.user,
        "database": where.database,
        "ssl": where.ssl_context,
        "password": where.token.get,
    }
    return asyncpg.create_pool(**(settings | options))


def _engine_options(where: Endpoint, options: dict[str, Any]) -> dict[str, Any]:
    """A connection is tried before use, since an instance may have been restarted."""
    given = options.get("connect_args") or {}
    return {"pool_pre_ping": True} | options | {"connect_args": where.libpq | given}


def _ca_file(workspace: WorkspaceClient) -> str | None:
    """$LAKEPORT_CA_FILE, or the profile's `lakeport_ca_file`, relative to the file it stands in."""
    if explicit := os.environ.get("LAKEPORT_CA_FILE"):
        return os.path.expanduser(explicit)
    config = workspace.config
    path = Path(config.config_file or "~/.databrickscfg").expanduser()
    profiles = configparser.ConfigParser(interpolation=None)
    try:
        profiles.read(path)
    except configparser.Error:
        return None
    profile = config.profile or "DEFAULT"
    if profile not in profiles:
        return None
    section = profiles[profile]
    named = section.get("lakeport_ca_file")
    # A profile's CA is for the profile's server.
    same_host = (section.get("host") or "").rstrip("/") == (config.host or "").rstrip("/")
    return str(path.parent / Path(named).expanduser()) if named and same_host else None
