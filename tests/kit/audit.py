"""What a server has written into its audit log."""

import json
from typing import Any

from kit.server import Server
from kit.waiting import eventually


def events(server: Server) -> list[dict[str, Any]]:
    text = (server.data_dir / "audit.log").read_text()
    return [json.loads(line) for line in text.splitlines()]


def event(server: Server, kind: str, **wanted: Any) -> dict[str, Any]:
    """The last event of a kind with these values, when it is there."""

    def found() -> list[dict[str, Any]]:
        return [e for e in events(server) if e["event"] == kind and wanted.items() <= e.items()]

    return eventually(found, f"{kind} with {wanted}")[-1]
