"""More than a hundred tokens that must not be accepted: each is refused, and all in the same words."""

import base64
import string
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jwt
import psycopg
import requests

from kit import tokens
from kit.api import Api
from kit.login import Login
from kit.server import Server

URL_SAFE = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def joined(header: Any, claims: Any, signature: str) -> str:
    return f"{tokens.encode(header)}.{tokens.encode(claims)}.{signature}"


def other(character: str, step: int = 1) -> str:
    return URL_SAFE[(URL_SAFE.index(character) + step) % 64]


def with_other_bytes(token: str) -> Iterator[str]:
    """One character changed: all over the token, and in the last one, whose low bits mean nothing."""
    for position in range(0, len(token), max(1, len(token) // 40)):
        if token[position] != ".":
            yield token[:position] + other(token[position], 7) + token[position + 1 :]
    yield from (token[:-1] + other(token[-1], step) for step in (1, 2, 3, 16))


def cut_and_extended(token: str) -> Iterator[str]:
    yield from (token[:length] for length in range(1, len(token), max(1, len(token) // 20)))
    yield from (token + more for more in ("A", "=", "==", ".", ".e30", " ", "\n", token, "é", "\x01"))
    yield from (before + token for before in (" ", ".", "Bearer ", "e30.", "\t"))
    yield from (token.upper(), token.lower(), token.swapcase(), token[::-1])
    header, claims, signature = token.split(".")
    yield from (f"{header}.{signature}.{claims}", f"{claims}.{header}.{signature}")
    yield from (f"{header}..{signature}", f".{claims}.{signature}", f"{header}.{claims}.")
    padded = [part + "=" * (-len(part) % 4) for part in (header, claims, signature)]
    yield ".".join(padded)
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    yield f"{header}.{claims}.{base64.b64encode(raw).decode()}"
    yield f"{header}.{claims}.{raw.hex()}"
    zeros = base64.urlsafe_b64encode(bytes(len(raw))).decode().rstrip("=")
    yield f"{header}.{claims}.{zeros}"


def with_other_headers(token: str) -> Iterator[str]:
    header, claims, signature = tokens.parts(token)
    for alg in ("none", "None", "HS256", "HS512", "RS256", "PS256", "ES384", "EdDSA", "", None, 7):
        yield joined(header | {"alg": alg}, claims, signature)
        yield joined(header | {"alg": alg}, claims, "")
    for kid in ("", "x", "../../etc/passwd", "' OR 1=1 --", None, 7, ["x"], "k" * 5_000):
        yield joined(header | {"kid": kid}, claims, signature)
    for name in ("alg", "kid", "typ"):
        yield joined({k: v for k, v in header.items() if k != name}, claims, signature)
    yield joined(header | {"crit": ["exp"]}, claims, signature)
    yield joined([], claims, signature)
    yield joined("x", claims, signature)


def with_other_claims(token: str) -> Iterator[str]:
    _, claims, _ = tokens.parts(token)
    for name, value in claims.items():
        for changed in (f"{value}x", [value, "x"], None, -1, {"x": value}):
            yield tokens.altered(token, **{name: changed})
    header, _, signature = tokens.parts(token)
    for nothing in ([], "x", None, 7, {}):
        yield joined(header, nothing, signature)


def signed_by_others(token: str, server: Server) -> Iterator[str]:
    header, claims, _ = tokens.parts(token)
    yield tokens.signed_by_a_stranger(token)
    yield tokens.signed_with_a_shared_secret(token)
    for alg in ("ES256", "ES384", "RS256", "EdDSA"):
        stranger = tokens.stranger_key(alg)
        for more in (
            {"kid": header["kid"]},
            {"kid": "stranger"},
            {"kid": header["kid"], "jku": "https://example.com/keys.json"},
            {"kid": header["kid"], "x5u": "https://example.com/key.pem"},
        ):
            yield jwt.encode(claims, stranger, alg, headers=more)
    # Its public half as the key of an HMAC: for who lets the token choose the algorithm.
    keys = requests.get(f"{server.http}/oidc/.well-known/jwks.json", timeout=30).json()["keys"]
    for key in keys:
        for secret in (key["x"], key["x"] + key.get("y", "")):
            yield jwt.encode(claims, secret, "HS256", headers={"kid": key["kid"]})


def no_tokens(server: Server) -> Iterator[str]:
    yield from ("secret", ".", "..", "...", "a.b.c", "a.b.c.d", "e30.e30.e30", "{}", "null", "0")
    yield from ("x" * 16_384, "x" * 16_385, "x" * 65_000, "." * 3_000, "ey" * 4_000)
    yield server.token


def told(login: Login) -> str:
    """What a refused client is told; an exception means that it was not refused."""
    try:
        login.connect().close()
    except psycopg.OperationalError as error:
        return str(error)
    raise AssertionError(f"accepted: {login.password[:200]!r}")


def test_bad_tokens_are_all_told_the_same(server: Server, api: Api, login: Login) -> None:
    good = login.password
    bad = [
        *with_other_bytes(good),
        *cut_and_extended(good),
        *with_other_headers(good),
        *with_other_claims(good),
        *signed_by_others(good, server),
        *no_tokens(server),
    ]
    bad = [token for token in dict.fromkeys(bad) if token and token != good]
    assert len(bad) >= 100, len(bad)
    answers = Counter(told(replace(login, password=token)) for token in bad)
    assert len(answers) == 1, answers
    (answer,) = answers
    assert f'password authentication failed for user "{login.user}"' in answer
    assert "DETAIL" not in answer
    assert login.value("SELECT 1") == 1
