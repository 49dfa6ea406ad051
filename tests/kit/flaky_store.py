"""A way to an object store that can be disturbed: data is cut off on its way, or refused."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import requests

Fault = Literal["cut", "denied"]

DENIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"""


class FlakyStore:
    """Passes requests on to the store at `target`. With a fault, data files do not arrive whole."""

    def __init__(self, target: str) -> None:
        store = self
        self.fault: Fault | None = None
        # How many requests have met the fault.
        self.met = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                answer = requests.request(
                    self.command,
                    target + self.path,
                    headers=dict(self.headers),
                    data=self.rfile.read(length),
                    timeout=60,
                )
                is_data = self.command == "GET" and ".parquet" in self.path
                fault = store.fault if is_data else None
                store.met += fault is not None
                if fault == "denied":
                    self.answer(403, {"Content-Type": "application/xml"}, DENIED, len(DENIED))
                    return
                body = answer.content
                size = int(answer.headers.get("Content-Length", len(body)))
                if fault == "cut":
                    body = body[: len(body) // 2]
                    self.close_connection = True
                self.answer(answer.status_code, dict(answer.headers), body, size)

            def answer(self, status: int, headers: dict[str, str], body: bytes, size: int) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
