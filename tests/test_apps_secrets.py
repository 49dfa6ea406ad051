"""What the secret of an app's run is good for, and for how long."""

from collections.abc import Iterator

import psycopg
import pytest
import requests

from kit.api import Api
from kit.bare_postgres import bare_postgres
from kit.names import unique
from kit.server import Server

RUNS = "/api/2.0/lakeport/apps"


@pytest.fixture(scope="module")
def metadata() -> Iterator[str]:
    """A metadata database that a test can look into."""
    with bare_postgres() as url:
        yield url


@pytest.fixture(scope="module")
def api(metadata: str) -> Iterator[Api]:
    server = Server("--metadata-url", metadata)
    try:
        server.start()
        yield Api(server.http, server.token)
    finally:
        server.close()


def exchange(api: Api, run: dict[str, str]) -> int:
    """The status of asking for an access token with the run's secret."""
    answer = requests.post(
        f"{api.url}/oidc/v1/token",
        data={"grant_type": "client_credentials", "scope": "all-apis"},
        auth=(run["client_id"], run["client_secret"]),
        timeout=30,
    )
    return answer.status_code


def minutes_left(metadata: str) -> float:
    sql = """select extract(epoch from expires_at - now())::float8 / 60
             from lakeport.service_principal_secrets"""
    with psycopg.connect(metadata) as connection:
        (left,) = connection.execute(sql).fetchone()
    return left


def expire(metadata: str, interval: str) -> None:
    """Moves the end of the only secret that there is."""
    sql = "update lakeport.service_principal_secrets set expires_at = now() + %s::interval"
    with psycopg.connect(metadata) as connection:
        assert connection.execute(sql, (interval,)).rowcount == 1


def test_a_secret_lives_while_its_run_reports(api: Api, metadata: str) -> None:
    name = unique("app")
    api.ok("POST", "/api/2.0/apps", {"name": name})
    runs = f"{RUNS}/{name}/runs"
    run = api.ok("POST", runs, {})
    assert exchange(api, run) == 200
    assert 55 < minutes_left(metadata) <= 60

    # The runner was killed, and nobody has reported since.
    expire(metadata, "-1 second")
    assert exchange(api, run) == 401
    # It was only cut off: the next report makes the secret good again.
    api.ok("PUT", f"{runs}/{run['run_id']}", {"state": "RUNNING"})
    assert exchange(api, run) == 200
    assert 55 < minutes_left(metadata) <= 60

    # A report costs a write to the secret only when half of its life is over.
    expire(metadata, "40 minutes")
    api.ok("PUT", f"{runs}/{run['run_id']}", {"state": "RUNNING"})
    assert 35 < minutes_left(metadata) <= 40
