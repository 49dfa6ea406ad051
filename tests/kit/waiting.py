"""Waiting for a state, with a deadline that only a hang reaches. Never asserts how fast."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    probe: Callable[[], T], what: str, until: Callable[[T], object] = bool, deadline: float = 90
) -> T:
    """The first result of `probe` that `until` accepts; an exception means not yet."""
    end = time.monotonic() + deadline
    pause = 0.02
    while True:
        try:
            seen = probe()
            if until(seen):
                return seen
        except Exception as error:  # noqa: BLE001 - shown below if it is the last thing seen
            seen = error
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline:.0f} s; last seen: {seen!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
