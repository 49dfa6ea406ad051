"""PostgreSQL passwords that are always live tokens.

Owns when a token is renewed. Never how it is used. One renewal runs at a time, in a thread of its own: whoever
asks meanwhile gets the old token at once, as long as it is good.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

# What a token is good for at most, and at least, whatever the two sides' clocks make of its end.
_LONGEST, _SHORTEST = 3600.0, 60.0

# After a renewal that failed, the next one begins this many seconds later, while the old token is good.
_RETRY_AFTER = 30.0

_log = logging.getLogger(__name__)


class TokenProvider:
    """A callable that returns a token for one or several instances.

    A token is used again until a quarter of its life is left. Then a thread of its own renews it, a
    little earlier by chance, so that many processes do not do so in one second. Nobody waits for that,
    and while the server cannot be asked, the old token is used for as long as it is good. Safe to share
    between threads.
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
        # The renewal that runs now, and the process that it runs in: no thread survives a fork.
        self._renewal: Future[str] | None = None
        self._renewal_pid = 0

    def __call__(self) -> str:
        token, renewal = self._good_token()
        return renewal.result() if renewal else token

    async def get(self) -> str:
        """The same for coroutines; waiting for the server does not stop the event loop."""
        token, renewal = self._good_token()
        return await asyncio.wrap_future(renewal) if renewal else token

    def forget(self) -> None:
        """The next call asks for a new token."""
        with self._lock:
            self._renew_at = self._ends_at = 0.0

    def _good_token(self) -> tuple[str, Future[str] | None]:
        """A token that is good, or the renewal that brings one."""
        with self._lock:
            now = time.monotonic()
            if now < self._renew_at:
                return self._token, None
            renewal = self._begin_renewal()
            return (self._token, None) if now < self._ends_at else ("", renewal)

    def _begin_renewal(self) -> Future[str]:
        """The renewal that runs, or a new one. The caller holds the lock."""
        if self._renewal and self._renewal_pid == os.getpid():
            return self._renewal
        renewal: Future[str] = Future()
        # A caller that is cancelled must not cancel it for the others.
        renewal.set_running_or_notify_cancel()
        thread = threading.Thread(
            target=self._renew, args=(renewal,), name="lakeport-token", daemon=True
        )
        thread.start()
        self._renewal, self._renewal_pid = renewal, os.getpid()
        return renewal

    def _renew(self, renewal: Future[str]) -> None:
        try:
            token, lives = self._mint()
        except BaseException as error:  # Whatever it is, it goes to those who wait.
            self._postpone(error)
            renewal.set_exception(error)
            return
        with self._lock:
            now = time.monotonic()
            self._token, self._renewal = token, None
            self._renew_at = now + lives * random.uniform(0.65, 0.75)
            self._ends_at = now + lives
        renewal.set_result(token)

    def _mint(self) -> tuple[str, float]:
        """A fresh token, and for how many seconds it is good."""
        credential = self._workspace.database.generate_database_credential(
            request_id=str(uuid.uuid4()), instance_names=self._names
        )
        if not credential.token:
            raise RuntimeError(f"the server gave no token for {', '.join(self._names)}")
        return credential.token, _lives(credential.expiration_time)

    def _postpone(self, error: BaseException) -> None:
        with self._lock:
            self._renewal = None
            now = time.monotonic()
            if now < self._ends_at:
                _log.warning("the token could not be renewed yet: %s", error)
                self._renew_at = min(now + _RETRY_AFTER, self._ends_at)

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
