"""Credentials: the token that is a password for an hour."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta

from kit.api import CREDENTIALS, Api


def test_token_has_a_shape_that_every_client_can_carry(api: Api, instance: dict) -> None:
    body = {"instance_names": [instance["name"]], "request_id": "r"}
    answer = api.ok("POST", CREDENTIALS, body)
    # psql, .pgpass files and URLs carry these characters as they are.
    assert re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", answer["token"])
    expires = datetime.fromisoformat(answer["expiration_time"])
    left = expires - datetime.now(UTC)
    assert timedelta(minutes=55) < left <= timedelta(minutes=65)


def test_token_is_signed_with_an_asymmetric_key_for_its_subject(api: Api, instance: dict) -> None:
    header, claims = [
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in api.credential(instance["name"]).split(".")[:2]
    ]
    assert header["kid"] and header["alg"][:2] in ("RS", "ES", "Ed", "PS")
    assert claims["sub"] == api.user_name()
    assert {"iss", "aud", "exp", "iat"} <= set(claims)


def test_request_id_may_be_absent(api: Api, instance: dict) -> None:
    assert api.ok("POST", CREDENTIALS, {"instance_names": [instance["name"]]})["token"]


def test_a_credential_for_nothing_is_refused(api: Api) -> None:
    for body in ({}, {"instance_names": []}):
        refusal = api.refused(400, "POST", CREDENTIALS, body)
        assert refusal.code == "INVALID_PARAMETER_VALUE"
        assert "instance_names" in refusal.message


def test_wrong_type_is_named(api: Api) -> None:
    refusal = api.refused(400, "POST", CREDENTIALS, {"instance_names": "not-a-list"})
    assert "instance_names" in refusal.message
