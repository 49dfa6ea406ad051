"""Thousands of connections that never get to the point: who means it still gets in."""

import os
import resource
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests

from kit.api import Api
from kit.login import Login
from kit.server import Server
from kit.waiting import eventually

CROWD = 2_000
PORT = 5432
SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)
START_UP = struct.pack("!ii", 41, 3 << 16) + b"user\0somebody\0database\0postgres\0\0"


@pytest.fixture(scope="module", autouse=True)
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def context() -> ssl.SSLContext:
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    return unchecked


TLS = context()


def client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    connection = TLS.wrap_bio(ssl.MemoryBIO(), outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def plain(tcp: socket.socket) -> socket.socket:
    return tcp


def half_request(tcp: socket.socket) -> socket.socket:
    tcp.sendall(SSL_REQUEST[:5])
    return tcp


def requested(tcp: socket.socket) -> socket.socket:
    tcp.sendall(SSL_REQUEST)
    if tcp.recv(1) != b"S":
        raise ConnectionError("turned away")
    return tcp


def half_hello(tcp: socket.socket) -> socket.socket:
    requested(tcp).sendall(client_hello()[:100])
    return tcp


def encrypted(tcp: socket.socket) -> socket.socket:
    return TLS.wrap_socket(requested(tcp))


def half_start_up(tcp: socket.socket) -> socket.socket:
    tls = encrypted(tcp)
    tls.sendall(START_UP[:20])
    return tls


def asked_for_password(tcp: socket.socket) -> socket.socket:
    tls = encrypted(tcp)
    tls.sendall(START_UP)
    if tls.recv(1) != b"R":
        raise ConnectionError("turned away")
    return tls


def half_password(tcp: socket.socket) -> socket.socket:
    tls = asked_for_password(tcp)
    tls.sendall(b"p" + struct.pack("!i", 1_000) + b"x" * 100)
    return tls


STATES = [
    plain,
    half_request,
    requested,
    half_hello,
    encrypted,
    half_start_up,
    asked_for_password,
    half_password,
]


def connect(
    host: str, port: int, state: Callable[[socket.socket], socket.socket], stack: ExitStack
) -> bool:
    """A connection in a state, open until `stack` ends; false if the server would not have it."""
    tcp = stack.enter_context(socket.create_connection((host, port), timeout=30))
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        stack.enter_context(state(tcp))
    except OSError:
        return False
    return True


def resident(server: Server) -> int:
    """Mebibytes."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def instance_of(server: Server, name: str) -> Login:
    api = Api(server.http, server.token)
    api.create_instance(name)
    return Login.to(api, api.wait_for_state(name, "AVAILABLE"))


@pytest.fixture(scope="module")
def crowded() -> Iterator[tuple[Server, Login]]:
    server = Server()
    try:
        yield server.start(), instance_of(server, "crowded")
    finally:
        server.close()


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_silent_and_slow_connections_keep_nobody_out(
    crowded: tuple[Server, Login], state: Callable[[socket.socket], socket.socket]
) -> None:
    server, login = crowded
    sizes = []
    for _ in range(2):
        with ExitStack() as crowd:
            reached = tries = 0
            # A rush is turned away while nobody has dawdled; whoever comes again gets in.
            while reached < CROWD:
                tries += 1
                assert tries <= 10 * CROWD, f"{reached} of {CROWD} got there"
                reached += connect(login.host, PORT, state, crowd)
            begun = time.monotonic()
            assert eventually(lambda: login.value("SELECT 1"), "a login beside the crowd") == 1
            sizes.append(resident(server))
            print(f"login after {time.monotonic() - begun:.3f} s, {tries} tries, {sizes[-1]} MiB")
    # Those who have a place hold what the first such crowd has held, and nobody else holds anything.
    assert sizes[1] <= sizes[0] + 16, sizes


def test_silent_http_connections_keep_nobody_out(own_server: Server) -> None:
    for url, tls in ((own_server.http, False), (own_server.https, True)):
        host, port = url.split("//")[1].split(":")
        with ExitStack() as crowd:
            for number in range(CROWD):
                # Half of them have begun a request.
                begun = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: " * (number % 2)
                tcp = crowd.enter_context(socket.create_connection((host, int(port)), timeout=30))
                with suppress(OSError):  # It may be closed already.
                    tcp.sendall(b"" if tls else begun)
            verify = str(own_server.ca_file)
            answers = eventually(
                lambda url=url: requests.get(f"{url}/healthz", verify=verify, timeout=30).ok,
                f"{url} answers beside a crowd",
            )
            assert answers


def test_running_out_of_descriptors_ends_no_listener(own_server: Server, name: str) -> None:
    login = instance_of(own_server, name)
    pid = own_server.process.pid
    limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    open_now = len(os.listdir(f"/proc/{pid}/fd"))
    with ExitStack() as crowd:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now + 20, limit[1]))
        for _ in range(60):
            crowd.enter_context(socket.create_connection((login.host, PORT), timeout=30))
        refused = "accepting a connection failed"
        eventually(lambda: refused in own_server.log.read_text(), "accept has failed")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    assert eventually(lambda: login.value("SELECT 1"), "a login afterwards") == 1
