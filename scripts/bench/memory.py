"""Memory of an idle `lakeport serve` that has no instances, and of its system cluster beside it."""

import time
from pathlib import Path

from bench.figures import Figure, Series, at_most
from bench.lakeport import Lakeport
from bench.plan import Plan
from bench.report import Report
from kit import processes

SAMPLES = 3


def measure(lakeport: Lakeport, plan: Plan, report: Report) -> None:
    """Before anything has been asked of the server."""
    lakeport.settle()
    time.sleep(plan.idle_seconds)
    cluster = [pid for pid in processes.inside(lakeport.server.data_dir) if pid != lakeport.pid]
    samples = []
    for _ in range(SAMPLES):
        own, beside = memory(lakeport.pid), [memory(pid) for pid in cluster]
        samples.append((own["Rss"], own["Pss"], sum(each["Pss"] for each in beside)))
        time.sleep(0.5)
    resident, proportional, system = (list(values) for values in zip(*samples, strict=True))
    what = "Idle `lakeport serve`"
    report.add(
        Figure(f"{what}, resident (RSS)", "MB", Series("Lakeport", resident), wanted=at_most(60)),
        Figure(
            f"{what}, proportional (PSS)",
            "MB",
            Series("Lakeport", proportional),
            Series("its system cluster", system),
        ),
    )


def memory(pid: int) -> dict[str, float]:
    """Megabytes of a process, by name as the kernel tells them."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, kilobytes, _ = line.split()
        found[name.rstrip(":")] = int(kilobytes) * 1024 / 1e6
    return found
