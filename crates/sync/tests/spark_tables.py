"""What the scripts share that write tables with real Spark: a session, and tables with what Spark sees in them.

Each table is a folder with `expected.json` beside its log: for each version its columns, and its rows as Spark
sees them, in PostgreSQL's text form.
"""

import base64
import datetime as dt
import decimal
import json
import os
import pathlib
import shutil
import struct
import sys
import time

from pyspark.sql import SparkSession
from pyspark.sql.types import (
    ArrayType,
    DecimalType,
    FloatType,
    MapType,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
    VariantVal,
)

ROOT, JARS = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
# The zone in which Python shows what Spark collects.
os.environ["TZ"] = "UTC"
time.tzset()

FEED = "'delta.enableChangeDataFeed' = 'true'"

builder = SparkSession.builder.master("local[1]")
for name, value in {
    "spark.jars": ",".join(map(str, sorted(JARS.glob("*.jar")))),
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.shuffle.partitions": 1,
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.databricks.delta.snapshotPartitions": 1,
    "spark.databricks.delta.delete.deletionVectors.persistent": "true",
}.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()


def moment_of(_, micros):
    """The library's own way fails for the first day of year 1."""
    return None if micros is None else dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=micros)


TimestampType.fromInternal = TimestampNTZType.fromInternal = moment_of
spark.sparkContext.setLogLevel("ERROR")


class Table:
    """One table; each statement is a version, `@` stands for its name."""

    def __init__(self, name, create, *statements):
        self.folder = ROOT / name
        shutil.rmtree(self.folder, ignore_errors=True)
        for statement in (create, *statements):
            spark.sql(statement.replace("@", f"delta.`{self.folder}`"))
        self.save()

    def then(self, *statements):
        """Further versions, after settings have changed."""
        for statement in statements:
            spark.sql(statement.replace("@", f"delta.`{self.folder}`"))
        self.save()
        return self

    def save(self):
        log = self.folder / "_delta_log"
        for checksum in list(self.folder.rglob("*.crc")):
            checksum.unlink()
        for empty in [folder for folder in log.iterdir() if folder.is_dir() and not any(folder.iterdir())]:
            empty.rmdir()
        versions = sorted(int(file.stem) for file in log.glob("?" * 20 + ".json"))
        expected = [self.at(version) for version in versions]
        (self.folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False))

    def at(self, version):
        try:
            rows = spark.read.format("delta").option("versionAsOf", version).load(str(self.folder))
        except Exception as error:
            if "DELTA_" not in str(error):
                raise
            return {"columns": [], "rows": []}
        types = [field.dataType for field in rows.schema]
        shown = [[postgres(value, of) for value, of in zip(row, types)] for row in rows.collect()]
        return {"columns": rows.columns, "rows": shown}


def postgres(value, of):
    """A value as PostgreSQL shows it as text, null aside."""
    match value:
        case None:
            return None
        case bool():
            return "t" if value else "f"
        case dt.datetime():
            shown = moment(value, " ")
            return shown + "+00" if of == TimestampType() else shown
        case bytes() | bytearray():
            return "\\x" + value.hex()
        case VariantVal() | dict() | list() | tuple():
            return jsonb(value, of)
        case float():
            return repr(value).removesuffix(".0")
        case _:
            return str(value)


def moment(value, between):
    shown = value.isoformat(between)
    return shown.rstrip("0") if value.microsecond and between == " " else shown


def jsonb(value, of):
    """A nested value as jsonb shows it: short names first."""
    match of:
        case _ if value is None:
            return "null"
        case ArrayType():
            return "[" + ", ".join(jsonb(one, of.elementType) for one in value) + "]"
        case MapType():
            key = lambda one: json.loads(text) if (text := jsonb(one, of.keyType))[0] == '"' else text
            return jsonb_object({key(name): jsonb(one, of.valueType) for name, one in value.items()})
        case StructType():
            return jsonb_object({field.name: jsonb(value[field.name], field.dataType) for field in of})
        case VariantType():
            return variant(value.toPython())
        case TimestampType():
            return json.dumps(moment(value, "T") + "Z")
        case DecimalType():
            return str(value)
        case FloatType():
            return shortest(value)
    match value:
        case dt.datetime():
            return json.dumps(moment(value, "T"))
        case dt.date():
            return json.dumps(str(value))
        case bytes() | bytearray():
            return json.dumps(base64.b64encode(value).decode())
        case float() if "e" in repr(value):
            return format(decimal.Decimal(repr(value)), "f")
        case _:
            return json.dumps(value, ensure_ascii=False)


def shortest(value):
    """A number of 32 bits in the digits that it needs."""
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    text = next(text for text in texts if struct.pack("f", float(text)) == struct.pack("f", value))
    return text if "." in text else text + ".0"


def variant(value):
    """A variant's value as jsonb shows it."""
    match value:
        case dict():
            return jsonb_object({name: variant(one) for name, one in value.items()})
        case list():
            return "[" + ", ".join(map(variant, value)) + "]"
        case decimal.Decimal():
            return str(value)
        case dt.datetime():
            return json.dumps(value.isoformat().replace("+00:00", "Z"))
        case dt.date():
            return json.dumps(str(value))
        case bytes() | bytearray():
            return json.dumps(base64.b64encode(value).decode())
        case float() if "e" in repr(value):
            return format(decimal.Decimal(repr(value)), "f")
        case _:
            return json.dumps(value, ensure_ascii=False)


def jsonb_object(members):
    order = sorted(members.items(), key=lambda pair: (len(pair[0].encode()), pair[0].encode()))
    shown = (f"{json.dumps(name, ensure_ascii=False)}: {text}" for name, text in order)
    return "{" + ", ".join(shown) + "}"
