"""Timing, and waiting in steps so short that they do not show in what is timed."""

import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

STEP = 0.004


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def soon(
    probe: Callable[[], T],
    what: str,
    until: Callable[[T], object] = bool,
    retry: type[Exception] | tuple[type[Exception], ...] = (),
    limit: float = 120,
) -> T:
    """The first result that `until` accepts, asked for every few milliseconds. An exception of
    `retry` means not yet; any other ends the benchmark."""
    end = time.monotonic() + limit
    seen: object = None
    while time.monotonic() < end:
        try:
            seen = probe()
            if until(seen):
                return seen
        except retry as error:
            seen = error
        time.sleep(STEP)
    raise SystemExit(f"{what}: not within {limit:.0f} s; last seen: {seen!r}")


class Laps:
    """Seconds since the beginning, taken at each lap."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()

    def lap(self) -> float:
        return time.perf_counter() - self._begun
