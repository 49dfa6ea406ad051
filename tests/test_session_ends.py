"""A session that the gateway ends while a large answer is under way leaves no byte of its own in it."""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from kit.api import INSTANCES, Api
from kit.login import Login
from kit.names import unique
from kit.server import Server, clean_environment
from kit.waiting import eventually

PSQL = Path("/usr/bin/psql")
# Rows that leave PostgreSQL in pieces of its buffer, so that the client mostly holds a part of one.
ROWS = "SELECT i, repeat('x', 30), pg_sleep(0.001)::text FROM generate_series(1, 1000000) i"
LINE = re.compile(rb"\d+\tx{30}\t\n")
TOKENS = "/api/2.0/token"
AGE = 15


@dataclass
class Place:
    server: Server
    api: Api
    instance: dict[str, Any]
    login: Login
    token_id: str


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    running = Server("--sessions-on-revoke", "terminate", *request.param)
    try:
        running.start()
        api = Api(running.http, running.token)
        name = unique("ends")
        api.create_instance(name)
        instance = api.wait_for_state(name, "AVAILABLE")
        # A password that an access token asked for ends with it.
        made = api.ok("POST", f"{TOKENS}/create", {"comment": "t"})
        own = Api(api.url, made["token_value"])
        login = replace(Login.to(api, instance), password=own.credential(name))
        yield Place(running, api, instance, login, made["token_info"]["token_id"])
    finally:
        running.close()


def copy(login: Login, file: Path) -> subprocess.Popen[str]:
    """psql writes what it gets to a file."""
    command = [str(PSQL), "-XAt", "-c", f"COPY ({ROWS}) TO STDOUT"]
    names = {"PGHOST": login.host, "PGUSER": login.user, "PGDATABASE": login.dbname}
    secrets = {"PGPASSWORD": login.password, "PGSSLMODE": "require"}
    environment = clean_environment() | names | secrets
    with file.open("wb") as out:
        return subprocess.Popen(
            command, env=environment, stdout=out, stderr=subprocess.PIPE, text=True
        )


def wait(place: Place) -> None:
    """The session becomes too old."""


def terminate(place: Place) -> None:
    place.server.stop()


def delete_token(place: Place) -> None:
    place.api.ok("POST", f"{TOKENS}/delete", {"token_id": place.token_id})


def stop_instance(place: Place) -> None:
    path = f"{INSTANCES}/{place.instance['name']}"
    place.api.ok("PATCH", path, {"stopped": True}, update_mask="stopped")


@pytest.mark.skipif(not PSQL.exists(), reason="a psql with TLS")
@pytest.mark.parametrize(
    ("place", "end"),
    [
        pytest.param(["--session-age", f"{AGE}s"], wait, id="age"),
        pytest.param([], terminate, id="SIGTERM"),
        pytest.param([], delete_token, id="token"),
        pytest.param([], stop_instance, id="stop"),
    ],
    indirect=["place"],
)
def test_only_whole_rows_are_in_the_file(
    place: Place, end: Callable[[Place], None], tmp_path: Path
) -> None:
    file = tmp_path / "rows"
    psql = copy(place.login, file)
    eventually(lambda: file.stat().st_size > 50_000, "rows arrive")
    end(place)
    _, said = psql.communicate(timeout=60)
    rows = file.read_bytes()
    assert LINE.sub(b"", rows) == b"", rows[-200:]
    assert psql.returncode != 0 and "terminating connection" in said, said
