"""Replays what official tools send, as it was recorded, and compares the answers with what the tools need.

A conversation is a file of JSON lines. The first says what it is, each of the others is one request:

    {"send": "GET /api/…/<instance>", "body": …, "status": 200, "until": {…}, "wants": {…}}

`<name>` stands for a value: in a request for a new name the first time, in `wants` for what the server answers the
first time, and from then on for the same value. `until` sends the request again until the answer holds it. `wants`
names the fields that the tool compares: each must be equal, null must be absent, and lists have no order.
"""

import copy
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from kit.api import Api
from kit.names import unique
from kit.waiting import eventually

FOLDER = Path(__file__).resolve().parents[1] / "conversations"
PLACEHOLDER = re.compile(r"<([a-z-]+)>")


class Differs(AssertionError):
    """An answer that the tool would not have gone on with."""


@dataclass
class Replay:
    """One run of a conversation; `values` are those of its placeholders."""

    api: Api
    values: dict[str, str] = field(default_factory=dict)

    def run(self, file: Path) -> None:
        _, *requests = [json.loads(line) for line in file.read_text().splitlines()]
        for number, request in enumerate(requests, start=2):
            try:
                self.one(request)
            except Differs as difference:
                raise AssertionError(f"{file.name}:{number}: {request['send']}: {difference}") from None

    def one(self, request: dict[str, Any]) -> None:
        method, target = self.filled(request["send"]).split(" ", 1)
        path, _, query = target.partition("?")
        body = self.filled(request.get("body"))

        def answer() -> Any:
            got = self.api.send(method, path, body, **dict(parse_qsl(query)))
            if got.status_code != request["status"]:
                raise Differs(f"{got.status_code} instead of {request['status']}: {got.text}")
            return got.json() if got.content else {}

        if until := request.get("until"):
            what = f"the answer to {method} {path} holds {until}"
            seen = eventually(answer, what, until=lambda got: not self.differences(until, got))
        else:
            seen = answer()
        if found := self.differences(request.get("wants", {}), seen):
            raise Differs("; ".join(found))

    def filled(self, value: Any) -> Any:
        """The value with names in place of its placeholders."""
        if isinstance(value, str):
            return PLACEHOLDER.sub(lambda found: self.value(found[1]), value)
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, dict):
            return {name: self.filled(item) for name, item in value.items()}
        return value

    def value(self, placeholder: str) -> str:
        return self.values.setdefault(placeholder, unique(placeholder[0]))

    def differences(self, wanted: Any, seen: Any, place: str = "") -> list[str]:
        """What is not as it is wanted, by name."""
        if isinstance(wanted, dict) and isinstance(seen, dict):
            found = [
                self.differences(item, seen.get(name), f"{place}.{name}".lstrip("."))
                for name, item in wanted.items()
            ]
            return [difference for differences in found for difference in differences]
        if isinstance(wanted, list) and isinstance(seen, list):
            return self.differences_of_lists(wanted, seen, place)
        if isinstance(wanted, str) and isinstance(seen, str):
            whole = PLACEHOLDER.fullmatch(wanted)
            if whole and whole[1] not in self.values:
                self.values[whole[1]] = seen
            wanted = self.filled(wanted)
        if wanted == seen and type(wanted) is type(seen):
            return []
        return [f"{place} is {seen!r} instead of {wanted!r}"]

    def differences_of_lists(self, wanted: list[Any], seen: list[Any], place: str) -> list[str]:
        left = list(seen)
        for item in wanted:
            for candidate in left:
                trial = Replay(self.api, copy.copy(self.values))
                if trial.differences(item, candidate) == []:
                    self.values = trial.values
                    left.remove(candidate)
                    break
            else:
                return [f"{place} lacks {self.filled(item)!r}: {seen!r}"]
        return [f"{place} has too much: {left!r}"] if left else []
