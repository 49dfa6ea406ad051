"""Writes the tables under fixtures/spark whose values are hard to read, with real Spark and by its default settings:

    python make_spark_values.py DIRECTORY JARS

They are committed, because Spark is no part of what the tests need. They were made with pyspark 4.1.4 and, in the
folder JARS, delta-spark_4.1_2.13 4.4.0 and what it depends on:

    mvn dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=JARS   # in a project that depends on it
"""

from spark_tables import FEED, Table, spark

FIRST_AND_LAST = [
    "0001-01-01 00:00:00",
    "1500-01-01 00:00:00",
    "1582-10-04 12:00:00",
    "1582-10-15 00:00:00",
    "1677-09-21 00:12:43",
    "1899-12-31 23:59:59.999999",
    "1969-12-31 23:59:59.5",
    "2262-04-11 23:47:17",
    "9999-12-31 23:59:59.999999",
]


def times(first, values=FIRST_AND_LAST):
    rows = ", ".join(
        f"""({first + n}, timestamp'{at}', timestamp_ntz'{at}', date'{at[:10]}', array(timestamp'{at}', null),
            named_struct('at', timestamp'{at}', 'day', date'{at[:10]}'), map('k', timestamp'{at}', 'n', null),
            {n % 2})"""
        for n, at in enumerate(values)
    )
    return f"insert into @ values {rows}, ({first + 99}, null, null, null, null, null, null, null)"


TIMES = """create table @ (id bigint not null, at timestamp, local timestamp_ntz, day date, list array<timestamp>,
    nested struct<at: timestamp, day: date>, named map<string, timestamp>, p int)
    using delta partitioned by (p)"""


def calendars():
    Table(
        "wide_times",
        f"{TIMES} tblproperties ({FEED})",
        times(0),
        "update @ set at = timestamp'1200-02-29 00:00:00' where id = 1",
        "delete from @ where id = 2",
    )
    for mode in ("spark.sql.parquet.datetimeRebaseModeInWrite", "spark.sql.parquet.int96RebaseModeInWrite"):
        spark.conf.set(mode, "LEGACY")
    table = Table("old_calendar", f"{TIMES} tblproperties ({FEED})", times(0))
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    table.then(times(100), "update @ set day = date'1000-02-28' where id = 1")
    table = Table("old_calendar_in_zones", TIMES)
    for nth, zone in enumerate(("America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata", "+02:30")):
        spark.conf.set("spark.sql.session.timeZone", zone)
        for kind in ("INT96", "TIMESTAMP_MICROS"):
            spark.conf.set("spark.sql.parquet.outputTimestampType", kind)
            shown = ["1500-03-01 00:00:00", "1700-01-01 01:02:03.5", "1883-11-18 12:00:00", "1900-01-01 00:00:00"]
            table.then(times(nth * 1000 + (500 if kind == "INT96" else 0), shown))
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    table.save()
    for name in ("datetimeRebaseModeInWrite", "int96RebaseModeInWrite", "outputTimestampType"):
        spark.conf.unset(f"spark.sql.parquet.{name}")


def nested():
    Table(
        "nested_changes",
        f"""create table @ (id bigint not null, ratios map<string, float>, list array<float>, deep array<array<struct<a: int>>>,
            named map<string, struct<a: int>>, nested struct<n: int, d: decimal(4, 1), day: date, s: smallint>)
            using delta tblproperties ({FEED}, 'delta.enableTypeWidening' = 'true')""",
        """insert into @ values
           (1, map('r', 0.1f), array(0.1f, null), array(array(named_struct('a', 1))), map('k', named_struct('a', 1)),
            named_struct('n', 1, 'd', 1.5, 'day', date'2020-01-01', 's', 1s)),
           (2, null, null, null, null, null),
           (3, map('r', null), array(), array(array(), null), map('k', null), named_struct('n', null, 'd', null, 'day', null, 's', null))""",
        "alter table @ alter column nested.s type int",
        "insert into @ values (4, null, null, null, null, null)",
        "alter table @ alter column ratios.value type double",
        "alter table @ alter column list.element type double",
        "alter table @ alter column nested.d type decimal(6, 2)",
        "alter table @ alter column nested.n type double",
        "alter table @ add column (nested.more string)",
        "alter table @ add column (deep.element.element.b string)",
        "alter table @ add column (named.value.b string first)",
        """insert into @ values
           (5, map('r', 0.1d), array(0.1d), array(array(named_struct('a', 2, 'b', 'x'))), map('k', named_struct('b', 'y', 'a', 2)),
            named_struct('n', 1.25, 'd', 2.25, 'day', date'2020-01-02', 's', 70000, 'more', 'm')), (6, null, null, null, null, null)""",
        "update @ set id = 10 where id = 1",
    )
    Table(
        "maps_with_nulls",
        f"""create table @ (id bigint not null, at map<string, timestamp>, v map<string, variant>, s map<int, struct<a: int, v: variant>>)
            using delta tblproperties ({FEED})""",
        """insert into @ values
           (1, null, null, null),
           (2, map('k', timestamp'9999-12-31 00:00:00', 'n', null), map('k', parse_json('{"a": [1, null]}'), 'n', null),
            map(7, named_struct('a', 1, 'v', null), 8, null)),
           (3, map(), map(), map()),
           (4, null, map('n', null), null)""",
        "delete from @ where id = 3",
        "update @ set v = null where id = 2",
    )
    alike = "struct<metadata: binary, value: binary>"
    Table(
        "like_variants",
        f"""create table @ (id bigint not null, both struct<v: variant, s: {alike}>, s {alike}, list array<{alike}>)
            using delta tblproperties ({FEED})""",
        """insert into @ select id, named_struct('v', parse_json('{"a": 1}'), 's', named_struct('metadata', X'01', 'value', X'02')),
           named_struct('metadata', X'03', 'value', X'04'), array(named_struct('metadata', X'05', 'value', null)) from range(2)""",
        "update @ set s = null where id = 1",
    )


def shredded():
    texts = [
        '{"a": 1, "b": "x", "deep": {"n": [1, 2.5, {"z": null}], "s": "t"}}',
        '{"a": 2, "b": "y", "deep": {"n": [], "s": "u"}, "more": true}',
        '{"a": "three", "b": null, "deep": 7}',
        "[1, 2, 3]",
        '"text"',
        "17.25",
        "null",
        '{"a": 12345678901234567890, "b": 1e100}',
    ]
    rows = ", ".join(f"({n}, '{text}')" for n, text in enumerate(texts))
    Table(
        "shredded",
        f"""create table @ (id bigint not null, v variant, nested struct<v: variant>, list array<variant>) using delta
            tblproperties ({FEED}, 'delta.enableVariantShredding' = 'true')""",
        f"""insert into @ select id, parse_json(v), named_struct('v', parse_json(v)), array(parse_json(v), null)
            from values {rows} as s(id, v)""",
        "insert into @ values (50, null, null, null)",
        """insert into @ select id + 60, to_variant_object(named_struct('d', 12.50, 'day', date'2020-02-29', 'at',
           timestamp'9999-12-31 23:59:59', 'local', timestamp_ntz'0001-01-01 00:00:00', 'bin', X'00ff', 'f', 0.5f, 'g', 0.1d,
           'wide', cast(123456789012345678901234.5 as decimal(38, 1)), 't', 1Y, 'flag', true)), null, null from range(2)""",
        "delete from @ where id = 61",
        """update @ set v = parse_json('{"a": 5}') where id = 3""",
    )


def chars():
    spark.conf.set("spark.sql.legacy.charVarcharAsString", "false")
    create = """create table @ (id bigint not null, c char(5), v varchar(5), list array<char(3)>, named map<char(2), char(2)>,
        nested struct<c: char(3), d: decimal(4, 1)>, p char(4)) using delta partitioned by (p)"""
    table = Table(
        "chars",
        f"{create} tblproperties ({FEED})",
        """insert into @ values (1, 'ab', 'ab', array('x', null), map('k', 'v'), named_struct('c', 'y', 'd', 1.5), 'p'),
           (2, null, null, null, null, null, null), (3, 'abcde', 'é', array(), map(), named_struct('c', null, 'd', null), 'é')""",
    )
    # As other writers do, and as ALTER TABLE leaves what was there.
    spark.conf.set("spark.sql.legacy.charVarcharAsString", "true")
    unpadded = """insert into @ values (4, 'ab', 'ab', array('x', null), map('k', 'v'), named_struct('c', 'y', 'd', 1.5), 'q'),
        (5, 'é', '', array(''), map('', ''), named_struct('c', '', 'd', 0.5), '')"""
    spark.sql(unpadded.replace("@", f"delta.`{table.folder}`"))
    spark.conf.set("spark.sql.legacy.charVarcharAsString", "false")
    table.then("delete from @ where id = 1")


calendars()
nested()
shredded()
chars()
