"""TRIGGERED and CONTINUOUS: applying a change data feed, against the bare SQL for the same net changes.

The peer has the changed rows in a file, copies them aside, analyzes and upserts, in one transaction. It reads
no feed and finds no net effect. Both begin with a call and end when others see the rows: asking the API
whether an update has ended would take the processor from what is timed.
"""

import statistics
import time
from pathlib import Path

import psycopg
from deltalake import DeltaTable

from bench.clock import Laps, soon
from bench.figures import Figure, Series, at_least, at_most
from bench.home import Home
from bench.lakeport import Lakeport
from bench.plan import Plan
from bench.report import Report
from kit import rows
from kit.delta import DeltaTables
from kit.synced import FOLLOWING, ONLINE, SyncedTable, make_schema, register

INSTANCE = "changes"
FEED = {"delta.enableChangeDataFeed": "true"}
SHARES = {"1 %": 100, "10 %": 10, "50 %": 2}
BLOCK = 1 << 18
SETTINGS = "/api/2.0/lakeport/synced_tables/{}/settings"


def measure(lakeport: Lakeport, home: Home, plan: Plan, report: Report) -> None:
    folder = home.path / "changes"
    folder.mkdir()
    make_schema(lakeport.api, "feeds", "shop")
    lakeport.create(INSTANCE)
    login = lakeport.login(lakeport.until(INSTANCE, "AVAILABLE"))
    try:
        with login.connect() as connection:
            sockets = connection.execute("SHOW unix_socket_directories").fetchone()[0]
        with login.connect(host=sockets, sslmode="disable", password=None) as local:
            Changes(lakeport, local, folder, plan, report).measure()
            follow(lakeport, local, folder, plan, report)
    finally:
        lakeport.delete(INSTANCE)


def synced(lakeport: Lakeport, name: str, location: str, policy: str) -> SyncedTable:
    register(lakeport.api, f"feeds.shop.{name}_source", location)
    return SyncedTable.create(
        lakeport.api, f"feeds.shop.{name}", INSTANCE, f"feeds.shop.{name}_source", [rows.KEY], policy
    )


class Changes:
    """One table whose rows change by shares."""

    def __init__(
        self,
        lakeport: Lakeport,
        local: psycopg.Connection,
        folder: Path,
        plan: Plan,
        report: Report,
    ) -> None:
        self.lakeport, self.local, self.plan, self.report = lakeport, local, plan, report
        self.location = DeltaTables(folder).write(
            "applied", rows.many(plan.snapshot_rows), configuration=FEED
        )
        self.file = folder / "changed.copy"
        self.table = synced(lakeport, "applied", self.location, "TRIGGERED")

    def measure(self) -> None:
        reset_peak(self.lakeport.pid)
        soon(self.table.status, "the table is loaded", until=is_online)
        loaded = peak(self.lakeport.pid)
        # Every share is applied from the feed, also those that a reload would be faster for.
        settings = SETTINGS.format(self.table.name)
        self.lakeport.api.ok("PATCH", settings, {"reload_share": 1.0})
        self.local.execute(f"CREATE TABLE bare (LIKE shop.applied, PRIMARY KEY ({rows.KEY}))")
        self.local.execute("INSERT INTO bare SELECT * FROM shop.applied")
        for share, part in SHARES.items():
            self.compare(share, part)
        self.report.note(
            f"Memory of `lakeport serve` at its peak: {loaded:,.0f} MB in the load of"
            f" {self.plan.snapshot_rows:,} rows, {peak(self.lakeport.pid):,.0f} MB over all changes;"
            " the setting is 537 MB."
        )

    def compare(self, share: str, part: int) -> None:
        ours, told, bare, wal = [], [], [], []
        for number in range(self.plan.change_rounds):
            visible, completed, written = self.apply(part, number)
            ours.append(visible)
            told.append(completed)
            bare.append(self.bare_sql(part, number))
            wal.append(written)
        same = "SELECT count(*) FROM (TABLE shop.applied EXCEPT ALL TABLE bare) d"
        assert self.local.execute(same).fetchone() == (0,), "the two differ"
        changed = self.plan.snapshot_rows // part

        def rate(who: str, taken: list[float]) -> Series:
            return Series(who, [changed / seconds for seconds in taken])

        what = f"TRIGGERED, {share} of {self.plan.snapshot_rows:,} rows changed"
        peer = rate("bare SQL", bare)
        visible = Figure(
            f"{what}, call to visible", "changes/s", rate("Lakeport", ours), peer, at_least(0.9)
        )
        self.report.add(visible)
        self.report.add(
            Figure(f"{what}, call to completed", "changes/s", rate("Lakeport", told), peer)
        )
        per_row = Series("Lakeport", [bytes / changed for bytes in wal])
        self.report.add(Figure(f"{what}: WAL a changed row", "bytes", per_row))

    def apply(self, part: int, number: int) -> tuple[float, float, float]:
        """Seconds from the call until a changed row is seen, and until the update is said to have
        ended; bytes of WAL."""
        changed = f"{rows.KEY} % {part} = {number % part}"
        DeltaTable(self.location).update(predicate=changed, updates={"quantity": "quantity + 1"})
        one = f"SELECT min({rows.KEY}) FROM shop.applied WHERE {changed} AND quantity IS NOT NULL"
        key = self.local.execute(one).fetchone()[0]
        row = f"SELECT quantity FROM shop.applied WHERE {rows.KEY} = {key}"
        self.local.execute("VACUUM shop.applied")
        self.lakeport.settle()
        before, old = self.position(), self.local.execute(row).fetchone()
        updates = f"{self.table.pipeline}/updates"
        laps = Laps()
        update = self.lakeport.api.ok("POST", updates, {})["update_id"]
        soon(lambda: self.local.execute(row).fetchone() != old, "the changes are visible")
        visible = laps.lap()
        state = soon(
            lambda: self.lakeport.api.ok("GET", f"{updates}/{update}")["update"]["state"],
            "the update ends",
            until=lambda state: state in ("COMPLETED", "FAILED"),
        )
        completed = laps.lap()
        message = self.table.status()["message"]
        assert state == "COMPLETED" and "whole source" not in message, message
        return visible, completed, self.position() - before

    def position(self) -> float:
        return float(self.local.execute("SELECT pg_current_wal_lsn() - '0/0'").fetchone()[0])

    def bare_sql(self, part: int, number: int) -> float:
        query = f"SELECT * FROM shop.applied WHERE {rows.KEY} % {part} = {number % part}"
        with (
            self.file.open("wb") as out,
            self.local.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT binary)") as copy,
        ):
            for block in copy:
                out.write(block)
        self.local.execute("VACUUM bare")
        self.local.execute("CREATE UNLOGGED TABLE IF NOT EXISTS aside (LIKE bare)")
        names = [name for name, *_ in rows.COLUMNS]
        put = ", ".join(f"{name} = excluded.{name}" for name in names if name != rows.KEY)
        self.lakeport.settle()
        laps = Laps()
        with self.local.transaction():
            self.local.execute("SET LOCAL work_mem = '64MB'")
            self.local.execute("TRUNCATE aside")
            command = "COPY aside FROM STDIN (FORMAT binary, FREEZE)"
            with self.file.open("rb") as changed, self.local.cursor().copy(command) as copy:
                while block := changed.read(BLOCK):
                    copy.write(block)
            self.local.execute("ANALYZE aside")
            self.local.execute(
                f"INSERT INTO bare SELECT * FROM aside ON CONFLICT ({rows.KEY}) DO UPDATE SET {put}"
            )
        return laps.lap()


# --- CONTINUOUS -----------------------------------------------------------------------------------


def follow(
    lakeport: Lakeport, local: psycopg.Connection, folder: Path, plan: Plan, report: Report
) -> None:
    """Commits once a second: how long until each is seen by a query."""
    tables = DeltaTables(folder)
    location = tables.write("followed", rows.many(plan.commit_rows), configuration=FEED)
    table = synced(lakeport, "followed", location, "CONTINUOUS")
    soon(table.status, "the table follows", until=lambda s: s["detailed_state"] == FOLLOWING)
    waits = []
    for number in range(1, plan.commits + 1):
        first = number * plan.commit_rows
        begun = time.monotonic()
        tables.write("followed", rows.many(plan.commit_rows, first), mode="append")
        laps = Laps()
        # Over the key: a glance that costs the instance nothing.
        query = f"SELECT max({rows.KEY}) FROM shop.followed"
        soon(lambda: local.execute(query).fetchone()[0] >= first, "the commit is visible")
        waits.append(laps.lap())
        time.sleep(max(0.0, 1 - (time.monotonic() - begun)))
    what = f"CONTINUOUS, commits of {plan.commit_rows:,} rows a second, commit to visible"
    report.add(Figure(what, "s", Series("Lakeport", waits), wanted=at_most(2)))
    half = len(waits) // 2
    early, late = statistics.median(waits[:half]), statistics.median(waits[half:])
    report.note(f"CONTINUOUS: {early:.2f} s in the first half, {late:.2f} s in the second.")


def is_online(status: dict) -> bool:
    return status["detailed_state"] == ONLINE


def reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(pid: int) -> float:
    """Megabytes that a process had at most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
