"""What the figures were taken on and with."""

import os
import platform
import subprocess
from pathlib import Path

from bench import pgbouncer
from bench.plan import is_quick


def facts(lakeport: Path) -> dict[str, str]:
    found = {
        "Machine": f"{os.cpu_count()} × {processor()}, {memory()}, Linux {platform.release()}",
        "Lakeport": first_line(lakeport, "--version"),
    }
    if program := pgbouncer.program():
        found["PgBouncer"] = pgbouncer.version(program)
    found["Load before the run"] = f"{os.getloadavg()[0]:.2f}"
    if is_quick():
        found["Length"] = "quick: it shows that the benchmarks work, and nothing else"
    return found


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{pages / 2**30:.0f} GiB"


def first_line(*command: object) -> str:
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout.partition("\n")[0] if done.returncode == 0 else "unknown"
