"""PostgreSQL passwords that are always live tokens.

Owns when a token is renewed. Never how it is used.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

# What a token is good for at most, and at least, whatever the two sides' clocks make of its end.
_LONGEST, _SHORTEST = 3600.0, 60.0


class TokenProvider:
    """A callable that returns a token for one or several instances.

    A token is used again until a quarter of its life is left. Then the next caller renews it, a
    little earlier by chance, so that many processes do not do so in one second. While the server
    cannot be asked, the old one is used for as long as it is good. Safe to share between threads.
    """

    def __init__(
        self, instance_names: str | Sequence[str], workspace: WorkspaceClient | None = None
    ) -> None:
        names = [instance_names] if isinstance(instance_names, str) else list(instance_names)
        if not names:
            raise ValueError("instance_names: at least one instance must be named")
        self._names = names
        self._workspace = workspace or _default_workspace()
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = self._ends_at = 0.0

    def __call__(self) -> str:
        with self._lock:
            if time.monotonic() >= self._renew_at:
                self._renew()
            return self._token

    async def get(self) -> str:
        """The same for coroutines; asking the server does not stop the event loop."""
        if time.monotonic() < self._renew_at:
            return self._token
        return await asyncio.to_thread(self)

    def forget(self) -> None:
        """The next call asks for a new token."""
        with self._lock:
            self._renew_at = self._ends_at = 0.0

    def _renew(self) -> None:
        try:
            credential = self._workspace.database.generate_database_credential(
                request_id=str(uuid.uuid4()), instance_names=self._names
            )
        except Exception:
            if time.monotonic() < self._ends_at:
                return
            raise
        if not credential.token:
            raise RuntimeError(f"the server gave no token for {', '.join(self._names)}")
        lives = _lives(credential.expiration_time)
        now = time.monotonic()
        self._token = credential.token
        self._renew_at = now + lives * random.uniform(0.65, 0.75)
        self._ends_at = now + lives

    def __repr__(self) -> str:
        return f"TokenProvider({self._names!r})"


def _lives(expiration_time: str | None) -> float:
    if not expiration_time:
        return _SHORTEST
    # Python before 3.11 reads neither "Z" nor more than six digits of a second.
    text = re.sub(r"(\.\d{6})\d+", r"\1", expiration_time).replace("Z", "+00:00")
    left = (datetime.fromisoformat(text) - datetime.now(timezone.utc)).total_seconds()
    return min(max(left, _SHORTEST), _LONGEST)


def _default_workspace() -> WorkspaceClient:
    from lakeport.workspace import WorkspaceClient

    return WorkspaceClient()
