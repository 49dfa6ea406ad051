"""A client of the Model Context Protocol, message by message: what is on the wire, with no SDK.

Speaks both eras: with a handshake (2025-11-25), and with everything in each request (2026-07-28).
"""

import itertools
import json
import subprocess
from collections.abc import Callable
from typing import Any

import requests

from kit.server import Server, binary, clean_environment

HANDSHAKE = "2025-11-25"
STATELESS = "2026-07-28"
META = "io.modelcontextprotocol"

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class RpcError(Exception):
    """An error of the protocol, as opposed to one of a tool."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message = error["code"], error["message"]


class Mcp:
    """What both transports share. `answer` is the person in front of the client."""

    def __init__(self, era: str, answer: Answer | None) -> None:
        self.era, self.answer = era, answer
        self.notifications: list[dict[str, Any]] = []
        self._ids = itertools.count(1)

    @property
    def capabilities(self) -> dict[str, Any]:
        return {"elicitation": {"form": {}}} if self.answer else {}

    def exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def request(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        params = dict(params or {})
        if self.era == STATELESS:
            params["_meta"] = params.get("_meta", {}) | {
                f"{META}/protocolVersion": STATELESS,
                f"{META}/clientCapabilities": self.capabilities,
            }
        message = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        reply = self.exchange(message)
        assert reply["id"] == message["id"], reply
        if "error" in reply:
            raise RpcError(reply["error"])
        return reply["result"]

    def initialize(self) -> dict[str, Any]:
        client = {"name": "tests", "version": "1"}
        return self.request(
            "initialize",
            {
                "protocolVersion": HANDSHAKE,
                "capabilities": self.capabilities,
                "clientInfo": client,
            },
        )

    def tools(self) -> dict[str, dict[str, Any]]:
        return {tool["name"]: tool for tool in self.request("tools/list")["tools"]}

    def result(self, tool: str, _meta: Any = None, /, **arguments: Any) -> dict[str, Any]:
        params = {"name": tool, "arguments": arguments}
        if _meta:
            params["_meta"] = _meta
        result = self.request("tools/call", params)
        while result.get("resultType") == "input_required":
            answers = {
                key: self.answer(question["params"])
                for key, question in result["inputRequests"].items()
            }
            again = {"inputResponses": answers, "requestState": result["requestState"]}
            result = self.request("tools/call", params | again)
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
        return result

    def call(self, tool: str, _meta: Any = None, /, **arguments: Any) -> dict[str, Any]:
        """The result of a call that succeeds."""
        result = self.result(tool, _meta, **arguments)
        assert not result.get("isError"), result
        return result["structuredContent"]

    def fails(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The error of a call that must fail, in the form that agents read."""
        result = self.result(tool, **arguments)
        assert result["isError"] is True, result
        body = result["structuredContent"]
        assert body["error"] == body["message"] and body["error_code"], body
        return body

    def confirmed(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The result of a call that wants a confirmation, and gets it."""
        plan = self.call(tool, **arguments)
        assert plan["status"] == "CONFIRMATION_REQUIRED" and plan["plan"], plan
        return self.call(tool, **arguments, confirm_token=plan["confirm_token"])


class StdioMcp(Mcp):
    """`lakeport mcp` as a child process. A context manager."""

    def __init__(
        self, server: Server, *flags: str, era: str = HANDSHAKE, answer: Answer | None = None
    ) -> None:
        super().__init__(era, answer)
        self.command = [str(binary()), "mcp", *flags]
        self.environment = clean_environment() | {"DATABRICKS_CONFIG_FILE": str(server.config_file)}

    def __enter__(self) -> "StdioMcp":
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self.era == HANDSHAKE:
            self.initialize()
            self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        assert code == 0, f"lakeport mcp ended with {code}"

    def send(self, message: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        self.send(message)
        while True:
            line = self.process.stdout.readline()
            assert line, "lakeport mcp closed its output"
            incoming = json.loads(line)
            if "method" not in incoming:
                return incoming
            if "id" in incoming:
                reply = self.answer(incoming["params"])
                self.send({"jsonrpc": "2.0", "id": incoming["id"], "result": reply})
            else:
                self.notifications.append(incoming)


class HttpMcp(Mcp):
    """The endpoint of a server."""

    def __init__(
        self,
        url: str,
        token: str | None,
        era: str = HANDSHAKE,
        answer: Answer | None = None,
    ) -> None:
        super().__init__(era, answer)
        self.url, self.token = url, token

    def headers(self, message: dict[str, Any]) -> dict[str, str]:
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": self.era,
        }
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.era == STATELESS:
            headers["Mcp-Method"] = message["method"]
            if name := message["params"].get("name"):
                headers["Mcp-Name"] = name
        return headers

    def post(self, message: dict[str, Any], **headers: str) -> requests.Response:
        headers = self.headers(message) | headers
        return requests.post(self.url, json=message, headers=headers, timeout=120)

    def exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        response = self.post(message)
        kind = response.headers["Content-Type"].split(";")[0]
        if kind == "application/json":
            return response.json()
        assert kind == "text/event-stream", f"{response.status_code} {kind} {response.text}"
        incoming = [
            json.loads(data)
            for line in response.content.decode().splitlines()
            if (data := line.removeprefix("data:").strip()) and line.startswith("data:")
        ]
        self.notifications += [one for one in incoming if "method" in one]
        return next(one for one in incoming if "method" not in one)
