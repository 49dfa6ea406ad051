"""How much is measured: enough for a spread, within twenty minutes for all of it."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Counts, and seconds of each pgbench run."""

    creations: int = 20
    starts: int = 10
    scale: int = 10
    # Many and short: with one client, a virtual machine falls into one of several speeds, depending
    # on whether the processors sleep between two messages, and stays there for seconds.
    throughput_rounds: int = 9
    throughput_seconds: int = 3
    connection_rounds: int = 5
    connection_seconds: int = 3
    snapshot_rounds: int = 5
    snapshot_rows: int = 1_000_000
    catalog_tables: int = 10_000
    change_rounds: int = 5
    commits: int = 30
    commit_rows: int = 1_000
    idle_seconds: int = 10


QUICK = Plan(
    creations=3,
    starts=3,
    scale=1,
    throughput_rounds=2,
    throughput_seconds=2,
    connection_rounds=2,
    connection_seconds=2,
    snapshot_rounds=2,
    snapshot_rows=50_000,
    catalog_tables=200,
    change_rounds=2,
    commits=4,
    idle_seconds=2,
)


def is_quick() -> bool:
    """Whether this run only shows that the benchmarks work; its figures mean nothing."""
    return os.environ.get("BENCH_QUICK", "") not in ("", "0")


def chosen() -> Plan:
    return QUICK if is_quick() else Plan()
