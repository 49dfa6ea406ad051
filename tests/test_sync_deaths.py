"""`lakeport sync run` dies at each point of a load, a refresh and a change: no row is lost or doubled, and
the next run goes on."""

import json
import subprocess
from dataclasses import replace

import pytest

from kit.delta import DeltaTables
from kit.login import Login
from kit.names import unique
from kit.server import Server, binary, clean_environment
from kit.source import FEED, Source, products, served

BEGUN = ["connected", "prepared", "sent a chunk"]
LOAD = [*BEGUN, *(f"load: {at}" for at in ("created", "copied", "indexed", "ready", "committed"))]
REFRESH = [
    *BEGUN,
    *(f"refresh: stage {at}" for at in ("created", "copied")),
    *(f"refresh: {at}" for at in ("staged", "deleted", "updated", "inserted", "ready", "committed")),
]
CHANGES = [
    *BEGUN,
    *(f"changes: {at}" for at in ("tables kept", "copied", "reduced", "deleted", "updated")),
    *(f"changes: {at}" for at in ("inserted", "ready", "committed")),
]
# Without memory to reduce changes in, PostgreSQL does.
NO_MEMORY = "triggered --memory 0"
COLLECTED = [
    *BEGUN,
    *(f"changes: {at}" for at in ("collected", "staged", "tables kept", "copied", "reduced")),
    *(f"changes: {at}" for at in ("ready", "committed")),
]


class Runs:
    """Runs into one table, some of which die."""

    def __init__(self, server: Server, instance: dict, source: Source, login: Login, mode: str):
        self.server, self.source, self.login, self.mode = server, source, login, mode
        self.target = f"instance:{instance['name']}/postgres"
        self.new_table()

    def new_table(self) -> None:
        self.table = f"public.{unique('t')}"

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(binary()), "sync", "run", "--source", self.source.location]
        command += ["--target", self.target, "--table", self.table, "--key", "product_id"]
        profile = {"DATABRICKS_CONFIG_FILE": str(self.server.config_file)}
        return subprocess.run(
            [*command, "--mode", *self.mode.split(), "--output", "json"],
            env=clean_environment() | profile | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def die(self, point: str) -> None:
        done = self.run(LAKEPORT_DIE_AT=point)
        # A release build has no such points.
        assert done.returncode < 0, (point, done.stdout, done.stderr)

    def finish(self) -> dict:
        done = self.run()
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def held(self) -> tuple[list[tuple], int] | None:
        """Rows and position, where there is a table."""
        if not self.login.value(f"SELECT to_regclass('{self.table}') IS NOT NULL"):
            return None
        name = self.table.split(".")[1]
        position = f"SELECT version FROM lakeport_sync.positions WHERE table_name = '{name}'"
        return served(self.login, self.table), self.login.value(position)

    def wanted(self) -> tuple[list[tuple], int]:
        return self.source.rows(), self.source.version


@pytest.fixture
def runs(server: Server, instance: dict, delta: DeltaTables, login: Login):
    source = Source(delta, products(list(range(50))), configuration=FEED)
    # A database without managed synced tables, whose positions would be the system's.
    owner = replace(login, dbname="postgres")
    return lambda mode: Runs(server, instance, source, owner, mode)


def test_a_load_that_dies_leaves_nothing_or_all(runs) -> None:
    loads = runs("snapshot")
    for point in LOAD:
        loads.new_table()
        loads.die(point)
        assert loads.held() == (loads.wanted() if point == "load: committed" else None), point
        loads.finish()
        assert loads.held() == loads.wanted(), point


@pytest.mark.parametrize(
    ("mode", "points"),
    [("snapshot", REFRESH), ("triggered", CHANGES), (NO_MEMORY, COLLECTED)],
)
def test_a_run_that_dies_leaves_the_old_rows_or_the_new(runs, mode: str, points: list[str]) -> None:
    again = runs(mode)
    again.finish()
    for step, point in enumerate(points):
        before = again.held()
        again.source.merge(products([step, 25 + step, 100 + step], point))
        again.source.table.delete(f"product_id in ({49 - step}, {99 + step})")
        again.die(point)
        assert again.held() == (again.wanted() if point.endswith(": committed") else before), point
        again.finish()
        assert again.held() == again.wanted(), point
