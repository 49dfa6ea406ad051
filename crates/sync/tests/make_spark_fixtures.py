"""Writes the tables under fixtures/spark with real Spark: python make_spark_fixtures.py DIRECTORY JARS.

They are committed, because Spark is no part of what the tests need. They were made with pyspark 4.0.1 and, in
the folder JARS, delta-spark_2.13 4.0.1, delta-storage 4.0.1 and antlr4-runtime 4.13.1:

    mvn dependency:copy -Dartifact=io.delta:delta-spark_2.13:4.0.1 -DoutputDirectory=JARS      # and so on

"""

from spark_tables import FEED, Table, spark

HISTORY = (
    "insert into @ values (1, 'a', 1.5), (2, 'b', 2.5), (3, 'c', null), (4, 'd', 4.5), (5, 'e', 5.5)",
    "delete from @ where id = 2",
    "update @ set name = concat(name, '!') where id in (3, 5)",
    "insert into @ values (2, 'b again', 22.25), (6, 'f', 6.5), (7, 'ü🙂', -0.5)",
    """merge into @ t using (select * from values (1, 'merged', 10.0), (8, 'new', 8.0), (6, null, 0.0)
       as s(id, name, price)) s on t.id = s.id
       when matched and s.name is null then delete
       when matched then update set t.name = s.name, t.price = s.price
       when not matched then insert (id, name, price) values (s.id, s.name, s.price)""",
    "update @ set id = id + 100 where id > 6",
    "delete from @ where price is null",
)
COLUMNS = "(id bigint not null, name string, price decimal(10, 2))"


def tables():
    create = f"create table @ {COLUMNS} using delta tblproperties ({FEED}"
    Table("plain", f"{create})", *HISTORY)
    Table("deletion_vectors", f"{create}, 'delta.enableDeletionVectors' = 'true')", *HISTORY)
    for mode in ("name", "id"):
        mapped = f"{create}, 'delta.columnMapping.mode' = '{mode}')"
        Table(f"mapped_by_{mode}", mapped, *HISTORY)
    Table(
        "renamed",
        f"create table @ {COLUMNS} using delta tblproperties ('delta.columnMapping.mode' = 'name')",
        HISTORY[0],
        "alter table @ rename column name to `Full name, with ;{}()=`",
        "alter table @ drop column price",
        "alter table @ add column (price string)",
        "insert into @ values (6, 'f', 'dear')",
    )
    Table(
        "all_at_once",
        f"""create table @ (id bigint not null, name string, price decimal(10, 2),
            place struct<zip: int, city: string>, tags array<string>, day date) using delta
            partitioned by (day) tblproperties ({FEED}, 'delta.enableDeletionVectors' = 'true',
            'delta.columnMapping.mode' = 'name', 'delta.enableRowTracking' = 'true',
            'delta.enableInCommitTimestamps' = 'true')""",
        """insert into @ select id, concat('n', id), id * 1.25, named_struct('zip', id, 'city', 'c'),
           array('t', concat('u', id)), date'2024-02-28' + cast(id % 3 as int) from range(12)""",
        "delete from @ where id % 4 = 1",
        "update @ set place = named_struct('zip', 0, 'city', null) where day = '2024-02-29'",
        "update @ set day = '1999-12-31' where id < 3",
        "insert into @ values (50, 'no day', 1, null, array(), null)",
        "delete from @ where day is null or id = 11",
    )
    widen = [
        ("small", "smallint", "int", "7"),
        ("number", "int", "bigint", "70000"),
        ("ratio", "float", "double", "0.5"),
        ("price", "decimal(6, 2)", "decimal(12, 4)", "12.25"),
    ]
    columns = ", ".join(f"{name} {before}" for name, before, _, _ in widen)
    Table(
        "widened",
        f"""create table @ (id int not null, {columns}) using delta
            tblproperties ({FEED}, 'delta.enableTypeWidening' = 'true')""",
        "insert into @ values (1, 1, 1, 0.5, 1.25), (2, -2, -2, -2.5, -2.5)",
        *(f"alter table @ alter column {name} type {after}" for name, _, after, _ in widen),
        "insert into @ values (3, 100000, 9000000000, 1e300, 12345678.1234)",
        "update @ set small = 200000 where id = 1",
        "delete from @ where id = 2",
    )
    Table(
        "times",
        """create table @ (id bigint not null, local timestamp_ntz, at timestamp, day date) using delta
           tblproperties ('delta.enableInCommitTimestamps' = 'true')""",
        """insert into @ select id, timestamp_ntz'2024-02-29 23:59:59.123456',
           timestamp'1900-01-01 00:00:00', date'9999-12-31' from range(2)""",
        "insert into @ values (2, null, null, null)",
    )
    Table(
        "partitions",
        """create table @ (id bigint, b boolean, s string, n int, d decimal(6, 2), day date, t timestamp,
           bin binary) using delta partitioned by (b, s, n, d, day, t)""",
        """insert into @ values
           (1, true, 'a b/c=d%', -1, 1.25, date'2024-02-29', timestamp'2024-02-29 12:34:56.789', X'00ff'),
           (2, false, 'ü', 0, -0.5, date'1970-01-01', timestamp'1969-12-31 23:59:59', X''),
           (3, null, null, null, null, null, null, null)""",
    )
    Table(
        "v2_checkpoint",
        f"{create}, 'delta.checkpointPolicy' = 'v2', 'delta.checkpointInterval' = '3')",
        *HISTORY,
    )
    spark.conf.set("spark.databricks.delta.checkpoint.partSize", "2")
    Table("checkpoint_in_parts", f"{create}, 'delta.checkpointInterval' = '3')", *HISTORY)
    spark.conf.unset("spark.databricks.delta.checkpoint.partSize")
    Table(
        "clustered",
        f"create table @ {COLUMNS} using delta cluster by (name) tblproperties ({FEED})",
        *HISTORY,
        "optimize @",
    )
    variants = (
        "insert into @ select id, parse_json(v) from values "
        + ", ".join(
            f"({n}, '{text}')"
            for n, text in enumerate(
                ['{"a": 1, "b": "x"}', "[1, 2.5, null]", '"text"', "17", "true", '{"a": "one"}', "null"]
            )
        )
        + " as s(id, v)"
    )
    create_variants = "create table @ (id bigint, v variant) using delta"
    Table("variants", create_variants, variants)
    spark.conf.set("spark.sql.variant.writeShredding.enabled", "true")
    spark.conf.set("spark.sql.variant.allowReadingShredded", "true")
    spark.conf.set("spark.sql.variant.forceShreddingSchemaForTest", "a int, b string")
    shred = "tblproperties ('delta.enableVariantShredding' = 'true')"
    Table("shredded_variants", f"{create_variants} {shred}", variants)


tables()
