"""Tokens that must not be accepted, made from one that is."""

import base64
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header, claims and signature."""
    header, claims, signature = token.split(".")
    return decode(header), decode(claims), signature


def decode(part: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def encode(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned(token: str) -> str:
    """Says that it needs no signature, and has none."""
    header, claims, _ = parts(token)
    return f"{encode(header | {'alg': 'none'})}.{encode(claims)}."


def altered(token: str, **claims: Any) -> str:
    """Other claims under the signature of the old ones."""
    header, old, signature = parts(token)
    return f"{encode(header)}.{encode(old | claims)}.{signature}"


def signed_by_a_stranger(token: str) -> str:
    """The same claims and key id, signed by another key of the same kind."""
    header, claims, _ = parts(token)
    return jwt.encode(
        claims, stranger_key(header["alg"]), header["alg"], headers={"kid": header["kid"]}
    )


def stranger_key(algorithm: str) -> Any:
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm.startswith("ES"):
        curve = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}[algorithm]
        return ec.generate_private_key(curve())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def signed_with_a_shared_secret(token: str) -> str:
    """The same claims under HMAC: accepted by who lets the token choose its algorithm."""
    header, claims, _ = parts(token)
    secret = b"0123456789abcdef0123456789abcdef"
    return jwt.encode(claims, secret, "HS256", headers={"kid": header["kid"]})
