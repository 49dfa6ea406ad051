"""An issuer of tokens: a real HTTP server with a discovery document and a key set that tests may change."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

OPENID = "/.well-known/openid-configuration"


class Key:
    """A signing key and its public half as the key set shows it."""

    def __init__(self, algorithm: str = "ES256", kid: str | None = None) -> None:
        self.algorithm, self.kid = algorithm, kid or uuid4().hex
        if algorithm.startswith("ES"):
            curve = ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1()
            self.private, form = ec.generate_private_key(curve), ECAlgorithm
        elif algorithm == "EdDSA":
            self.private, form = ed25519.Ed25519PrivateKey.generate(), OKPAlgorithm
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            form = RSAAlgorithm
        self.public = form.to_jwk(self.private.public_key(), as_dict=True)
        self.public |= {"kid": self.kid, "use": "sig"}


class Issuer:
    """Serves until it is closed. `pages` holds what it answers; `asked` counts requests by path."""

    def __init__(self) -> None:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked[self.path] += 1
                status, headers, body = issuer.pages.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.asked: Counter[str] = Counter()
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.key = Key()
        self.page(OPENID, {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"})
        self.publish(self.key)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def page(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.pages[path] = (status, headers, text)

    def publish(self, *keys: Key) -> None:
        self.page("/jwks", {"keys": [key.public for key in keys]})

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": self.url, "sub": "job", "aud": "lakeport", "iat": now, "exp": now + 600}
        return {k: v for k, v in (claims | changed).items() if v is not None}

    def token(self, key: Key | None = None, headers: dict | None = None, **changed: Any) -> str:
        key = key or self.key
        headers = {"kid": key.kid} | (headers or {})
        return jwt.encode(self.claims(**changed), key.private, key.algorithm, headers=headers)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
