"""A SNAPSHOT sync against raw binary COPY of the same rows into the same instance.

The peer connects to the instance's own unix socket as the owner, so that nothing of Lakeport is in
its way, and does what the sync does in one transaction: a new table, COPY with FREEZE, the key.
"""

import datetime
from pathlib import Path

import psycopg

from bench.clock import Laps, soon
from bench.figures import Figure, Series, at_least
from bench.home import Home
from bench.lakeport import Lakeport
from bench.plan import Plan
from bench.report import Report
from kit import rows
from kit.delta import DeltaTables
from kit.synced import FAILED, ONLINE, SyncedTable, make_schema, register

INSTANCE = "snapshot"
SOURCE = "lake.shop.sales"
BLOCK = 1 << 18


def measure(lakeport: Lakeport, home: Home, plan: Plan, report: Report) -> None:
    folder = home.path / "snapshot"
    folder.mkdir()
    location = DeltaTables(folder).write("sales", rows.many(plan.snapshot_rows))
    make_schema(lakeport.api, "lake", "shop")
    register(lakeport.api, SOURCE, location)
    lakeport.create(INSTANCE)
    login = lakeport.login(lakeport.until(INSTANCE, "AVAILABLE"))
    try:
        with login.connect() as connection:
            sockets = connection.execute("SHOW unix_socket_directories").fetchone()[0]
        with login.connect(host=sockets, sslmode="disable", password=None) as local:
            compare(lakeport, local, folder / "rows.copy", plan, report)
    finally:
        lakeport.delete(INSTANCE)


def compare(
    lakeport: Lakeport, local: psycopg.Connection, file: Path, plan: Plan, report: Report
) -> None:
    synced: list[tuple[float, float]] = []
    copied: list[tuple[float, float, float]] = []
    for number in range(plan.snapshot_rounds):
        if file.exists() and number % 2:
            copied.append(raw_copy(lakeport, local, file, plan.snapshot_rows))
            synced.append(sync(lakeport, local, number, file, plan.snapshot_rows))
        else:
            synced.append(sync(lakeport, local, number, file, plan.snapshot_rows))
            copied.append(raw_copy(lakeport, local, file, plan.snapshot_rows))

    def rates(who: str, seconds: list[float]) -> Series:
        return Series(who, [plan.snapshot_rows / value for value in seconds])

    wall = rates("Lakeport", [wall for wall, _ in synced])
    run = rates("Lakeport", [run for _, run in synced])
    bare = rates("binary COPY", [copy for copy, _, _ in copied])
    keyed = rates("binary COPY + key", [key for _, key, _ in copied])
    analyzed = rates("binary COPY + key + ANALYZE", [all for _, _, all in copied])
    what = f"SNAPSHOT of {plan.snapshot_rows:,} rows × {len(rows.COLUMNS)} columns"
    report.add(
        Figure(f"{what}, call to online", "rows/s", wall, bare, at_least(0.6)),
        Figure(f"{what}, call to online", "rows/s", wall, keyed),
        Figure(f"{what}, its run alone", "rows/s", run, analyzed),
    )
    report.note(
        f"SNAPSHOT: the rows are {file.stat().st_size / 1e6:,.0f} MB as binary COPY. Lakeport gathers"
        " statistics after the table is online; the peer does in its last line only."
    )


# --- Lakeport -------------------------------------------------------------------------------------


def sync(
    lakeport: Lakeport, local: psycopg.Connection, number: int, file: Path, count: int
) -> tuple[float, float]:
    """Seconds from the call to online, and of the run by its own account. The table is gone
    afterwards; the first leaves its rows in the peer's file."""
    lakeport.settle()
    laps = Laps()
    name = f"lake.shop.sales_{number}"
    table = SyncedTable.create(lakeport.api, name, INSTANCE, SOURCE, [rows.KEY])
    status = soon(
        table.status,
        f"{name} is online",
        until=lambda seen: seen["detailed_state"] in (ONLINE, *FAILED),
    )
    wall = laps.lap()
    if status["detailed_state"] != ONLINE:
        raise SystemExit(f"{name}: {status['detailed_state']}: {status.get('message')}")
    last = status["last_sync"]
    run = moment(last["sync_end_timestamp"]) - moment(last["sync_start_timestamp"])
    served = f"shop.sales_{number}"
    assert local.execute(f"SELECT count(*) FROM {served}").fetchone() == (count,)
    if not file.exists():
        save(local, served, file)
    table.delete(purge_data="true")
    return wall, run.total_seconds()


def moment(text: str) -> datetime.datetime:
    """Of RFC 3339, whose digits after the second may be more than Python takes."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return datetime.datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}+00:00")


def save(local: psycopg.Connection, table: str, file: Path) -> None:
    local.execute(f"CREATE TABLE model (LIKE {table})")
    with (
        file.open("wb") as out,
        local.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)") as copy,
    ):
        for block in copy:
            out.write(block)


# --- The peer -------------------------------------------------------------------------------------


def raw_copy(
    lakeport: Lakeport, local: psycopg.Connection, file: Path, count: int
) -> tuple[float, float, float]:
    """Seconds for the rows alone, with their key, and with statistics, each committed."""
    lakeport.settle()
    laps = Laps()
    with local.transaction():
        local.execute("CREATE TABLE bare (LIKE model)")
        command = "COPY bare FROM STDIN (FORMAT binary, FREEZE)"
        with file.open("rb") as rows_file, local.cursor().copy(command) as copy:
            while block := rows_file.read(BLOCK):
                copy.write(block)
        copied = laps.lap()
        local.execute(f"ALTER TABLE bare ADD PRIMARY KEY ({rows.KEY})")
        keyed = laps.lap()
    committing = laps.lap() - keyed
    local.execute("ANALYZE bare")
    analyzed = laps.lap()
    assert local.execute("SELECT count(*) FROM bare").fetchone() == (count,)
    local.execute("DROP TABLE bare")
    return copied + committing, keyed + committing, analyzed
