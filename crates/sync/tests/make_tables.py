"""Writes the Delta tables that the tests read: python make_tables.py DIRECTORY.

Ordinary tables come from the `deltalake` writer. What it cannot write (deletion vectors, column mapping,
widened types, broken tables) is written here by the Delta protocol: a JSON log and Parquet files.
"""

import datetime as dt
import decimal
import json

import pyarrow as pa
import pyarrow.parquet as pq
from by_hand import by_hand, commit, deletion_vector, field, head, parquet, path
from deltalake import write_deltalake

UTC = dt.timezone.utc


def write(name, table, **options):
    write_deltalake(str(path(name)), table, **options)


# --- every type ------------------------------------------------------------------------------------


def types():
    # Not by a minus sign: arithmetic rounds to 28 digits.
    big, small = (decimal.Decimal(sign + "9" * 36 + ".99") for sign in ("", "-"))
    columns = {
        "id": pa.array([1, 2, 3, 4], pa.int64()),
        "flag": pa.array([True, False, None, True]),
        "tiny": pa.array([-128, 127, None, 0], pa.int8()),
        "small": pa.array([-32768, 32767, None, 0], pa.int16()),
        "int": pa.array([-(2**31), 2**31 - 1, None, 0], pa.int32()),
        "big": pa.array([-(2**63), 2**63 - 1, None, 0], pa.int64()),
        "single": pa.array([float("nan"), float("inf"), None, 0.1], pa.float32()),
        "double": pa.array([float("-inf"), 1e300, None, -0.1], pa.float64()),
        "money": pa.array(
            [decimal.Decimal("-0.01"), decimal.Decimal("12345678.90"), None, decimal.Decimal(0)],
            pa.decimal128(10, 2),
        ),
        "huge": pa.array([big, small, None, decimal.Decimal(10000)], pa.decimal128(38, 2)),
        "day": pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None, dt.date(1970, 1, 1)]),
        "at": pa.array(
            [
                dt.datetime(1, 1, 1, tzinfo=UTC),
                dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
                None,
                dt.datetime(2000, 1, 1, tzinfo=UTC),
            ],
            pa.timestamp("us", "UTC"),
        ),
        "local": pa.array(
            [dt.datetime(1, 1, 1), dt.datetime(1999, 12, 31, 23, 59, 59, 1), None, dt.datetime(2024, 2, 29)],
            pa.timestamp("us"),
        ),
        "Text Col": pa.array(["", 'it\'s "quoted" \\ é 🚢', None, "line\nbreak\ttab"]),
        "bytes": pa.array([b"", b"\x00\xff", None, b"abc"], pa.binary()),
        "list": pa.array([[1, None, 3], [], None, [7]], pa.list_(pa.int32())),
        "map": pa.array([[("a", 1.5), ("b", None)], [], None, [("n", float("nan"))]], pa.map_(pa.string(), pa.float64())),
        "nested": pa.array(
            [
                {"s": 'x"y', "d": decimal.Decimal("1.50"), "t": dt.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "b": b"\x01\x02", "l": [{"f": True}]},
                {"s": None, "d": None, "t": None, "b": None, "l": []},
                None,
                {"s": "", "d": decimal.Decimal("-9.99"), "t": dt.datetime(1969, 12, 31, tzinfo=UTC), "b": b"", "l": None},
            ],
            pa.struct(
                [
                    ("s", pa.string()),
                    ("d", pa.decimal128(5, 2)),
                    ("t", pa.timestamp("us", "UTC")),
                    ("b", pa.binary()),
                    ("l", pa.list_(pa.struct([("f", pa.bool_())]))),
                ]
            ),
        ),
    }
    write("types", pa.table(columns))


def partitioned():
    table = pa.table(
        {
            "id": pa.array(range(6), pa.int64()),
            "region": pa.array(["north/west", "a=b %20", None, "north/west", "ü", "a=b %20"]),
            "day": pa.array([dt.date(2020, 1, 1)] * 3 + [dt.date(2021, 12, 31)] * 3),
            "v": pa.array(["a", "b", "c", "d", "e", "f"]),
        }
    )
    write("partitioned", table, partition_by=["region", "day"])


# --- versions --------------------------------------------------------------------------------------


def people(ids, salt):
    ids = list(ids)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "name": pa.array([f"name {i % 97} {salt if i % 3 == 0 else ''}" for i in ids]),
            "amount": pa.array([decimal.Decimal(i) / 100 for i in ids], pa.decimal128(12, 2)),
        }
    )


def versions():
    write("versions", people(range(20_000), "first"))
    write("versions", people(range(5_000, 30_000), "second"), mode="overwrite")


def evolving():
    write("evolving", pa.table({"id": pa.array([1, 2], pa.int64()), "name": ["a", "b"]}))
    wider = pa.table({"id": pa.array([3], pa.int64()), "name": ["c"], "Added": pa.array([3.5])})
    write("evolving", wider, mode="append", schema_mode="merge")
    narrow = pa.table({"id": pa.array([1], pa.int64())})
    write("evolving", narrow, mode="overwrite", schema_mode="overwrite")


# --- reader features -------------------------------------------------------------------------------


def deleted():
    name = "deleted"
    actions = head(
        name,
        [field("id", "long"), field("v", "string")],
        ["deletionVectors"],
        {"delta.enableDeletionVectors": "true"},
    )
    count = 20_000
    ids = pa.table({"id": pa.array(range(count), pa.int64()), "v": [f"v{i}" for i in range(count)]})
    add = parquet(name, "part-0.parquet", ids)
    # The first and the last row, and both sides of a batch's border.
    add["deletionVector"] = deletion_vector(name, [0, 5, 8191, 8192, 19_999])
    commit(name, 0, *actions, {"add": add})


def mapped(name, mode):
    def annotated(title, kind, id, physical):
        mapping = {"delta.columnMapping.id": id, "delta.columnMapping.physicalName": physical}
        return field(title, kind, **mapping)

    inner = {"type": "struct", "fields": [annotated("In ner", "string", 4, "col-4")]}
    fields = [
        annotated("id", "long", 1, "col-1"),
        annotated("na me", "string", 2, "col-2"),
        annotated("st", inner, 3, "col-3"),
    ]

    def physical(title, kind, id):
        # By id, the names in the files mean nothing.
        shown = title if mode == "name" else f"any-{id}"
        return pa.field(shown, kind, metadata={"PARQUET:field_id": str(id)})

    inside = pa.struct([physical("col-4", pa.string(), 4)])
    schema = pa.schema(
        [
            physical("col-1", pa.int64(), 1),
            physical("col-2", pa.string(), 2),
            physical("col-3", inside, 3),
        ]
    )
    inner_name = inside.field(0).name
    data = [pa.array([1, 2], pa.int64()), pa.array(["a", "b"]), pa.array([{inner_name: "x"}, None], inside)]
    configuration = {"delta.columnMapping.mode": mode, "delta.columnMapping.maxColumnId": "4"}
    by_hand(name, fields, [pa.table(data, schema=schema)], ["columnMapping"], configuration)


def widened():
    changes = [{"fromType": "integer", "toType": "long"}]
    wider = field("n", "long", **{"delta.typeChanges": changes})
    small = pa.table({"id": pa.array([1], pa.int64()), "n": pa.array([7], pa.int32())})
    large = pa.table({"id": pa.array([2], pa.int64()), "n": pa.array([2**40], pa.int64())})
    by_hand("widened", [field("id", "long"), wider], [small, large], ["typeWidening"])


# --- change data feeds that the official writer cannot write -----------------------------------------

FEED = {"delta.enableChangeDataFeed": "true"}


def widening():
    name, features = "widening", ["typeWidening"]
    by_hand(
        name,
        [field("id", "long"), field("n", "integer")],
        [pa.table({"id": pa.array([1], pa.int64()), "n": pa.array([7], pa.int32())})],
        features,
        FEED,
    )
    wider = field("n", "long", **{"delta.typeChanges": [{"fromType": "integer", "toType": "long"}]})
    metadata = same_table(name, [field("id", "long"), wider])
    large = pa.table({"id": pa.array([2], pa.int64()), "n": pa.array([2**40], pa.int64())})
    commit(name, 1, metadata, {"add": parquet(name, "part-1.parquet", large)})


def same_table(name, fields):
    """The metadata of version 0 with another schema."""
    log = (path(name) / "_delta_log" / f"{0:020}.json").read_text().splitlines()
    [metadata] = [json.loads(line) for line in log if "metaData" in line]
    metadata["metaData"]["schemaString"] = json.dumps({"type": "struct", "fields": fields})
    return metadata


def mapped_changes():
    name = "mapped_changes"

    def mapped_field(title, kind, id):
        mapping = {"delta.columnMapping.id": id, "delta.columnMapping.physicalName": f"col-{id}"}
        return field(title, kind, **mapping)

    fields = [mapped_field("id", "long", 1), mapped_field("na me", "string", 2)]
    features = ["columnMapping", "deletionVectors"]
    mapping = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "3"}
    options = {**FEED, **mapping, "delta.enableDeletionVectors": "true"}
    actions = head(name, fields, features, options)
    ids = pa.array([1, 2, 3, 4], pa.int64())
    add = parquet(name, "part-0.parquet", pa.table({"col-1": ids, "col-2": ["a", "b", "c", "d"]}))
    commit(name, 0, *actions, {"add": add})
    remove = {key: add[key] for key in ("path", "partitionValues", "size", "dataChange")}
    remove |= {"deletionTimestamp": 0, "extendedFileMetadata": True}
    commit(name, 1, {"remove": remove}, {"add": {**add, "deletionVector": deletion_vector(name, [0, 2])}})
    commit(name, 2, same_table(name, [fields[0], mapped_field("na me", "string", 3)]))


def mapped_to(title, kind, id):
    mapping = {"delta.columnMapping.id": id, "delta.columnMapping.physicalName": f"col-{id}"}
    return field(title, kind, **mapping)


MAPPED = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "9"}


def removed(add):
    remove = {key: add[key] for key in ("path", "partitionValues", "size", "dataChange")}
    return {"remove": remove | {"deletionTimestamp": 0, "extendedFileMetadata": True}}


def reshaped():
    """A column is renamed, one is dropped, and the table is replaced by one with another type."""
    name, id = "reshaped", mapped_to("id", "long", 1)
    amount, info = mapped_to("amount", "long", 3), mapped_to("info", "string", 4)
    ids = pa.array([1, 2], pa.int64())
    data = {"col-1": ids, "col-2": ["a", "b"], "col-3": ids, "col-4": ["x", "y"]}
    fields = [id, mapped_to("name", "string", 2), amount, info]
    actions = head(name, fields, ["columnMapping"], {**FEED, **MAPPED})
    add = parquet(name, "part-0.parquet", pa.table(data))
    commit(name, 0, *actions, {"add": add})
    title = mapped_to("title", "string", 2)
    commit(name, 1, same_table(name, [id, title, amount, info]))
    commit(name, 2, same_table(name, [id, title, info]))
    fields = [id, title, mapped_to("info", "long", 5)]
    replaced = head(name, fields, ["columnMapping"], {**FEED, **MAPPED})[1]
    data = {"col-1": pa.array([2, 3], pa.int64()), "col-2": ["b", "c"], "col-5": pa.array([20, 30], pa.int64())}
    again = {"add": parquet(name, "part-1.parquet", pa.table(data))}
    commit(name, 3, replaced, removed(add), again)


def rekeyed():
    """The table is replaced by one whose key has another type."""
    old = pa.table({"id": pa.array([1, 2], pa.int64()), "v": ["a", "b"]})
    by_hand("rekeyed", [field("id", "long"), field("v", "string")], [old], (), FEED)
    new = pa.table({"id": ["one", "two"], "v": ["a", "c"]})
    replaced = head("rekeyed", [field("id", "string"), field("v", "string")], (), FEED)[1]
    commit(
        "rekeyed",
        1,
        replaced,
        removed(parquet("rekeyed", "part-0.parquet", old)),
        {"add": parquet("rekeyed", "part-1.parquet", new)},
    )


def renamed_between():
    """A row is added while a column has another name for a time."""
    name, id = "renamed_between", mapped_to("id", "long", 1)
    fields = [id, mapped_to("v", "string", 2)]
    actions = head(name, fields, ["columnMapping"], {**FEED, **MAPPED})
    first = pa.table({"col-1": pa.array([1], pa.int64()), "col-2": ["a"]})
    commit(name, 0, *actions, {"add": parquet(name, "part-0.parquet", first)})
    commit(name, 1, same_table(name, [id, mapped_to("w", "string", 2)]))
    second = pa.table({"col-1": pa.array([2], pa.int64()), "col-2": ["b"]})
    commit(name, 2, {"add": parquet(name, "part-1.parquet", second)})
    commit(name, 3, same_table(name, fields))


def restored():
    """A column is added, and the table is then restored to the version before."""
    name, fields = "restored", [field("id", "long"), field("v", "string")]
    first = pa.table({"id": pa.array([1], pa.int64()), "v": ["a"]})
    by_hand(name, fields, [first], (), FEED)
    more = pa.table({"id": pa.array([2], pa.int64()), "v": ["b"], "more": ["m"]})
    add = parquet(name, "part-1.parquet", more)
    commit(name, 1, same_table(name, [*fields, field("more", "string")]), {"add": add})
    commit(name, 2, same_table(name, fields), removed(add))


def long_key():
    """A key that does not fit into an index comes: it does not compress."""
    text = "long" + "".join(chr(0x4E00 + 7919 * n % 20000) for n in range(3000))
    write("long_key", pa.table({"id": ["short"], "v": [1]}), configuration=FEED)
    write("long_key", pa.table({"id": [text], "v": [2]}), mode="append")


def catalog_managed():
    features = ["catalogManaged", "inCommitTimestamp"]
    data = pa.table({"id": pa.array([1], pa.int64())})
    by_hand("catalog_managed", [field("id", "long")], [data], features, {"delta.enableInCommitTimestamps": "true"})
    log = path("catalog_managed") / "_delta_log" / f"{0:020}.json"
    info = {"commitInfo": {"inCommitTimestamp": 1_700_000_000_000, "timestamp": 0, "operation": "WRITE"}}
    of_writers = '"readerFeatures": ["catalogManaged", "inCommitTimestamp"]'
    text = log.read_text().replace(of_writers, '"readerFeatures": ["catalogManaged"]')
    log.write_text(json.dumps(info) + "\n" + text)


def odd_folders():
    for folder in ("loc%20pct", "loc pct", "back\\slash", "q?#mark"):
        # The writer takes a path for a URL.
        write("folders/written", pa.table({"id": [1], "v": [folder]}), partition_by=["v"])
        path("folders/written").rename(path("folders") / folder)


# --- tables that cannot be synced, or not whole ----------------------------------------------------


def keyed(name, ids, **columns):
    write(name, pa.table({"id": ids, **columns}))


def troubled():
    ints = lambda *values: pa.array(values, pa.int64())
    write("empty", pa.table({"id": ints(), "v": pa.array([], pa.string())}))
    keyed("nul_text", ints(1, 42), v=["fine", "a\0b"])
    keyed("nul_json", ints(1, 42), v=pa.array([["fine"], ["a\0b"]], pa.list_(pa.string())))
    keyed("duplicate_key", ints(1, 7, 7), v=["a", "b", "c"])
    keyed("null_key", ints(1, None, 3), v=["a", "b", "c"])
    late = pa.table({"id": ints(9), "v": pa.array([2**31 - 1], pa.date32())})
    by_hand("late_date", [field("id", "long"), field("v", "date")], [late])
    keyed("long_name", ints(1), **{"x" * 64: ["a"]})

    keyed("missing_file", ints(1), v=["a"])
    next(path("missing_file").glob("*.parquet")).unlink()
    keyed("corrupt_file", ints(1), v=["a"])
    broken = next(path("corrupt_file").glob("*.parquet"))
    broken.write_bytes(b"PAR1" + b"\0" * (broken.stat().st_size - 8) + b"PAR1")
    keyed("short_file", ints(1, 2), v=["a", "b"])
    short = next(path("short_file").glob("*.parquet"))
    pq.write_table(pa.table({"id": ints(1), "v": ["a"]}), short)

    path("no_log").mkdir()
    by_hand("wide", [field(f"c{n}", "long") for n in range(1601)], [])
    by_hand("too_big", *nulls_but_one(1500))
    keyed("system_column", ints(1), ctid=["a"])
    by_hand("fancy", [field("id", "long")], [], ["fancyNew"])
    # Writers list the feature `geospatial` from its last draft on.
    for name, kind, *features in [
        ("geometry", "geometry(OGC:CRS84)"),
        ("geography", "geography(OGC:CRS84, spherical)", "geospatial"),
    ]:
        by_hand(name, [field("id", "long"), field("shape", kind)], [], features)


def nulls_but_one(count):
    """Rows of so many numbers, of which the second one is too large for a page."""
    names = [f"c{n}" for n in range(count)]
    numbers = {name: pa.array([None, 1], pa.int64()) for name in names}
    rows = pa.table({"id": pa.array([1, 2], pa.int64()), **numbers})
    return [field("id", "long"), *(field(name, "long") for name in names)], [rows]


def variants():
    """Names of objects are in the metadata, each value says its type in its first byte."""
    no_names, one_name = b"\x01\x00\x00", b"\x01\x01\x00\x01a"
    values = [
        (no_names, b"\x0c\x07"),  # the number 7
        (no_names, b"\x09hi"),  # a short text
        (one_name, b"\x02\x01\x00\x00\x02\x0c\x01"),  # {"a": 1}
        (no_names, b"\x00"),  # a null that is a value
        None,
    ]
    kind = pa.struct([pa.field("metadata", pa.binary(), False), pa.field("value", pa.binary(), False)])
    made = [value and {"metadata": value[0], "value": value[1]} for value in values]
    rows = pa.table(
        {
            "id": pa.array(range(1, 6), pa.int64()),
            "v": pa.array(made, kind),
            "list": pa.array([[value] for value in made[:4]] + [[]], pa.list_(pa.field("element", kind))),
        }
    )
    many = {"type": "array", "elementType": "variant", "containsNull": True}
    fields = [field("id", "long"), field("v", "variant"), field("list", many)]
    by_hand("variants", fields, [rows], ["variantType"])


def keys_of_maps():
    moment = dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    maps = {
        "ints": pa.array([[(1, "a"), (-2, "b")]], pa.map_(pa.int32(), pa.string())),
        "days": pa.array([[(dt.date(2020, 2, 29), 1)]], pa.map_(pa.date32(), pa.int64())),
        "moments": pa.array([[(moment, 1)]], pa.map_(pa.timestamp("us", "UTC"), pa.int64())),
        "flags": pa.array([[(True, 1)]], pa.map_(pa.bool_(), pa.int64())),
        "money": pa.array([[(decimal.Decimal("1.50"), 1)]], pa.map_(pa.decimal128(5, 2), pa.int64())),
    }
    write("map_keys", pa.table({"id": pa.array([1], pa.int64()), **maps}))


def described():
    fields = [
        field("id", "long", nullable=False, comment="the key's column"),
        field("void", "void"),
        field("v", "string", comment="it's \\ odd"),
    ]
    rows = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("v", pa.string())])
    by_hand("described", fields, [pa.table({"id": [1], "v": ["a"]}, schema=rows)])


types()
partitioned()
versions()
evolving()
deleted()
mapped("mapped_name", "name")
mapped("mapped_id", "id")
widened()
widening()
mapped_changes()
troubled()
variants()
keys_of_maps()
described()
reshaped()
rekeyed()
renamed_between()
restored()
long_key()
catalog_managed()
odd_folders()
