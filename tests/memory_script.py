"""The memory classes of Databricks' agent libraries at work, unchanged; run by test_memory.py.

    memory_script.py INSTANCE SCHEMA

Who works is said by the SDK's own environment; SCHEMA may be empty, which is `public`. Each part sets
its tables up twice, writes, has every session of its role killed, and finds again what it wrote.
Prints the name of each part that worked.
"""

import asyncio
import contextlib
import hashlib
import io
import math
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypedDict

import psycopg
import sqlalchemy.exc
from databricks.sdk import WorkspaceClient

INSTANCE, SCHEMA = sys.argv[1:]
PLACE = {"instance_name": INSTANCE, "schema": SCHEMA or None}
BROKEN = (psycopg.OperationalError, sqlalchemy.exc.DBAPIError)
# A pool may hold as many dead connections as it had open ones.
ATTEMPTS = 10
DIMENSIONS = 16


# --- What all parts share -------------------------------------------------------------------------


def kill_sessions() -> None:
    """Ends every session of this role but the one that does it."""
    w = WorkspaceClient()
    credential = w.database.generate_database_credential(
        request_id=str(uuid.uuid4()), instance_names=[INSTANCE]
    )
    with psycopg.connect(
        host=w.database.get_database_instance(INSTANCE).read_write_dns,
        dbname="databricks_postgres",
        user=w.current_user.me().user_name,
        password=credential.token,
        sslmode="require",
        autocommit=True,
    ) as connection:
        killed = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE usename = current_user AND pid <> pg_backend_pid()"
        ).fetchall()
    assert killed and all(done for (done,) in killed), killed


def healed(work: Callable[[], Any]) -> Any:
    """What `work` gives once its pool has met all of its dead connections."""
    for _ in range(ATTEMPTS):
        try:
            return work()
        except BROKEN as error:
            last = error
    raise last


async def ahealed(work: Callable[[], Awaitable[Any]]) -> Any:
    for _ in range(ATTEMPTS):
        try:
            return await work()
        except BROKEN as error:
            last = error
    raise last


class WordEmbeddings:
    """Vectors of a text's words, the same in every run: texts that share words are near."""

    def vector(self, text: str) -> list[float]:
        sums = [0.0] * DIMENSIONS
        for word in text.lower().split():
            sums[hashlib.sha256(word.encode()).digest()[0] % DIMENSIONS] += 1
        length = math.sqrt(sum(value * value for value in sums)) or 1.0
        return [value / length for value in sums]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.vector(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        return self.embed_query(text)


def embeddings() -> Any:
    from langchain_core.embeddings import Embeddings

    return type("Words", (WordEmbeddings, Embeddings), {})()


# --- What the guide shows -------------------------------------------------------------------------


def guide() -> None:
    text = (Path(__file__).parents[1] / "docs" / "memory.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(code.replace("my-instance", INSTANCE), {})  # noqa: S102 - it is our own
    assert shown.getvalue() == "loves spicy noodles\n", shown.getvalue()


# --- Short-term memory: a graph's checkpoints -----------------------------------------------------


class Talk(TypedDict):
    turns: int


def graph(saver: Any) -> Any:
    from langgraph.graph import END, START, StateGraph

    builder = StateGraph(Talk)
    builder.add_node("turn", lambda talk: {"turns": talk["turns"] + 1})
    builder.add_edge(START, "turn")
    builder.add_edge("turn", END)
    return builder.compile(checkpointer=saver)


def checkpoints() -> None:
    from databricks_langchain import CheckpointSaver

    thread = {"configurable": {"thread_id": str(uuid.uuid4())}}
    with CheckpointSaver(**PLACE) as saver:
        saver.setup()
        saver.setup()
        talk = graph(saver)
        assert talk.invoke({"turns": 0}, thread)["turns"] == 1
        kill_sessions()
        assert healed(lambda: talk.get_state(thread)).values == {"turns": 1}
        assert talk.invoke({"turns": 1}, thread)["turns"] == 2
        assert len(list(saver.list(thread))) == 6
    with CheckpointSaver(**PLACE) as saver:
        assert graph(saver).get_state(thread).values == {"turns": 2}
        saver.delete_thread(thread["configurable"]["thread_id"])
        assert saver.get_tuple(thread) is None


async def async_checkpoints() -> None:
    from databricks_langchain import AsyncCheckpointSaver

    thread = {"configurable": {"thread_id": str(uuid.uuid4())}}
    async with AsyncCheckpointSaver(**PLACE) as saver:
        await saver.setup()
        await saver.setup()
        talk = graph(saver)
        assert (await talk.ainvoke({"turns": 0}, thread))["turns"] == 1
        kill_sessions()
        state = await ahealed(lambda: talk.aget_state(thread))
        assert state.values == {"turns": 1}
        assert (await talk.ainvoke({"turns": 1}, thread))["turns"] == 2
        assert len([found async for found in saver.alist(thread)]) == 6


# --- Long-term memory: a store with semantic search -----------------------------------------------

def search_options() -> dict[str, Any]:
    return {
        "embeddings": embeddings(),
        "embedding_dims": DIMENSIONS,
        "embedding_fields": ["text"],
    }


FACTS = {
    "food": {"text": "loves spicy noodles"},
    "home": {"text": "lives near the harbour"},
    "work": {"text": "builds small sailing boats"},
}


def store() -> None:
    from databricks_langchain import DatabricksStore

    users = ("users", str(uuid.uuid4()))
    options = search_options()
    memory = DatabricksStore(**PLACE, **options)
    memory.setup()
    memory.setup()
    for key, fact in FACTS.items():
        memory.put(users, key, fact)
    kill_sessions()
    assert healed(lambda: memory.get(users, "food")).value == FACTS["food"]
    found = memory.search(users, query="the harbour", limit=1)
    assert [item.key for item in found] == ["home"], found
    assert found[0].score > 0.5
    assert len(memory.search(users)) == 3
    assert memory.list_namespaces(prefix=users) == [users]
    memory.delete(users, "food")
    assert memory.get(users, "food") is None


async def async_store() -> None:
    from databricks_langchain import AsyncDatabricksStore

    users = ("users", str(uuid.uuid4()))
    options = search_options()
    async with AsyncDatabricksStore(**PLACE, **options) as memory:
        await memory.setup()
        await memory.setup()
        for key, fact in FACTS.items():
            await memory.aput(users, key, fact)
        kill_sessions()
        item = await ahealed(lambda: memory.aget(users, "food"))
        assert item.value == FACTS["food"]
        found = await memory.asearch(users, query="sailing boats", limit=1)
        assert [item.key for item in found] == ["work"], found
        await memory.adelete(users, "food")
        assert await memory.aget(users, "food") is None


# --- A session of the OpenAI agents' library ------------------------------------------------------


async def session() -> None:
    from databricks_openai.agents import AsyncDatabricksSession

    said = [{"role": "user", "content": f"message {number}"} for number in range(3)]
    name = str(uuid.uuid4())
    talk = AsyncDatabricksSession(name, **PLACE)
    await talk.add_items(said)
    kill_sessions()
    assert await ahealed(talk.get_items) == said
    again = AsyncDatabricksSession(name, **PLACE, use_cached_engine=False)
    assert await again.get_items(limit=2) == said[1:]
    assert await again.pop_item() == said[2]
    assert await talk.get_items() == said[:2]
    await talk.clear_session()
    assert await again.get_items() == []


# --- The agent server whose answers outlive their request -----------------------------------------


def agent_server() -> None:
    import mlflow
    from databricks_ai_bridge.long_running import LongRunningAgentServer
    from fastapi.testclient import TestClient
    from mlflow.genai.agent_server import invoke

    mlflow.set_tracking_uri(f"sqlite:///{tempfile.mkdtemp()}/mlflow.db")

    @invoke()
    def answer(request: Any) -> dict[str, Any]:
        part = {"type": "output_text", "text": "an answer", "annotations": []}
        message = {"type": "message", "id": "1", "role": "assistant", "content": [part]}
        return {"output": [message | {"status": "completed"}]}

    question = {"input": [{"role": "user", "content": "a question"}], "background": True}
    # The second one finds the tables of the first.
    for _ in range(2):
        server = LongRunningAgentServer(db_instance_name=INSTANCE)
        with TestClient(server.app) as client:
            response = client.post("/responses", json=question)
            assert response.status_code == 200, response.text
            finished = completed(client, response.json()["id"])
            assert finished["output"][0]["content"][0]["text"] == "an answer", finished
            kill_sessions()
            # It looks before it uses a connection, so that nobody notices.
            assert completed(client, response.json()["id"])["output"] == finished["output"]


def completed(client: Any, response_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = client.get(f"/responses/{response_id}")
        assert answer.status_code == 200, answer.text
        if answer.json()["status"] != "in_progress":
            assert answer.json()["status"] == "completed", answer.text
            return answer.json()
        time.sleep(0.05)
    raise AssertionError(f"{response_id} does not end")


PARTS: dict[str, Callable[[], Any]] = {
    "CheckpointSaver": checkpoints,
    "AsyncCheckpointSaver": async_checkpoints,
    "DatabricksStore": store,
    "AsyncDatabricksStore": async_store,
    "AsyncDatabricksSession": session,
    "LongRunningAgentServer": agent_server,
    # Its savers use `public`; its store finds the extension that a part above has put there.
    **({} if SCHEMA else {"guide": guide}),
}

if __name__ == "__main__":
    for name, part in PARTS.items():
        run = part()
        if asyncio.iscoroutine(run):
            asyncio.run(run)
        print(name, flush=True)
