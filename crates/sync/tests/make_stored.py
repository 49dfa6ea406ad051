"""Writes Delta tables whose files hold their columns otherwise than the log says: python make_stored.py DIRECTORY.

Other writers than Spark, and Spark itself in its older ways, write such files; Spark reads all of them.
"""

import datetime as dt
import json

import pyarrow as pa
from by_hand import by_hand, commit, field, head, parquet, path

FEED = {"delta.enableChangeDataFeed": "true"}
INT96 = {"use_deprecated_int96_timestamps": True, "store_schema": False}


def longs(*values):
    return pa.array(values, pa.int64())


def struct_of(*fields):
    return {"type": "struct", "fields": list(fields)}


def array_of(element):
    return {"type": "array", "elementType": element, "containsNull": True}


def map_of(key, value):
    return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}


def stamps(*texts):
    moments = [text and dt.datetime.fromisoformat(text).replace(tzinfo=dt.timezone.utc) for text in texts]
    return pa.array(moments, pa.timestamp("us", "UTC"))


def wide_times():
    """Timestamps of 96 bits, beside a partition column; the second version is for the feed."""
    name = "int96"
    fields = [
        field("id", "long"),
        field("p", "string"),
        field("at", "timestamp"),
        field("list", array_of("timestamp")),
        field("named", map_of("string", "timestamp")),
        field("nested", struct_of(field("at", "timestamp"), field("more", "string"))),
    ]
    actions = head(name, fields, configuration=FEED, partitions=["p"])

    def rows(first, *texts):
        at = stamps(*texts)
        kind = at.type
        listed = [[moment, None] if moment else None for moment in at.to_pylist()]
        return pa.table(
            {
                "id": longs(*range(first, first + len(texts))),
                "at": at,
                "list": pa.array(listed, pa.list_(kind)),
                "named": pa.array([one and [("k", one[0])] for one in listed], pa.map_(pa.string(), kind)),
                "nested": pa.array([one and {"at": one[0]} for one in listed], pa.struct([("at", kind)])),
            }
        )

    first = rows(0, "9999-12-31T23:59:59", "0001-01-01T00:00:00", None)
    commit(name, 0, *actions, {"add": parquet(name, "a.parquet", first, {"p": "x"}, **INT96)})
    second = rows(3, "1500-01-01T00:00:00", "2020-01-01T00:00:00.000001")
    commit(name, 1, {"add": parquet(name, "b.parquet", second, {"p": None}, **INT96)})


def calendars():
    days = pa.array([dt.date(1500, 1, 10), dt.date(1582, 10, 15), dt.date(1, 1, 3)])
    at = stamps("1500-01-10T01:02:03.5", "1582-10-15T00:00:00", "2020-01-01T00:00:00")
    listed = pa.array([[day] for day in days.to_pylist()], pa.list_(pa.date32()))
    rows = pa.table({"id": longs(1, 2, 3), "day": days, "at": at, "listed": listed})
    fields = [field("id", "long"), field("day", "date"), field("at", "timestamp"), field("listed", array_of("date"))]
    for name, zone in [("julian", "UTC"), ("julian_far_away", "Mars/Olympus")]:
        marks = {"version": "3.5.0", "legacyDateTime": "", "timeZone": zone}
        marks = {f"org.apache.spark.{key}": value for key, value in marks.items()}
        by_hand(name, fields, [rows.replace_schema_metadata(marks)])
    # A mark of Spark's in a file that is none of Spark's, and an Arrow schema that is none.
    lies = rows.replace_schema_metadata({"org.apache.spark.legacyDateTime": "", "ARROW:schema": "AAAA"})
    commit("lying", 0, *head("lying", fields), {"add": parquet("lying", "a.parquet", lies, store_schema=False)})


def names():
    inner = struct_of(field("userId", "long"), field("Other", "string"))
    fields = [field("Id", "long"), field("Name", "string"), field("st", inner), field("list", array_of(inner))]
    people = [{"userid": 7, "OTHER": "o"}, None]
    kind = pa.struct([("userid", pa.int64()), ("OTHER", pa.string())])
    stored = {"ID": longs(1, 2), "name": pa.array(["a", "b"]), "ST": pa.array(people, kind)}
    listed = pa.array([people, None], pa.list_(kind))
    by_hand("other_case", fields, [pa.table({**stored, "List": listed})])
    twice = pa.table([longs(1), ["a"], ["b"]], names=["id", "Name", "name"])
    by_hand("twice", [field("id", "long"), field("Name", "string")], [twice])
    inside = pa.array([{"a": 1, "A": 2}], pa.struct([("a", pa.int64()), ("A", pa.int64())]))
    twice = pa.table({"id": longs(1), "st": inside})
    by_hand("twice_inside", [field("id", "long"), field("st", struct_of(field("a", "long")))], [twice])


def kinds():
    fields = [
        field("id", "long"),
        field("small", "short"),
        field("tiny", "byte"),
        field("whole", "integer"),
        field("text", "string"),
        field("bytes", "binary"),
        field("at", "timestamp"),
        field("local", "timestamp_ntz"),
        field("ratio", "double"),
        field("money", "decimal(12,2)"),
        field("list", array_of("short")),
        field("named", map_of("string", "binary")),
    ]

    def rows(small, bytes_of, whole):
        return pa.table(
            {
                "id": pa.array([1, 2] if small == pa.int32() else [3, 4], pa.int32()),
                "small": pa.array([32767, None], small),
                "tiny": pa.array([127, 0], small),
                "whole": pa.array([7, None], whole),
                "text": pa.array([b"caf\xc3\xa9", None], pa.binary()),
                "bytes": pa.array([b"\x00\xff", None], bytes_of),
                "at": pa.array([253402300799000, None], pa.timestamp("ms")),
                "local": pa.array([-62135596800000, 0], pa.timestamp("ms", "UTC")),
                "ratio": pa.array([0.5, 1], pa.float32()),
                "money": pa.array([7, -1], pa.int32()),
                "list": pa.array([[1, None], []], pa.list_(small)),
                "named": pa.array([[(b"k", b"\x01\x02")], None], pa.map_(pa.binary(), bytes_of)),
            }
        )

    tables = [rows(pa.int32(), pa.binary(2), pa.int64()), rows(pa.uint16(), pa.binary(), pa.uint32())]
    by_hand("kinds", fields, tables, ["timestampNtz"])
    for name, kind, stored in [
        ("too_large", "short", pa.array([1, 40000], pa.uint16())),
        ("no_text", "string", pa.array([b"fine", b"\xff"], pa.binary())),
        ("no_number", "long", pa.array(["1", "2"])),
    ]:
        by_hand(name, [field("id", "long"), field("v", kind)], [pa.table({"id": longs(1, 2), "v": stored})])
    early = pa.array([0, -(250 * 10**15)], pa.int64()).cast(pa.timestamp("us", "UTC"))
    by_hand("before_time", [field("id", "long"), field("v", "timestamp")], [pa.table({"id": longs(1, 2), "v": early})])
    early = pa.table({"id": longs(1, 2), "v": early})
    name = "before_time_int96"
    actions = head(name, [field("id", "long"), field("v", "timestamp")])
    commit(name, 0, *actions, {"add": parquet(name, "a.parquet", early, **INT96)})


def inside():
    """Fields in another order, fields that are not there, NULL at every depth."""
    inner = struct_of(field("b", "string"), field("a", "long"), field("late", "string"))
    fields = [
        field("id", "long"),
        field("deep", array_of(array_of(inner))),
        field("named", map_of("string", inner)),
        field("st", struct_of(field("new", "string"), field("newer", "long"))),
        field("gone", inner),
    ]
    kind = pa.struct([("a", pa.int32()), ("b", pa.string())])
    one = {"a": 1, "b": "x"}
    rows = pa.table(
        {
            "id": longs(1, 2, 3),
            "deep": pa.array([[[one, None], None, []], None, []], pa.list_(pa.list_(kind))),
            "named": pa.array([[("k", one), ("n", None)], None, []], pa.map_(pa.string(), kind)),
            "st": pa.array([{"old": 1}, None, {"old": None}], pa.struct([("old", pa.int64())])),
        }
    )
    by_hand("inside", fields, [rows])


def partitions():
    name = "only_partitions"
    actions = head(name, [field("id", "long"), field("p", "string")], configuration=FEED, partitions=["id", "p"])
    other = lambda count: pa.table({"unknown": longs(*range(count))})
    adds = [
        {"add": parquet(name, f"{n}.parquet", other(1), {"id": str(n), "p": text})}
        for n, text in enumerate(["a", None, "b"])
    ]
    commit(name, 0, *actions, *adds[:2])
    commit(name, 1, adds[2])

    name = "spelling"
    kinds = {"d": "decimal(10,2)", "n": "timestamp_ntz", "at": "timestamp", "day": "date"}
    fields = [field("id", "long"), *(field(title, kind) for title, kind in kinds.items())]
    actions = head(name, fields, ["timestampNtz"], FEED, partitions=kinds)
    spellings = [
        ("12.3", "2020-01-01T00:00:00.5", "2020-01-01T00:00:00.5", "2020-01-01T00:00:00"),
        ("-1E+2", "2020-01-01", "2020-01-01T02:00:00+02:00", "2020-01-01 00:00:00"),
        ("12.30", "2020-01-01 00:00:00.5", "2020-01-01 00:00:00.5", "2020-01-01"),
        (None, None, None, None),
    ]
    for version, values in enumerate(spellings):
        rows = pa.table({"id": longs(version)})
        add = {"add": parquet(name, f"{version}.parquet", rows, dict(zip(kinds, values)))}
        commit(name, version, *(actions if version == 0 else []), add)


def hints():
    """`_last_checkpoint` names a checkpoint that is not there; all commits are."""
    for name, version in [("hint_behind", 1), ("hint_ahead", 9)]:
        actions = head(name, [field("id", "long")], configuration=FEED)
        for at in range(3):
            add = {"add": parquet(name, f"{at}.parquet", pa.table({"id": longs(at)}))}
            commit(name, at, *(actions if at == 0 else []), add)
        (path(name) / "_delta_log" / "_last_checkpoint").write_text(json.dumps({"version": version, "size": 3}))


def clones():
    """The log of a shallow clone names the files of the table that it was made from, and then its own."""
    fields = [field("id", "long"), field("v", "string")]
    by_hand("origin", fields, [pa.table({"id": longs(1, 2), "v": ["a", "b"]})])
    name = "clone"
    actions = head(name, fields, configuration=FEED)
    origin = path("origin").resolve() / "part-0.parquet"
    rows = json.dumps({"numRecords": 2})
    add = {"path": origin.as_uri(), "partitionValues": {}, "size": origin.stat().st_size, "modificationTime": 0, "dataChange": True, "stats": rows}
    commit(name, 0, *actions, {"add": add})
    commit(name, 1, {"add": parquet(name, "own.parquet", pa.table({"id": longs(3), "v": ["c"]}))})


wide_times()
calendars()
names()
kinds()
inside()
partitions()
hints()
clones()
