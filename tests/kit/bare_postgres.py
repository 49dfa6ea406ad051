"""A PostgreSQL server that Lakeport does not manage, reached over its unix socket."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from kit.server import REPO
from kit.waiting import eventually

# Whoever `lakeport serve` becomes too when it is root: PostgreSQL refuses to be.
UNPRIVILEGED = ("lakeport", "postgres", "nobody")


@contextmanager
def bare_postgres(major: int = 16, *initdb_options: str) -> Iterator[str]:
    """The connection string of its database `postgres`, as its superuser."""
    home = Path(tempfile.mkdtemp(prefix="lakeport-test-pg-", dir="/tmp")).resolve()
    server = None
    try:
        user = unprivileged_user()
        own(home, user)
        programs = within_reach(home, tree(major)) / "bin"
        initdb = [programs / "initdb", "-D", home / "data", "-U", "admin", "-A", "trust", "-E", "UTF8"]
        initdb += initdb_options
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, timeout=120, **user)
        server = subprocess.Popen(
            [programs / "postgres", "-D", home / "data", "-k", home, "-h", "", "-c", "fsync=off"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **user,
        )
        url = f"postgresql://admin@/postgres?host={home}"
        eventually(lambda: psycopg.connect(url).close() or True, "the bare server answers")
        yield url
    finally:
        if server:
            server.send_signal(signal.SIGQUIT)
            server.wait(timeout=60)
        shutil.rmtree(home)


def tree(major: int) -> Path:
    """Where `lakeport serve` finds this version."""
    installed = REPO / "target/postgres" / str(major)
    return installed if installed.exists() else Path("/usr/lib/postgresql") / str(major)


def unprivileged_user() -> dict[str, Any]:
    """Arguments for `subprocess`."""
    if os.geteuid() != 0:
        return {"cwd": "/"}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next(known[name] for name in UNPRIVILEGED if name in known)
    return {"cwd": "/", "user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def own(path: Path, user: dict[str, Any]) -> None:
    if "user" in user:
        os.chown(path, user["user"], user["group"])


def within_reach(home: Path, root: Path) -> Path:
    """A copy of the programs if they lie where only root gets to."""
    if os.geteuid() != 0 or root.is_relative_to("/usr"):
        return root
    copy = home / "programs"
    shutil.copytree(root.resolve(), copy, symlinks=True)
    return copy
