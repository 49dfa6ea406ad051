"""Two servers with one metadata database, as `--metadata-url` has it."""

import base64
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests

from kit.api import INSTANCES, Api
from kit.bare_postgres import bare_postgres
from kit.login import Login
from kit.server import Server

Pair = tuple[Server, Server]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Started at the same moment, on an empty database."""
    with bare_postgres() as url, ExitStack() as stack:
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        servers = [Server("--metadata-url", url) for _ in range(2)]
        for server in servers:
            stack.callback(server.close)
            server.data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
            secret = server.data_dir / "secret.key"
            secret.write_text(f"{key}\n")
            secret.chmod(0o600)
        starting = [threading.Thread(target=server.start) for server in servers]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        yield servers[0], servers[1]


def jwks(server: Server) -> list[dict[str, str]]:
    answer = requests.get(f"{server.http}/oidc/.well-known/jwks.json", timeout=30)
    return answer.json()["keys"]


def test_both_sign_with_the_one_first_key(pair: Pair) -> None:
    one, other = pair
    assert len(jwks(one)) == 1
    assert jwks(one) == jwks(other)


def test_each_lists_the_others_instances_and_its_tokens_open_them(pair: Pair) -> None:
    one, other = (Api(server.http, server.token) for server in pair)
    one.create_instance("shared")
    instance = one.wait_for_state("shared", "AVAILABLE")
    seen = other.instance("shared")
    assert (seen["uid"], seen["state"]) == (instance["uid"], "AVAILABLE")
    login = Login(instance["read_write_dns"], one.user_name(), other.credential("shared"))
    assert login.value("SELECT 1") == 1


def test_a_name_means_the_same_on_both(pair: Pair) -> None:
    one, other = (Api(server.http, server.token) for server in pair)
    one.create_instance("taken")
    for caller in (one, other):
        refusal = caller.refused(409, "POST", INSTANCES, {"name": "taken", "capacity": "CU_1"})
        assert refusal.code == "RESOURCE_ALREADY_EXISTS"
