"""Finding the `lakeport` program, and being it.

Owns the search: $LAKEPORT_BIN, the one that the wheel carries, the one on PATH.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

CARRIED = Path(__file__).parent / "bin" / "lakeport"


def find() -> Path:
    """The program. Raises FileNotFoundError with what to do."""
    explicit = os.environ.get("LAKEPORT_BIN")
    if explicit:
        path = Path(explicit)
        if not os.access(path, os.X_OK):
            raise FileNotFoundError(f"LAKEPORT_BIN: {path} is not a program")
        return path
    if CARRIED.exists():
        return _executable(CARRIED)
    for directory in os.get_exec_path():
        found = shutil.which("lakeport", path=directory)
        if found and not _is_script(Path(found)):
            return Path(found)
    raise FileNotFoundError(
        "the lakeport program is not installed: this wheel does not carry it. "
        "Put it on PATH, or name it in LAKEPORT_BIN"
    )


def main() -> None:
    """The console script: the program itself, in this process's place."""
    try:
        program = find()
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    os.execv(program, ["lakeport", *sys.argv[1:]])


def _executable(path: Path) -> Path:
    """Installers do not keep the mode of every file."""
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return path


def _is_script(path: Path) -> bool:
    """This package's own console script, which must not find itself."""
    with path.open("rb") as file:
        return file.read(2) == b"#!"
