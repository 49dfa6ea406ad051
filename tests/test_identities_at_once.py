"""Who was made or taken away is known to `databricks_create_role` when the call is answered."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from kit.api import Api
from kit.identities import SCIM, made, patch, principal
from kit.login import Login
from kit.names import unique
from kit.server import Server
from kit.waiting import eventually

APPS = "/api/2.0/apps"


@pytest.fixture
def session(login: Login) -> Iterator[psycopg.Connection[Any]]:
    with login.connect() as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS databricks_auth")
        yield connection


def create_role(session: psycopg.Connection[Any], name: str, kind: str) -> None:
    """In a transaction that is given up: only the answer counts."""
    with session.transaction(force_rollback=True):
        session.execute("SELECT databricks_create_role(%s, %s)", (name, kind))


def unknown(session: psycopg.Connection[Any], name: str, kind: str) -> None:
    with pytest.raises(psycopg.Error, match=name):
        create_role(session, name, kind)


def test_whoever_was_made_has_a_role_at_once(api: Api, session: psycopg.Connection[Any]) -> None:
    for _ in range(5):
        with (
            principal(api, "Users", userName=f"{unique('u')}@example.com") as user,
            principal(api, "ServicePrincipals", displayName="j", applicationId=str(uuid4())) as job,
            principal(api, "Groups", displayName=unique("g")) as group,
        ):
            create_role(session, user["userName"], "USER")
            create_role(session, job["applicationId"], "SERVICE_PRINCIPAL")
            create_role(session, group["displayName"], "GROUP")
        unknown(session, user["userName"], "USER")
        unknown(session, job["applicationId"], "SERVICE_PRINCIPAL")
        unknown(session, group["displayName"], "GROUP")


def test_whoever_is_deactivated_has_none_at_once(
    api: Api, session: psycopg.Connection[Any]
) -> None:
    with principal(api, "Users", userName=f"{unique('u')}@example.com") as user:
        for active in (False, True, False, True):
            patch(
                api,
                f"Users/{user['id']}",
                {"op": "replace", "path": "active", "value": active},
            )
            (create_role if active else unknown)(session, user["userName"], "USER")


def test_an_app_has_a_role_at_once(api: Api, session: psycopg.Connection[Any]) -> None:
    app = api.ok("POST", APPS, {"name": unique("a")}, no_compute="true")
    client = app["service_principal_client_id"]
    create_role(session, client, "SERVICE_PRINCIPAL")
    api.ok("DELETE", f"{APPS}/{app['name']}")
    unknown(session, client, "SERVICE_PRINCIPAL")


def test_an_instance_whose_disk_hangs_holds_up_nobody(own_server: Server) -> None:
    api = Api(own_server.http, own_server.token)
    hanging, well = (api.create_instance(unique("i"))["name"] for _ in range(2))
    uid = api.wait_for_state(hanging, "AVAILABLE")["uid"]
    session = Login.to(api, api.wait_for_state(well, "AVAILABLE")).connect()
    session.execute("CREATE EXTENSION IF NOT EXISTS databricks_auth")
    # Who opens a pipe to read it waits for a writer.
    (known,) = own_server.data_dir.glob(f"clusters/*{uid}*/identities.json")
    known.unlink()
    os.mkfifo(known)
    try:
        for _ in range(3):
            user = made(api, "Users", {"userName": f"{unique('u')}@example.com"})
            create_role(session, user["userName"], "USER")
    finally:
        let_go(known)
    # Told later.
    eventually(
        lambda: user["userName"] in known.read_text(),
        "the other one knows too",
    )
    session.close()


def let_go(pipe: Path) -> None:
    """Ends whoever reads the pipe, which is no file that is written then."""
    writer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    pipe.unlink()
    os.close(writer)
