"""Figures: runs of each contestant, taken in turns, and what they say of each other."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """What one contestant reached, run by run."""

    who: str
    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.values), max(self.values)


@dataclass(frozen=True)
class Bound:
    """What is wanted of a ratio, or of a median where there is no peer."""

    limit: float
    at_least: bool

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


def at_least(limit: float) -> Bound:
    return Bound(limit, at_least=True)


def at_most(limit: float) -> Bound:
    return Bound(limit, at_least=False)


@dataclass(frozen=True)
class Figure:
    """One line of the results: ours, the peer's, and how they compare."""

    what: str
    unit: str
    ours: Series
    peer: Series | None = None
    wanted: Bound | None = None

    @property
    def ratios(self) -> Series | None:
        """Ours to the peer's, round by round. Runs of one round are neighbours in time, so that a
        machine which is faster or slower for a while does not show in their ratio."""
        if self.peer is None:
            return None
        rounds = zip(self.ours.values, self.peer.values, strict=True)
        return Series("ratio", [ours / peer for ours, peer in rounds])

    @property
    def is_met(self) -> bool | None:
        if self.wanted is None:
            return None
        return self.wanted.is_met((self.ratios or self.ours).median)


def in_turns(rounds: int, contestants: dict[str, Callable[[], float]]) -> dict[str, Series]:
    """Runs every contestant once a round. Each round begins with another one, so that none always
    follows the same neighbour."""
    names = list(contestants)
    values: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            values[name].append(contestants[name]())
    return {name: Series(name, found) for name, found in values.items()}
