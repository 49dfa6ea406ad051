"""kill -9, of the server and of a database, at bad moments: nothing is lost, nothing is orphaned.

Every test has a server of its own; its fixture checks at the end that no process is left.
"""

import os
import signal
import threading

import psycopg
import pytest
import requests

from kit import processes, rows
from kit.api import INSTANCES, Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.names import unique
from kit.server import Server
from kit.synced import SyncedTable, make_schema, register
from kit.waiting import eventually


@pytest.fixture
def api(own_server: Server) -> Api:
    """The API of the server that the test may kill, and not of the shared one."""
    return Api(own_server.http, own_server.token)


def available(api: Api, name: str) -> Login:
    """Creates an instance and logs in to it."""
    api.create_instance(name)
    return Login.to(api, api.wait_for_state(name, "AVAILABLE"))


def postmaster(login: Login) -> int:
    """The process id of an instance's postmaster."""
    with login.connect() as connection:
        backend = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
        return processes.parent(backend)


def answers(login: Login, query: str = "SELECT 1") -> object:
    """The answer to a query, as soon as the instance gives one."""
    return eventually(lambda: (login.value(query),), f"{login.host} answers")[0]


def test_databases_run_on_and_are_adopted(own_server: Server, api: Api, name: str) -> None:
    login = available(api, name)
    before = postmaster(login)
    own_server.kill9()
    assert processes.parent(before)  # It lives.
    own_server.start()
    # The token of before the crash still opens the door.
    answers(login)
    assert postmaster(login) == before
    assert api.wait_for_state(name, "AVAILABLE")


@pytest.mark.parametrize("acknowledged", [0, 1, 3])
def test_server_killed_during_create(own_server: Server, api: Api, acknowledged: int) -> None:
    wanted = [unique("i") for _ in range(4)]
    promised: list[str] = []
    enough = threading.Event()
    if acknowledged == 0:
        enough.set()

    def create(name: str) -> None:
        try:
            api.create_instance(name)
        except requests.RequestException:
            return
        promised.append(name)
        if len(promised) >= acknowledged:
            enough.set()

    threads = [threading.Thread(target=create, args=(name,)) for name in wanted]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    own_server.kill9()
    for thread in threads:
        thread.join()

    own_server.start()
    for name in wanted:
        # Whatever became of the first, who has no answer may send it again.
        if name not in promised:
            api.create_instance(name)
        answers(Login.to(api, api.wait_for_state(name, "AVAILABLE")))
    assert set(promised) <= {
        seen["name"] for seen in api.ok("GET", INSTANCES)["database_instances"]
    }


def test_server_killed_during_a_stop_and_a_delete(own_server: Server, api: Api) -> None:
    stopped, deleted, kept = unique("i"), unique("i"), unique("i")
    pids = {name: postmaster(available(api, name)) for name in (stopped, deleted, kept)}
    api.ok("PATCH", f"{INSTANCES}/{stopped}", {"stopped": True}, update_mask="stopped")
    api.ok("DELETE", f"{INSTANCES}/{deleted}", purge="true")
    own_server.kill9()

    own_server.start()
    api.wait_for_state(stopped, "STOPPED")
    eventually(
        lambda: api.send("GET", f"{INSTANCES}/{deleted}").status_code,
        "the deleted instance is gone",
        until=lambda status: status == 404,
    )
    api.wait_for_state(kept, "AVAILABLE")
    running = eventually(
        lambda: set(pids.values()) & set(processes.inside(own_server.data_dir)),
        "only the kept instance runs",
        until=lambda left: left == {pids[kept]},
    )
    assert running == {pids[kept]}


def test_server_killed_during_a_load(
    own_server: Server, api: Api, name: str, delta: DeltaTables
) -> None:
    login = available(api, name)
    source = rows.many(300_000)
    make_schema(api, "lake", "shop")
    register(api, "lake.shop.sales", delta.write("sales", source))
    synced = SyncedTable.create(api, "lake.shop.sales_synced", name, "lake.shop.sales", [rows.KEY])
    eventually(
        synced.status,
        "the load has begun",
        until=lambda status: status["detailed_state"] != "SYNCED_TABLE_PROVISIONING",
    )
    own_server.kill9()

    own_server.start()
    synced.wait_online()
    with login.connect() as connection:
        served = rows.read_back(connection, "shop.sales_synced")
    assert served.equals(rows.as_read_back(source))


def test_server_killed_during_a_refresh(
    own_server: Server, api: Api, name: str, delta: DeltaTables
) -> None:
    login = available(api, name)
    make_schema(api, "lake", "shop")
    register(api, "lake.shop.sales", delta.write("sales", rows.many(100_000)))
    synced = SyncedTable.create(api, "lake.shop.sales_synced", name, "lake.shop.sales", [rows.KEY])
    synced.wait_online()
    second = rows.many(120_000, first=50_000)
    delta.write("sales", second, mode="overwrite")
    pipeline = f"/api/2.0/pipelines/{synced.status()['pipeline_id']}"
    api.ok("POST", f"{pipeline}/updates", {})
    own_server.kill9()

    own_server.start()
    assert answers(login, "SELECT count(*) FROM shop.sales_synced") in (100_000, 120_000)
    synced.wait_online()
    assert synced.refresh()["state"] == "COMPLETED"
    with login.connect() as connection:
        served = rows.read_back(connection, "shop.sales_synced")
    assert served.equals(rows.as_read_back(second))


class Writers:
    """Ten sessions that insert until they are cut off, and remember what was acknowledged."""

    SESSIONS = 10

    def __init__(self, login: Login) -> None:
        self.login = login
        self.acknowledged: set[tuple[int, int]] = set()
        self.threads = [
            threading.Thread(target=self._write, args=(session,))
            for session in range(self.SESSIONS)
        ]
        with login.connect() as connection:
            connection.execute("CREATE TABLE log (session int, line int)")

    def _write(self, session: int) -> None:
        line = 0
        try:
            with self.login.connect() as connection:
                while True:
                    connection.execute("INSERT INTO log VALUES (%s, %s)", (session, line))
                    self.acknowledged.add((session, line))
                    line += 1
        except psycopg.OperationalError:
            return  # Cut off.

    def run_until_all_write(self) -> None:
        for thread in self.threads:
            thread.start()
        eventually(
            lambda: {session for session, line in list(self.acknowledged) if line >= 20},
            "every session writes",
            until=lambda sessions: len(sessions) == self.SESSIONS,
        )

    def check_nothing_is_missing(self) -> None:
        for thread in self.threads:
            thread.join()
        stored = eventually(
            lambda: self._stored(), "the rows can be read", until=lambda found: found is not None
        )
        missing = self.acknowledged - stored
        assert not missing, f"{len(missing)} acknowledged rows are missing"
        # What was in flight may be there unacknowledged: one row a session at most.
        assert len(stored - self.acknowledged) <= self.SESSIONS

    def _stored(self) -> set[tuple[int, int]]:
        with self.login.connect() as connection:
            return set(connection.execute("SELECT session, line FROM log").fetchall())


def test_server_killed_while_ten_sessions_write(own_server: Server, api: Api, name: str) -> None:
    writers = Writers(available(api, name))
    writers.run_until_all_write()
    own_server.kill9()
    own_server.start()
    writers.check_nothing_is_missing()


def test_postmaster_killed_while_ten_sessions_write(api: Api, name: str) -> None:
    login = available(api, name)
    writers = Writers(login)
    before = postmaster(login)
    writers.run_until_all_write()
    os.kill(before, signal.SIGKILL)
    writers.check_nothing_is_missing()
    assert postmaster(login) != before
    assert api.wait_for_state(name, "AVAILABLE")


def test_server_and_postmaster_killed_together(own_server: Server, api: Api, name: str) -> None:
    login = available(api, name)
    writers = Writers(login)
    before = postmaster(login)
    writers.run_until_all_write()
    own_server.kill9()
    os.kill(before, signal.SIGKILL)
    own_server.start()
    writers.check_nothing_is_missing()
