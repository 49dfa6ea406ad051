"""The official MCP client, 1.x or 2.x, over stdio and HTTP: lists, calls, is told of progress.

Run by the tests with the environment of that client: BINARY URL TOKEN INSTANCE.
"""

import asyncio
import sys
from importlib.metadata import version

BINARY, URL, TOKEN, INSTANCE = sys.argv[1:]
SECOND = version("mcp").startswith("2.")


async def use(session, check_progress: bool) -> None:
    tools = {tool.name for tool in (await session.list_tools()).tools}
    assert {"manage_lakebase_database", "manage_lakebase_sync", "lakebase_query"} <= tools, tools
    seen = await call(session, "manage_lakebase_database", action="get", name=INSTANCE)
    assert seen["state"] == "AVAILABLE", seen
    rows = await call(session, "lakebase_query", instance_name=INSTANCE, query="SELECT 6 * 7")
    assert rows["rows"] == [[42]], rows
    failed = await session.call_tool(
        "lakebase_query", {"instance_name": INSTANCE, "query": "DELETE FROM t"}
    )
    assert is_error(failed), failed
    steps: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    name = f"{INSTANCE}-{version('mcp').replace('.', '-')}-{'io' if check_progress else 'http'}"
    made = await session.call_tool(
        "manage_lakebase_database",
        {"action": "create_or_update", "name": name, "wait_seconds": 60},
        progress_callback=on_progress,
    )
    assert structured(made)["state"] == "AVAILABLE", made
    assert steps and steps == sorted(steps), steps
    plan = await call(session, "manage_lakebase_database", action="delete", name=name)
    gone = await call(
        session,
        "manage_lakebase_database",
        action="delete",
        name=name,
        confirm_token=plan["confirm_token"],
    )
    assert gone["status"] == "deleted", gone


async def call(session, tool: str, **arguments):
    result = await session.call_tool(tool, arguments)
    assert not is_error(result), result
    return structured(result)


def structured(result):
    return result.structured_content if SECOND else result.structuredContent


def is_error(result) -> bool:
    return result.is_error if SECOND else result.isError


async def first() -> None:
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamablehttp_client

    parameters = StdioServerParameters(command=BINARY, args=["mcp"], env=environment())
    async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        await use(session, True)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        streamablehttp_client(URL, headers=headers) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        await use(session, False)


async def second() -> None:
    import httpx2
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client

    parameters = StdioServerParameters(command=BINARY, args=["mcp"], env=environment())
    async with Client(stdio_client(parameters)) as client:
        await use(client, True)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(headers=headers, timeout=120) as http:
        async with Client(streamable_http_client(URL, http_client=http)) as client:
            await use(client, False)


def environment() -> dict[str, str]:
    import os

    return dict(os.environ)


asyncio.run(second() if SECOND else first())
print("ok")
