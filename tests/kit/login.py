"""Logging in to an instance through the gateway, as an application does."""

from dataclasses import dataclass
from typing import Any

import asyncpg
import psycopg

from kit.api import Api


@dataclass
class Login:
    """Who logs in, where, and with which password."""

    host: str
    user: str
    password: str
    dbname: str = "databricks_postgres"

    @classmethod
    def to(cls, api: Api, instance: dict[str, Any]) -> "Login":
        token = api.credential(instance["name"])
        return cls(instance["read_write_dns"], api.user_name(), token)

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        settings = {
            "host": self.host,
            "user": self.user,
            "password": self.password,
            "dbname": self.dbname,
            "sslmode": "require",
            "connect_timeout": 20,
            "autocommit": True,
        }
        return psycopg.connect(**(settings | options))

    async def connect_asyncpg(self) -> "asyncpg.Connection[Any]":
        """Other than libpq it says the SQLSTATE of a refused login."""
        return await asyncpg.connect(
            host=self.host,
            user=self.user,
            password=self.password,
            database=self.dbname,
            ssl="require",
            timeout=30,
        )

    def value(self, query: str) -> Any:
        """The one value of a query."""
        with self.connect() as connection:
            return connection.execute(query).fetchone()[0]
