"""Rotating the key that tokens are signed with."""

import json
import subprocess

import requests

from kit.api import Api
from kit.identities import SCIM, machine
from kit.login import Login
from kit.server import Server, binary, clean_environment
from kit.tokens import parts


def key_ids(server: Server) -> list[str]:
    answer = requests.get(f"{server.http}/oidc/.well-known/jwks.json", timeout=30)
    return [key["kid"] for key in answer.json()["keys"]]


def key_id(token: str) -> str:
    return parts(token)[0]["kid"]


def rotate(server: Server) -> str:
    run = subprocess.run(
        [binary(), "keys", "rotate", "--output", "json"],
        env=clean_environment() | {"DATABRICKS_CONFIG_FILE": str(server.config_file)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)["kid"]


def test_old_tokens_outlive_a_rotation_and_new_ones_have_the_new_key(own_server: Server) -> None:
    api = Api(own_server.http, own_server.token)
    api.create_instance("i")
    instance = api.wait_for_state("i", "AVAILABLE")
    with machine(api) as job:
        first = key_ids(own_server)
        assert len(first) == 1
        old_credential = Login.to(api, instance)
        old_token = job.access_token(own_server.http)
        assert key_id(old_credential.password) == key_id(old_token) == first[0]

        new = rotate(own_server)
        assert key_ids(own_server) == [new, *first]
        new_credential = Login.to(api, instance)
        new_token = job.access_token(own_server.http)
        assert key_id(new_credential.password) == key_id(new_token) == new

        for _ in range(2):
            for login in (old_credential, new_credential):
                assert login.value("SELECT 1") == 1
            for token in (old_token, new_token):
                assert Api(own_server.http, token).send("GET", f"{SCIM}/Me").status_code == 200
            own_server.restart()
            instance = api.wait_for_state("i", "AVAILABLE")

        own = Api(own_server.http, new_token)
        own.refused(403, "POST", "/api/2.0/lakeport/signing-keys/rotate", {})
        assert key_ids(own_server) == [new, *first]
