"""A proxy that adds a bearer token, for test tools that cannot send one. Changes nothing else."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

# These are about one connection and not about the message.
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class BearerProxy:
    """Serves as a context manager; `url` is the target's, but for host and port."""

    def __init__(self, target: str, token: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                headers = {
                    k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP
                } | {"Authorization": f"Bearer {token}"}
                answer = requests.request(
                    self.command,
                    target + self.path,
                    headers=headers,
                    data=self.rfile.read(length),
                    timeout=60,
                    allow_redirects=False,
                )
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_DELETE = forward

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "BearerProxy":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
