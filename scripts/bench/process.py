"""A process of a peer: started, and ended by its own id."""

import signal
import subprocess
from pathlib import Path

from bench.home import Home

PATIENCE = 30


class Process:
    def __init__(self, home: Home, log: Path, *command: object) -> None:
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # A Ctrl-C is ours to handle.
                **home.as_owner(),
            )

    def must_live(self) -> None:
        if (code := self._child.poll()) is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
            raise SystemExit(f"{self._child.args[0]} ended with {code}:\n{tail}")

    def stop(self, how: signal.Signals) -> None:
        if self._child.poll() is not None:
            return
        self._child.send_signal(how)
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
