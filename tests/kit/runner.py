"""Runs apps and models with `lakeport`, as a developer does in a terminal."""

import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import requests

from kit.server import REPO, Server, binary, clean_environment
from kit.waiting import eventually

PACKAGES = REPO / "target" / "clients" / "node" / "node_modules"


class Runner:
    """One `lakeport …` that runs, and the process below it."""

    @classmethod
    def of_app(cls, server: Server, log: Path, name: str, *arguments: str, venv: str) -> "Runner":
        return cls(server, log, name, "apps", "run", name, "--port", "0", *arguments, venv=venv)

    def __init__(
        self,
        server: Server,
        log: Path,
        name: str,
        *arguments: str,
        venv: str,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        environment = clean_environment()
        environment |= {
            "PATH": f"{REPO / 'target' / 'venv' / venv / 'bin'}:{environment['PATH']}",
            "NODE_PATH": str(PACKAGES),
            "PYTHONUNBUFFERED": "1",
            "DATABRICKS_CONFIG_FILE": str(server.config_file),
        }
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [binary(), *arguments],
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, pattern: str) -> str:
        """The first group of the pattern, once the run's output holds it."""

        def look() -> str | None:
            found = re.search(pattern, self.text)
            if found is None and self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended with {self.process.returncode}:\n{self.text}")
            return found and found.group(found.lastindex or 0)

        return eventually(look, f"{self.name} says {pattern}", until=bool)

    def url(self) -> str:
        return self.says(r"is up: (http://\S+)")

    def visit(self) -> dict[str, Any]:
        answer = requests.get(self.url(), timeout=60)
        assert answer.status_code == 200, f"{answer.text}\n{self.text}"
        return answer.json()

    def ends(self) -> int:
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self.name} runs on:\n{self.text}") from error

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.ends()

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
