"""Where the peers keep their files, and the user that they run as: PostgreSQL refuses to be root.

Owns the temporary directory, which is removed at the end. Never touches processes.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

# The users that `lakeport serve` takes too when it is root.
CANDIDATES = ("lakeport", "postgres", "nobody")


class Home:
    """A directory on the disk that the measured server uses too."""

    def __init__(self) -> None:
        self.owner = unprivileged() if os.geteuid() == 0 else None
        self.path = Path(tempfile.mkdtemp(prefix="lakeport-bench-", dir="/tmp")).resolve()
        self.path.chmod(0o711 if self.owner else 0o700)

    def folder(self, name: str) -> Path:
        """A folder of the peers' user, which nobody else can enter."""
        path = self.path / name
        path.mkdir(mode=0o700)
        return self.own(path)

    def write(self, path: Path, text: str) -> Path:
        path.write_text(text)
        path.chmod(0o600)
        return self.own(path)

    def own(self, path: Path) -> Path:
        if self.owner:
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)
        return path

    def run(self, *command: object) -> None:
        """Runs a program as the peers' user, to its end."""
        done = subprocess.run(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **self.as_owner(),
        )
        if done.returncode:
            raise SystemExit(f"{command[0]} ended with {done.returncode}:\n{done.stdout}")

    def as_owner(self) -> dict[str, Any]:
        """Arguments for `subprocess`."""
        plain = {"cwd": "/", "env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}}
        if self.owner is None:
            return plain
        return plain | {
            "user": self.owner.pw_uid,
            "group": self.owner.pw_gid,
            "extra_groups": [],
        }

    def within_reach(self, root: Path) -> Path:
        """A tree of programs, copied if the peers' user cannot get to it."""
        try:
            self.run(root / "bin" / "postgres", "--version")
        except (SystemExit, OSError):
            copy = self.path / f"programs-{root.name}"
            shutil.copytree(root, copy, symlinks=True)
            return copy
        return root

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def unprivileged() -> pwd.struct_passwd:
    for name in CANDIDATES:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise SystemExit(f"started as root, and none of the users {', '.join(CANDIDATES)} exists")
