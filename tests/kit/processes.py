"""What /proc says of the processes of a server. Never signals anything."""

import os
from pathlib import Path


def parent(pid: int) -> int:
    """The parent of a process: for a PostgreSQL backend, its postmaster."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("PPid:"):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status names no parent")


def inside(folder: Path) -> dict[int, str]:
    """The processes that work in `folder` or below it, as every PostgreSQL process does."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            cwd = Path(os.readlink(entry / "cwd").removesuffix(" (deleted)"))
            if cwd.is_relative_to(folder):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(entry.name)] = f"{cwd}: {command.strip()}"
        except OSError:
            continue  # It ended, or it is not ours to look at.
    return found
