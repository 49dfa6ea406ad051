"""The peer of the gateway: PgBouncer in session mode, with TLS and SCRAM for its clients."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

from bench.clock import soon
from bench.home import Home
from bench.postgres import Postgres, free_port
from bench.process import Process


def program() -> Path | None:
    found = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    return Path(found) if found else None


def version(program: Path) -> str:
    done = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[0]


class PgBouncer:
    """One in front of a PostgreSQL, which it reaches over its unix socket."""

    def __init__(
        self,
        home: Home,
        program: Path,
        backend: Postgres,
        role: str,
        certificate: tuple[str, str],
    ) -> None:
        self.port = free_port()
        folder = home.folder("pgbouncer")
        users = home.write(folder / "users.txt", f'"{role}" "{verifier(backend, role)}"\n')
        config = home.write(
            folder / "pgbouncer.ini",
            "[databases]\n"
            f"* = host={backend.folder} port={backend.port}\n"
            "[pgbouncer]\n"
            "listen_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\n"
            "unix_socket_dir =\n"
            "pool_mode = session\n"
            "default_pool_size = 50\n"
            "max_client_conn = 200\n"
            "auth_type = scram-sha-256\n"
            f"auth_file = {users}\n"
            "client_tls_sslmode = require\n"
            f"client_tls_cert_file = {certificate[0]}\n"
            f"client_tls_key_file = {certificate[1]}\n"
            # A line for each login would cost it time that the others do not spend.
            "log_connections = 0\n"
            "log_disconnections = 0\n",
        )
        self._process = Process(home, folder / "log", program, config)
        soon(self._listens, "PgBouncer listens", retry=OSError)

    def _listens(self) -> bool:
        self._process.must_live()
        socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        return True

    def stop(self) -> None:
        self._process.stop(signal.SIGTERM)


def verifier(backend: Postgres, role: str) -> str:
    """The SCRAM verifier, which spares PgBouncer to derive it at each login."""
    with backend.connect() as connection:
        query = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
        return connection.execute(query, (role,)).fetchone()[0]
