"""Runs the command line as people and scripts do."""

import atexit
import fcntl
import functools
import os
import pty
import select
import shutil
import struct
import subprocess
import tempfile
import termios
from pathlib import Path
from typing import Any

from kit.server import binary, clean_environment


@functools.cache
def bin_directory() -> str:
    """A folder for PATH with the binary under the name that people type."""
    folder = tempfile.mkdtemp(prefix="lakeport-bin-")
    atexit.register(shutil.rmtree, folder)
    os.symlink(binary().resolve(), f"{folder}/lakeport")
    return folder


class Cli:
    """The binary with a profile, and nothing else of the caller's settings."""

    def __init__(self, config_file: Path | str, **environment: str) -> None:
        self.environment = clean_environment()
        self.environment |= {"DATABRICKS_CONFIG_FILE": str(config_file)} | environment

    def __call__(
        self, *arguments: str, code: int = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(binary()), *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(binary()), *arguments],
            env=self.environment | options.pop("env", {}),
            stdin=subprocess.DEVNULL,
            text=True,
            **options,
        )

    def shell(self, script: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """A script for bash, with the binary on its PATH."""
        path = f"{bin_directory()}:{self.environment['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script],
            env=self.environment | {"PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def on_terminal(self, *arguments: str, columns: int = 80) -> tuple[int, str]:
        """Exit code, and everything that a terminal of so many columns was sent."""
        child, terminal = pty.fork()
        if child == 0:
            os.execve(str(binary()), ["lakeport", *arguments], self.environment)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        seen = b""
        while select.select([terminal], [], [], 60)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        return os.waitstatus_to_exitcode(status), seen.decode().replace("\r\n", "\n")
