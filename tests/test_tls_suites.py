"""Which versions and cipher suites the gateway takes of those that clients offer."""

import socket
import ssl

import pytest

from kit.login import Login
from kit.tls import ask_for_tls, unchecked_context

PORT = 5432
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def negotiated(login: Login, context: ssl.SSLContext) -> tuple[str | None, str]:
    with (
        socket.create_connection((login.host, PORT), timeout=30) as tcp,
        ask_for_tls(tcp, context) as tls,
    ):
        return tls.version(), tls.cipher()[0]


def test_the_cheapest_suite_is_taken(login: Login) -> None:
    """OpenSSL's order begins with AES-256."""
    assert negotiated(login, unchecked_context()) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    older = unchecked_context()
    older.maximum_version = V12
    assert negotiated(login, older) == ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_others_are_taken_where_nothing_else_is_offered(login: Login, suite: str) -> None:
    only = unchecked_context()
    only.maximum_version = V12
    only.set_ciphers(suite)
    assert negotiated(login, only) == ("TLSv1.2", suite)


def test_what_is_weak_is_refused(login: Login) -> None:
    weak = unchecked_context()
    weak.maximum_version = V12
    weak.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA")
    with pytest.raises(ssl.SSLError):
        negotiated(login, weak)
