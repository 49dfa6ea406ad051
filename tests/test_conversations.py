"""What Terraform and bundles send, as it was recorded: a file in `conversations` is a test."""

from pathlib import Path

import pyarrow
import pytest

from kit.api import Api
from kit.conversations import FOLDER, Replay
from kit.delta import DeltaTables
from kit.synced import register

CONVERSATIONS = sorted(FOLDER.glob("*.jsonl"))


@pytest.fixture
def source(api: Api, catalog: str, delta: DeltaTables) -> str:
    name = f"{catalog}.{catalog}.orders"
    register(api, name, delta.write("orders", pyarrow.table({"id": [1, 2], "name": ["a", "b"]})))
    return name


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda file: file.stem)
def test_the_tool_gets_what_it_needs(
    api: Api, instance: dict, source: str, conversation: Path
) -> None:
    known = {"me": api.user_name(), "source": source, "shared-instance": instance["name"]}
    Replay(api, known).run(conversation)


def test_a_difference_is_found(api: Api) -> None:
    replay = Replay(api, {"a": "x"})
    seen = {"a": "x", "list": [{"k": 1}, {"k": 2}], "flag": False, "id": "7"}
    assert replay.differences({"a": "<a>", "list": [{"k": 2}, {"k": 1}], "gone": None}, seen) == []
    assert replay.differences({"id": "<b>"}, seen) == [] and replay.values["b"] == "7"
    for wanted in (
        {"a": "<b>"},
        {"flag": None},
        {"flag": 0},
        {"list": [{"k": 1}]},
        {"list": [{"k": 1}, {"k": 1}]},
        {"missing": ""},
    ):
        assert len(replay.differences(wanted, seen)) == 1, wanted
