"""Lakebase with live tokens: on Databricks, and on a Lakeport server of your own.

Every connection that these functions open logs in with a token that is still good, however long a
pool lives. They speak the public REST API and PostgreSQL only, so a workspace of Databricks is
served as well.
"""

from lakeport.connect import (
    Endpoint,
    connect,
    create_async_engine,
    create_asyncpg_pool,
    create_engine,
    create_pool,
    endpoint,
)
from lakeport.instance import Instance
from lakeport.server import Server
from lakeport.tokens import TokenProvider
from lakeport.workspace import WorkspaceClient

__all__ = [
    "Endpoint",
    "Instance",
    "Server",
    "TokenProvider",
    "WorkspaceClient",
    "connect",
    "create_async_engine",
    "create_asyncpg_pool",
    "create_engine",
    "create_pool",
    "endpoint",
]
