"""The peer of everything: a bare PostgreSQL, as initdb makes it, with an instance's settings."""

import signal
import socket
import subprocess
from pathlib import Path

import psycopg

from bench.clock import soon
from bench.home import Home
from bench.process import Process
from kit.server import REPO

SUPERUSER = "bench_admin"

# Where a server is found and what it says belong to each alone; everything else is compared.
OWN_SETTINGS = (
    "cluster_name",
    "listen_addresses",
    "port",
    "ssl",
    "unix_socket_directories",
    "unix_socket_permissions",
)


def programs(home: Home, major: int) -> Path | None:
    """The `bin` of a version, looked for where `lakeport serve` looks."""
    for root in (REPO / "target/postgres" / str(major), Path(f"/usr/lib/postgresql/{major}")):
        if (root / "bin/initdb").exists():
            return home.within_reach(root.resolve()) / "bin"
    return None


def version(bin: Path) -> str:
    command = [bin / "postgres", "--version"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()[2]


def settings_of(connection: psycopg.Connection) -> dict[str, str]:
    """What an instance's configuration files set, in PostgreSQL's own units."""
    found = connection.execute(
        "SELECT name, setting FROM pg_settings"
        " WHERE source = 'configuration file' AND name <> ALL (%s)",
        (list(OWN_SETTINGS),),
    )
    return dict(found.fetchall())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """A server on a data directory of its own, in a folder that only its user enters."""

    def __init__(self, home: Home, bin: Path, name: str) -> None:
        self.home, self.bin = home, bin
        self.folder = home.folder(name)
        self.data = self.folder / "data"
        self.port = free_port()
        self._process: Process | None = None

    # --- Data -------------------------------------------------------------------------------------

    def initdb(self, settings: dict[str, str], hba: str = "local all all trust\n") -> None:
        self.home.run(
            self.bin / "initdb",
            "--pgdata",
            self.data,
            "--username",
            SUPERUSER,
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
            "--auth=trust",
            "--no-instructions",
        )
        self.home.write(self.data / "pg_hba.conf", hba)
        self.configure(settings)

    def configure(self, settings: dict[str, str]) -> None:
        """Appends settings; the last one of a name counts."""
        lines = (f"{k} = '{v.replace(chr(39), chr(39) * 2)}'\n" for k, v in settings.items())
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(lines)

    def copy_of(self, template: "Postgres") -> None:
        self.home.run("cp", "-a", template.data, self.data)

    # --- Life -------------------------------------------------------------------------------------

    def start(self) -> None:
        self._process = Process(
            self.home,
            self.folder / "log",
            self.bin / "postgres",
            "-D",
            self.data,
            "-k",
            self.folder,
            "-p",
            self.port,
        )

    def first_query(self) -> None:
        """Connects over the unix socket as soon as it works."""

        def ask() -> bool:
            self._process.must_live()
            with self.connect() as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)

        soon(ask, "bare PostgreSQL answers", retry=psycopg.OperationalError)

    def connect(self, dbname: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.folder), port=self.port, user=SUPERUSER, dbname=dbname, autocommit=True
        )

    def stop(self) -> None:
        """Ends its sessions and checkpoints."""
        if self._process:
            self._process.stop(signal.SIGINT)
            self._process = None
