"""Writes Delta tables with histories and what each version holds: python make_histories.py DIRECTORY.

A history is a folder with a table, change data feed on, and `expected.json`: for each version its columns
and its rows as the official reader sees them. Histories are random and the same in every run.
"""

import json
import pathlib
import random
import shutil
import sys

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

ROOT = pathlib.Path(sys.argv[1])
HISTORIES, VERSIONS = 200, 9
FEED = {"delta.enableChangeDataFeed": "true"}


class History:
    """One table, changed at random. Keys are unique unless it is a series."""

    def __init__(self, folder, seed, series=False):
        self.folder, self.series, self.random = folder, series, random.Random(seed)
        self.columns = {"id": pa.int64(), "ts": pa.int64(), "name": pa.string()}
        self.moves, self.expected = 0, []
        self.write(self.rows(self.ids(8)), configuration=FEED)

    @property
    def table(self):
        return DeltaTable(str(self.folder))

    def ids(self, at_most):
        count = self.random.randint(1, at_most)
        if self.series:
            return [self.random.randrange(6) for _ in range(count)]
        return self.random.sample(range(14), count)

    def value(self, kind):
        if self.random.random() < 0.15:
            return None
        number = self.random.randrange(5)
        return f"n{number}" if kind == pa.string() else number

    def rows(self, ids):
        columns = {"id": pa.array(ids, pa.int64())}
        for name, kind in list(self.columns.items())[1:]:
            columns[name] = pa.array([self.value(kind) for _ in ids], kind)
        return pa.table(columns)

    def write(self, rows, **options):
        write_deltalake(str(self.folder), rows, **options)
        self.remember()

    def remember(self):
        seen = self.table.to_pyarrow_table()
        while len(self.expected) < self.table.version():
            self.expected.append(self.expected[-1])  # A version that changed no rows.
        rows = [list(row.values()) for row in seen.to_pylist()]
        self.expected.append({"columns": seen.column_names, "rows": rows})

    def held(self):
        return {row[0] for row in self.expected[-1]["rows"]}

    def step(self):
        steps = [self.append, self.delete, self.update, self.overwrite, self.add_column]
        if not self.series:
            steps += [self.merge, self.merge, self.move]
        before = self.table.version()
        while self.table.version() == before:
            self.random.choice(steps)()

    def append(self):
        held = set() if self.series else self.held()
        if ids := [id for id in self.ids(5) if id not in held]:
            self.write(self.rows(ids), mode="append")

    def delete(self):
        self.table.delete(f"id % 5 = {self.random.randrange(5)}")
        self.remember_if_changed()

    def update(self):
        predicate = f"id % 3 = {self.random.randrange(3)}"
        ts = f"coalesce(ts, 2) {self.random.choice('+-')} 1"
        self.table.update(predicate=predicate, updates={"ts": ts, "name": "'u'"})
        self.remember_if_changed()

    def overwrite(self):
        if self.random.random() < 0.4:
            self.write(self.rows(self.ids(10)), mode="overwrite")

    def add_column(self):
        if len(self.columns) > 5:
            return
        name = f"Added {len(self.columns)}"
        self.columns[name] = self.random.choice([pa.string(), pa.int64()])
        held = set() if self.series else self.held()
        ids = [id for id in self.ids(4) if id not in held]
        self.write(self.rows(ids), mode="append", schema_mode="merge")

    def move(self):
        self.moves += 1
        predicate = f"id % 4 = {self.random.randrange(4)} and id < 100"
        self.table.update(predicate=predicate, updates={"id": f"id + {100 * self.moves}"})
        self.remember_if_changed()

    def merge(self):
        source = self.rows(self.ids(8))
        merge = self.table.merge(source, "t.id = s.id", source_alias="s", target_alias="t")
        if self.random.random() < 0.5:
            merge = merge.when_matched_delete("s.ts = 1 or s.ts = 2")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()
        self.remember_if_changed()

    def remember_if_changed(self):
        if self.table.version() >= len(self.expected):
            self.remember()

    def save(self):
        if self.series:
            for version in self.expected:
                version["rows"] = newest(version["rows"])
        (self.folder / "expected.json").write_text(json.dumps(self.expected))


def newest(rows):
    """Of each key the row with the greatest `ts`; among those, the greatest row, with null above all."""

    def order(row):
        return (row[1] is not None, row[1] or 0, [(value is None, value) for value in row])

    best = {}
    for row in rows:
        best[row[0]] = max(row, best.get(row[0], row), key=order)
    return list(best.values())


def histories():
    for seed in range(HISTORIES):
        series = seed % 4 == 3
        history = History(ROOT / f"history-{seed}", seed, series)
        while history.table.version() < VERSIONS - 1:
            history.step()
        history.save()


def named(name, columns, **options):
    write_deltalake(str(ROOT / name), pa.table(columns), **options)


def ints(values):
    return pa.array(list(values), pa.int64())


def texts(values, salt=""):
    return pa.array([f"{value}{salt}" for value in values])


def cases():
    # Much of it changes: an update of half, then another version of everything.
    count = 60_000
    rows = {"id": ints(range(count)), "v": texts(range(count))}
    named("large", rows, configuration=FEED)
    table = DeltaTable(str(ROOT / "large"))
    table.update(predicate="id % 100 = 0", updates={"v": "'changed'"})
    table.update(predicate="id % 2 = 0", updates={"v": "'half'"})
    named("large", {"id": ints(range(count)), "v": texts(range(count), "!")}, mode="overwrite")

    small = {"id": ints([1, 2, 3]), "v": ["a", "b", "c"]}
    for name in ("lost_log", "lost_changes", "switched_off", "replaced", "twice", "dropped", "null_key"):
        named(name, small, configuration=FEED)
        DeltaTable(str(ROOT / name)).update(predicate="id = 2", updates={"v": "'B'"})
    table = DeltaTable(str(ROOT / "lost_log"))
    table.delete("id = 3")
    table = DeltaTable(str(ROOT / "switched_off"))
    table.alter.set_table_properties({"delta.enableChangeDataFeed": "false"})
    table.delete("id = 3")
    table.alter.set_table_properties(FEED)
    named("another", {"id": ints([1, 7]), "v": ["a", "z"]}, configuration=FEED)
    named("twice", {"id": ints([9, 9]), "v": ["x", "y"]}, mode="append")
    named("null_key", {"id": ints([None, 5]), "v": ["x", "y"]}, mode="append")
    named("dropped", {"id": ints([1])}, mode="overwrite", schema_mode="overwrite")


shutil.rmtree(ROOT, ignore_errors=True)
ROOT.mkdir(parents=True)
histories()
cases()
