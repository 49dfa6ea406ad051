"""Fifty synced tables of mixed modes on one instance, changed at random for as long as is asked.

    target/venv/kit/bin/python scripts/soak.py [MINUTES]

Checks at the end that every table holds what its source holds; during the run, that the sync's connections
stay under their cap and its memory does not grow. Takes the debug binary, or LAKEPORT_BIN.
"""

import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests"))

from kit.api import Api  # noqa: E402
from kit.delta import DeltaTables  # noqa: E402
from kit.login import Login  # noqa: E402
from kit.server import Server  # noqa: E402
from kit.source import FEED, Source, products, served  # noqa: E402
from kit.synced import SyncedTable, make_schema, register  # noqa: E402
from kit.waiting import eventually  # noqa: E402

TABLES = 50
MODES = ["CONTINUOUS", "TRIGGERED", "TRIGGERED", "SNAPSHOT", "CONTINUOUS"]
# Eight syncs at once, each with one connection and now and then one of the control plane's.
CONNECTIONS = 16
IDS = 400


class Soak:
    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.api = Api(server.http, server.token)
        self.api.create_instance("soak")
        self.instance = self.api.wait_for_state("soak", "AVAILABLE")
        make_schema(self.api, "lake", "soak")
        self.sources, self.tables, self.counts = [], [], {"changes": 0, "updates": 0}
        delta = DeltaTables(folder)
        for number in range(TABLES):
            self.add(delta, number)

    def add(self, delta: DeltaTables, number: int) -> None:
        """Every tenth table shares the pipeline of the one five before it."""
        source = Source(delta, products(list(range(100))), f"t{number}", configuration=FEED)
        name = f"lake.soak.t{number}"
        register(self.api, name, source.location)
        spec = {}
        if number % 10 == 5:
            spec["existing_pipeline_id"] = self.tables[number - 5].status()["pipeline_id"]
        mode = MODES[number % len(MODES)]
        table = SyncedTable.create(
            self.api, f"{name}_synced", "soak", name, ["product_id"], mode, **spec
        )
        self.sources.append(source)
        self.tables.append(table)

    def run(self, minutes: float) -> None:
        end = time.monotonic() + 60 * minutes
        chance = random.Random(4)
        watch = Watch(self)
        with watch:
            while time.monotonic() < end:
                number = chance.randrange(TABLES)
                change(self.sources[number], chance)
                self.counts["changes"] += 1
                if MODES[number % len(MODES)] != "CONTINUOUS" and chance.random() < 0.5:
                    self.tables[number].start_update()
                    self.counts["updates"] += 1
        print(f"{self.counts['changes']} changes, {self.counts['updates']} updates asked for")
        watch.tell()

    def check(self) -> None:
        login = Login.to(self.api, self.instance)
        for number, (source, table) in enumerate(zip(self.sources, self.tables, strict=True)):
            if MODES[number % len(MODES)] != "CONTINUOUS":
                table.start_update()
        for source, table in zip(self.sources, self.tables, strict=True):
            relation = table.name.split(".", 1)[1]
            eventually(
                lambda: served(login, relation) == source.rows(),
                f"{table.name} holds what its source holds ({table.status()})",
            )
        print(f"{TABLES} tables are equal to their sources")


def change(source: Source, chance: random.Random) -> None:
    ids = chance.sample(range(IDS), chance.randint(1, 40))
    match chance.randrange(4):
        case 0:
            source.merge(products(ids, f"merged {chance.random():.6f}"))
        case 1:
            source.table.delete(f"product_id in ({', '.join(map(str, ids[:5]))})")
        case 2:
            price = str(chance.randrange(1000))
            source.table.update(predicate=f"product_id % 7 = {chance.randrange(7)}", updates={"price": price})
        case _:
            fresh = [IDS + chance.randrange(10**9) for _ in range(3)]
            source.append(products(sorted(set(fresh)), "fresh"))


class Watch:
    """Looks at connections and memory each second."""

    def __init__(self, soak: Soak) -> None:
        self.soak, self.connections, self.memory = soak, [], []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        login = Login.to(self.soak.api, self.soak.instance)
        query = """SELECT count(*) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
        with login.connect() as connection:
            while not self._done.wait(1):
                self.connections.append(connection.execute(query).fetchone()[0])
                self.memory.append(resident(self.soak.server.process.pid))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def tell(self) -> None:
        third = max(1, len(self.memory) // 3)
        early, late = (statistics.median(part) for part in (self.memory[:third], self.memory[-third:]))
        print(f"connections: {max(self.connections)} at most, cap {CONNECTIONS}")
        print(f"memory: {early:.0f} MB in the first third, {late:.0f} MB in the last")
        if max(self.connections) > CONNECTIONS:
            sys.exit("too many connections")
        if late > 1.5 * early + 50:
            sys.exit("memory grows")


def resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    server = Server()
    with tempfile.TemporaryDirectory() as folder:
        try:
            server.start()
            soak = Soak(server, Path(folder))
            soak.run(minutes)
            soak.check()
        except Exception:
            print(server.log_tail(), file=sys.stderr)
            raise
        finally:
            server.close()


if __name__ == "__main__":
    main()
