"""Lakeport as it is measured: what a client does, over REST and through the gateway."""

import os
import time
from pathlib import Path
from typing import Any

from bench.clock import soon
from kit import processes
from kit.api import INSTANCES, Api
from kit.login import Login
from kit.server import Server

# Longer than the server waits between two looks at its pool of prepared clusters.
QUIET_SECONDS = 0.7
QUIET_LIMIT = 30


class Lakeport:
    """A running server, and its administrator as the client."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.api = Api(server.http, server.token)
        self.user = self.api.user_name()

    def create(self, name: str, **spec: Any) -> None:
        self.api.create_instance(name, **spec)

    def set_stopped(self, name: str, stopped: bool) -> None:
        body = {"stopped": stopped}
        self.api.ok("PATCH", f"{INSTANCES}/{name}", body, update_mask="stopped")

    def until(self, name: str, state: str) -> dict[str, Any]:
        return soon(
            lambda: self.api.instance(name),
            f"instance {name} is {state}",
            until=lambda seen: seen["state"] == state,
        )

    def delete(self, name: str) -> None:
        self.api.delete_instance(name)

    def login(self, instance: dict[str, Any]) -> Login:
        """A login with a fresh token."""
        token = self.api.credential(instance["name"])
        return Login(instance["read_write_dns"], self.user, token)

    def first_query(self, name: str) -> None:
        """All that stands between a call and an answer: waiting, a token, a connection."""
        instance = self.until(name, "AVAILABLE")
        assert self.login(instance).value("SELECT 1") == 1

    # --- Its processes ----------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self.server.process.pid

    def settle(self) -> None:
        """Waits until it does nothing in the background, such as preparing clusters ahead, and what
        was written is on the disk: whatever is measured next, ours or the peer's, has the machine
        to itself."""
        end = time.monotonic() + QUIET_LIMIT
        while time.monotonic() < end:
            before = self._ticks()
            time.sleep(QUIET_SECONDS)
            if self._ticks() - before <= 2 and not self._tools():
                break
        os.sync()

    def _ticks(self) -> int:
        """Processor time of the server and of the tools that it ran."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))

    def _tools(self) -> list[str]:
        """Children that are not database servers."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if processes.parent(int(entry.name)) != self.pid:
                    continue
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except (OSError, ValueError):
                continue  # It ended.
            if os.path.basename(command[0]) != b"postgres" or b"--single" in command:
                found.append(repr(command))
        return found
