"""Runs the first page of docs/instances.md again and again, each time on a server just started.

    python scripts/quick_start.py [TIMES]

Nothing here sleeps: what the page does not wait for, the server does. Needs the Python package's
requirements; LAKEPORT_BIN names the program.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "python/src"))

from lakeport import Server  # noqa: E402


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    text = (REPO / "docs/instances.md").read_text()
    page = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if page is None:
        sys.exit("docs/instances.md shows no Python")
    took = []
    for turn in range(1, times + 1):
        with Server() as server:
            environment = os.environ | {
                "DATABRICKS_CONFIG_FILE": str(server.config_file),
                "PYTHONPATH": str(REPO / "python/src"),
            }
            begun = time.monotonic()
            subprocess.run([sys.executable, "-c", page[1]], env=environment, check=True)
            took.append(time.monotonic() - begun)
            print(f"run {turn}: {took[-1]:.2f} s", flush=True)
    print(f"{times} runs, all of them to the end: {min(took):.2f} to {max(took):.2f} s")


if __name__ == "__main__":
    main()
