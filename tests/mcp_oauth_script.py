"""The official MCP client, 1.x or 2.x, gets its own tokens: by discovery, a person's consent, and step-up.

Run by the tests with the environment of that client: URL TOKEN. TOKEN allows only to look, and is of the client
that every server knows. Without one, the client registers itself first. It prints the addresses that it would open in a browser, and reads from its input where that was sent.
"""

import asyncio
import sys
from importlib.metadata import version

from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

URL, TOKEN = sys.argv[1:]
SECOND = version("mcp").startswith("2.")
REDIRECT = "http://localhost:8765"


KNOWN = OAuthClientInformationFull(
    client_id="databricks-cli", redirect_uris=[REDIRECT], token_endpoint_auth_method="none"
)


class Storage:
    """In memory."""

    def __init__(self) -> None:
        stored = OAuthToken(access_token=TOKEN, scope="mcp:observe", expires_in=600)
        self.tokens, self.client = (stored, KNOWN) if TOKEN else (None, None)

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens) -> None:
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, information) -> None:
        assert self.client is None, "it was known already"
        self.client = information


async def opened(url: str) -> None:
    print(url, flush=True)


async def sent_to():
    from urllib.parse import parse_qs, urlsplit

    line = await asyncio.to_thread(sys.stdin.readline)
    answer = {key: values[0] for key, values in parse_qs(urlsplit(line.strip()).query).items()}
    if SECOND:
        from mcp.shared.auth import AuthorizationCodeResult

        return AuthorizationCodeResult(code=answer["code"], state=answer["state"])
    return answer["code"], answer["state"]


async def use(session, storage: Storage) -> None:
    tools = {tool.name for tool in (await session.list_tools()).tools}
    assert "manage_lakebase_sync" in tools, tools
    listed = await session.call_tool("manage_lakebase_database", {"action": "list"})
    assert not (listed.is_error if SECOND else listed.isError), listed
    before = storage.tokens.access_token
    assert (before == TOKEN) is bool(TOKEN)
    # It needs more than to look; that nothing of the name is there does not matter.
    gone = await session.call_tool("manage_lakebase_database", {"action": "delete", "name": "x"})
    assert "RESOURCE_DOES_NOT_EXIST" in gone.content[0].text, gone
    assert (storage.tokens.access_token != before) is bool(TOKEN)
    print(storage.tokens.scope)


async def main() -> None:
    storage = Storage()
    metadata = OAuthClientMetadata(
        client_name="tests", redirect_uris=[REDIRECT], token_endpoint_auth_method="none"
    )
    provider = OAuthClientProvider(URL, metadata, storage, opened, sent_to)
    if SECOND:
        import httpx2
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        async with httpx2.AsyncClient(auth=provider, timeout=60) as http:
            async with Client(streamable_http_client(URL, http_client=http)) as client:
                await use(client, storage)
    else:
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with (
            streamablehttp_client(URL, auth=provider) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            await use(session, storage)


asyncio.run(main())
print("ok")
