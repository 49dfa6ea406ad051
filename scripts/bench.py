"""Measures Lakeport, each figure beside a peer in the same run.

    make bench                     all of it, within twenty minutes
    scripts/bench.py gateway …     parts of it, with the Python of target/venv/kit
    BENCH_QUICK=1 …                short, only to see that it works

Takes the release binary, or LAKEPORT_BIN. Prints a table, and writes it to target/bench/results.md
and results.json. Starts everything in temporary directories and leaves nothing behind. Nothing else
should run meanwhile.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
TARGET = REPO / os.environ.get("CARGO_TARGET_DIR", "target")
sys.path.insert(0, str(REPO / "tests"))
# The test kit would take the debug build.
os.environ.setdefault("LAKEPORT_BIN", str(TARGET / "release" / "lakeport"))

from bench import changes, gateway, load, machine, memory, readiness, snapshot, unity  # noqa: E402
from bench.home import Home  # noqa: E402
from bench.lakeport import Lakeport  # noqa: E402
from bench.plan import chosen  # noqa: E402
from bench.report import Report  # noqa: E402
from kit.server import Server, binary  # noqa: E402

# Idle memory comes first: it is that of a server which has done nothing yet.
PARTS = {
    "memory": lambda lakeport, home, plan, report: memory.measure(lakeport, plan, report),
    "readiness": readiness.measure,
    "gateway": gateway.measure,
    "snapshot": snapshot.measure,
    "load": load.measure,
    "changes": changes.measure,
    "unity": unity.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}")
    wanted = parser.parse_args().parts or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"{', '.join(unknown)}: there is only {', '.join(PARTS)}")
    if not binary().exists():
        sys.exit(f"{binary()} is missing: run `make bench`, or set LAKEPORT_BIN")
    # Whoever ends it early still gets everything stopped and removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended early"))

    begun = time.monotonic()
    report = Report(machine.facts(binary()))
    run([name for name in PARTS if name in wanted], report)
    report.facts["Took"] = f"{time.monotonic() - begun:.0f} s"
    report.write(REPO / "target" / "bench")
    print(f"\n{report.markdown()}")


def run(parts: list[str], report: Report) -> None:
    plan, home, server = chosen(), Home(), Server()
    try:
        lakeport = Lakeport(server.start())
        for name in parts:
            print(f"{name}:", flush=True)
            PARTS[name](lakeport, home, plan, report)
    except Exception:
        # It goes away with the server's directory.
        print(f"the end of the server's log:\n{server.log_tail()}", file=sys.stderr)
        raise
    finally:
        try:
            server.close()
        finally:
            home.close()


if __name__ == "__main__":
    main()
