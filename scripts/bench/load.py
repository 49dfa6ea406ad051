"""The sync engine as a tool, `lakeport sync run`, against other ways to get a Delta table into PostgreSQL.

All of them make a new table with a primary key on the same bare server, with an instance's settings. The
lower bound is COPY of rows that are there already in its own binary form; it reads no Delta table. Nobody else
gathers statistics, so ours is run without them too, and with them beside a COPY that is followed by ANALYZE.
DuckDB and ADBC are timed without the start of their process, ours with it.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import shapes
from bench.clock import seconds
from bench.figures import Figure, Series, at_least, in_turns
from bench.home import Home
from bench.lakeport import Lakeport
from bench.plan import Plan
from bench.postgres import SUPERUSER, Postgres
from bench.readiness import bare_twin
from bench.report import Report
from kit.server import REPO, binary, clean_environment

PEERS = {"DuckDB": "duck.py", "deltalake + ADBC": "adbc.py"}
OURS, COPY = "Lakeport", "binary COPY + key"
OURS_ANALYZED, COPY_ANALYZED = "Lakeport, with ANALYZE", "binary COPY + key + ANALYZE"
BLOCK = 1 << 18


def measure(lakeport: Lakeport, home: Home, plan: Plan, report: Report) -> None:
    bare = bare_twin(lakeport, home, "load")
    bare.start()
    try:
        bare.first_query()
        with bare.connect() as connection:
            for shape in shapes.shapes(plan):
                location = shape.write(home.path / "load")
                Loading(bare, connection, shape, location, home.path / "rows.copy").measure(report)
                shapes.remove(location)
    finally:
        bare.stop()


@dataclass
class Loading:
    """One Delta table, loaded by each contestant in turns."""

    bare: Postgres
    connection: psycopg.Connection
    shape: shapes.Shape
    location: Path
    file: Path

    def measure(self, report: Report) -> None:
        self.save()
        peers = PEERS if self.shape.has_peers else {}
        contestants: dict[str, Callable[[], float]] = {
            OURS: lambda: self.ours(analyze=False),
            COPY: lambda: self.copy(analyze=False),
            OURS_ANALYZED: lambda: self.ours(analyze=True),
            COPY_ANALYZED: lambda: self.copy(analyze=True),
        }
        contestants |= {name: self.of(script) for name, script in peers.items()}
        took = in_turns(self.shape.rounds, contestants)
        rates = {who: self.rates(series) for who, series in took.items()}
        what = f"Load of {self.shape.title}"
        wanted = at_least(0.9) if self.shape.has_peers else None
        report.add(
            Figure(what, "rows/s", rates[OURS], rates[COPY], wanted),
            Figure(f"{what}, with ANALYZE", "rows/s", rates[OURS_ANALYZED], rates[COPY_ANALYZED]),
        )
        for name in peers:
            report.add(Figure(what, "rows/s", rates[OURS], rates[name], at_least(1)))

    def rates(self, took: Series) -> Series:
        return Series(took.who, [self.shape.rows / value for value in took.values])

    # --- Contestants ------------------------------------------------------------------------------

    def ours(self, *, analyze: bool) -> float:
        return self.timed(lambda: self.sync(analyze=analyze))

    def sync(self, *, analyze: bool) -> float:
        key = ",".join(self.shape.key)
        command = [binary(), "sync", "run", "--source", self.location, "--table", "public.loaded"]
        command += ["--key", key, "--target", self.url, "--output", "json"]
        command += [] if analyze else ["--no-analyze"]
        return seconds(lambda: finished(command))

    def of(self, script: str) -> Callable[[], float]:
        def load() -> float:
            python = REPO / "target/venv/bench/bin/python"
            program = REPO / "scripts/bench/peers" / script
            key = ", ".join(self.shape.key)
            arguments = [self.location, self.conninfo, "loaded", key]
            return float(finished([python, program, *arguments]))

        return lambda: self.timed(load)

    def copy(self, *, analyze: bool) -> float:
        return self.timed(lambda: seconds(lambda: self.copy_rows(analyze=analyze)))

    def copy_rows(self, *, analyze: bool) -> None:
        with self.connection.transaction():
            self.connection.execute("CREATE TABLE loaded (LIKE model)")
            command = "COPY loaded FROM STDIN (FORMAT binary, FREEZE)"
            with self.file.open("rb") as rows, self.connection.cursor().copy(command) as copy:
                while block := rows.read(BLOCK):
                    copy.write(block)
            key = ", ".join(self.shape.key)
            self.connection.execute(f"ALTER TABLE loaded ADD PRIMARY KEY ({key})")
        if analyze:
            self.connection.execute("ANALYZE loaded")

    # --- Around them ------------------------------------------------------------------------------

    def save(self) -> None:
        """The rows in COPY's own form, from a load of ours."""
        self.sync(analyze=False)
        self.connection.execute("DROP TABLE IF EXISTS model; CREATE TABLE model (LIKE loaded)")
        with (
            self.file.open("wb") as out,
            self.connection.cursor().copy("COPY loaded TO STDOUT (FORMAT binary)") as copy,
        ):
            for block in copy:
                out.write(block)
        self.sum = self.contents()
        self.clean()

    def timed(self, load: Callable[[], float]) -> float:
        """Nothing of the last contestant is left to be written, and the rows are the same."""
        self.connection.execute("CHECKPOINT")
        took = load()
        if (found := self.contents()) != self.sum:
            raise SystemExit(f"{self.shape.title}: {found} instead of {self.sum}")
        self.clean()
        return took

    def contents(self) -> tuple[int, int]:
        columns = ", ".join(self.shape.compared)
        sql = f"SELECT count(*), sum(hashtext(ROW({columns})::text)) FROM loaded"
        return self.connection.execute(sql).fetchone()

    def clean(self) -> None:
        self.connection.execute("DROP TABLE loaded")
        self.connection.execute("DROP SCHEMA IF EXISTS lakeport_sync CASCADE")

    @property
    def url(self) -> str:
        return f"postgres://{SUPERUSER}@/postgres?host={self.bare.folder}&port={self.bare.port}"

    @property
    def conninfo(self) -> str:
        return (
            f"host={self.bare.folder} port={self.bare.port} user={SUPERUSER} dbname=postgres"
        )


def finished(command: list[object]) -> str:
    """What a program prints, if it ends well."""
    done = subprocess.run(
        list(map(str, command)), env=clean_environment(), capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
