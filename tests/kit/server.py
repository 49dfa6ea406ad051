"""Runs a real `lakeport serve` on a data directory of its own.

Owns the process, its environment and its directory. Never touches a process that it did not start.
"""

import configparser
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import requests

from kit import processes
from kit.waiting import eventually

REPO = Path(__file__).resolve().parents[2]


def binary() -> Path:
    """The binary under test: $LAKEPORT_BIN, or the debug build of this repository."""
    if explicit := os.environ.get("LAKEPORT_BIN"):
        return Path(explicit)
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    return REPO / target / "debug" / "lakeport"


def clean_environment() -> dict[str, str]:
    """The caller's environment without settings that would steer a server or a client."""
    steering = ("LAKEPORT_", "DATABRICKS_", "PG")
    return {k: v for k, v in os.environ.items() if not k.startswith(steering)}


class Server:
    """One server: starts at `start`, and may be stopped, killed and started again on its data."""

    def __init__(
        self, *flags: str, http_addr: str = "127.0.0.1:0", **environment: str
    ) -> None:
        self.flags, self.environment = flags, environment
        self.home = Path(tempfile.mkdtemp(prefix="lakeport-test-", dir="/tmp")).resolve()
        # As root the servers run as other users, who must be able to pass through.
        self.home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        self.data_dir = self.home / "data"
        self.log = self.home / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.endpoints: dict[str, object] = {}
        # Port 0 picks a free one; a restart takes the same, as clients keep the address.
        self._http_addr, self._https_addr = http_addr, "127.0.0.1:0"

    # --- Where it is ------------------------------------------------------------------------------

    @property
    def http(self) -> str:
        return str(self.endpoints["http"])

    @property
    def https(self) -> str:
        return str(self.endpoints["https"])

    @property
    def config_file(self) -> Path:
        return self.data_dir / "databrickscfg"

    @property
    def ca_file(self) -> Path:
        return self.data_dir / "ca.pem"

    @property
    def token(self) -> str:
        profile = configparser.ConfigParser(interpolation=None)
        profile.read(self.config_file)
        return profile.defaults()["token"]

    # --- Life -------------------------------------------------------------------------------------

    def command(self) -> list[str]:
        return [
            str(binary()),
            "serve",
            "--data-dir",
            str(self.data_dir),
            "--http-addr",
            self._http_addr,
            "--https-addr",
            self._https_addr,
            *self.flags,
        ]

    def start(self) -> "Server":
        endpoints_file = self.data_dir / "endpoints.json"
        endpoints_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=REPO,
                env=clean_environment() | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: self._serves(endpoints_file), "the server answers /healthz")
        self._http_addr = self.http.split("//")[1]
        self._https_addr = self.https.split("//")[1]
        return self

    def run_to_its_end(self) -> subprocess.CompletedProcess[str]:
        """Runs a server that must give up by itself, and what it said."""
        return subprocess.run(
            self.command(),
            cwd=REPO,
            env=clean_environment() | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    def _serves(self, endpoints_file: Path) -> bool:
        if self.process.poll() is not None:
            code = self.process.returncode
            raise SystemExit(f"lakeport serve ended with {code}:\n{self.log_tail()}")
        self.endpoints = json.loads(endpoints_file.read_text())
        return requests.get(f"{self.http}/healthz", timeout=5).status_code == 200

    def log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-60:])

    def stop(self) -> int:
        """SIGTERM, and the exit code; afterwards nothing of it may be left running."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=120)
        eventually(lambda: processes.inside(self.data_dir), "nothing left", until=lambda p: not p)
        return code

    def kill9(self) -> None:
        """Ends the server alone, with no chance to tidy up: its databases run on."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> "Server":
        if self.process.poll() is None:
            self.stop()
        return self.start()

    def close(self) -> None:
        """Stops what still runs and removes every file; raises if that was not a clean end."""
        try:
            if self.process is not None and self.process.poll() is None:
                code = self.stop()
                assert code == 0, f"lakeport serve ended with {code} after SIGTERM"
            left = processes.inside(self.data_dir)
            assert not left, f"left running: {left}"
        finally:
            # Only after a failure: what a killed server of this directory left behind.
            for pid in processes.inside(self.data_dir):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.home, ignore_errors=True)


@contextlib.contextmanager
def configured(folder: Path, text: str, *flags: str, **environment: str) -> Iterator[Server]:
    """A running server with this configuration file, which nobody else reads."""
    config = folder / "lakeport.toml"
    config.write_text(text)
    config.chmod(0o600)
    running = Server("--config", str(config), *flags, **environment)
    try:
        yield running.start()
    finally:
        running.close()
