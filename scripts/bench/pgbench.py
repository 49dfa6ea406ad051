"""Running pgbench: always over TLS, always select-only."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg


@dataclass(frozen=True)
class Target:
    """Whom pgbench talks to."""

    bin: Path
    host: str
    port: int
    user: str
    password: str
    dbname: str

    def initialize(self, scale: int) -> None:
        """Makes pgbench's tables, and brings them into shared buffers by way of the index: a
        sequential scan of a large table keeps out of most of them."""
        self._pgbench("--initialize", "--scale", scale, "--quiet")
        with psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=self.dbname,
            sslmode="require",
            autocommit=True,
        ) as connection:
            connection.execute("SET enable_seqscan = off")
            connection.execute("SELECT sum(abalance) FROM pgbench_accounts WHERE aid > 0")

    def throughput(self, clients: int, seconds: int) -> float:
        """Prepared queries per second."""
        return self._tps(clients, seconds, "--protocol=prepared")

    def connections(self, clients: int, seconds: int) -> float:
        """Connections per second, each with one query."""
        return self._tps(clients, seconds, "--connect")

    def _tps(self, clients: int, seconds: int, how: str) -> float:
        jobs = min(clients, os.cpu_count() or 1)
        output = self._pgbench(
            *("--select-only", how, "--no-vacuum"),
            *("--client", clients, "--jobs", jobs, "--time", seconds),
        )
        found = re.search(r"^tps = ([0-9.]+)", output, re.MULTILINE)
        failed = re.search(r"number of failed transactions: ([1-9]\d*)", output)
        if not found or failed:
            raise SystemExit(f"pgbench against {self.host}:{self.port} went wrong:\n{output}")
        return float(found[1])

    def _pgbench(self, *arguments: object) -> str:
        done = subprocess.run(
            [str(self.bin / "pgbench"), *map(str, arguments)],
            env={
                "PATH": os.environ["PATH"],
                "PGHOST": self.host,
                "PGPORT": str(self.port),
                "PGUSER": self.user,
                "PGPASSWORD": self.password,
                "PGDATABASE": self.dbname,
                "PGSSLMODE": "require",
                "PGGSSENCMODE": "disable",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"pgbench against {self.host}:{self.port}:\n{done.stdout}")
        return done.stdout
