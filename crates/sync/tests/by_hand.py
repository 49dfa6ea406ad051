"""Delta tables by hand, by the protocol: a JSON log and Parquet files, in the folder that a script is given."""

import base64
import json
import pathlib
import struct
import sys
import uuid
import zlib

import pyarrow.parquet as pq

ROOT = pathlib.Path(sys.argv[1])


def path(name):
    return ROOT / name


def field(name, kind, nullable=True, **metadata):
    return {"name": name, "type": kind, "nullable": nullable, "metadata": metadata}


def protocol(*features):
    if not features:
        return {"minReaderVersion": 1, "minWriterVersion": 2}
    named = list(features)
    return {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": named,
        "writerFeatures": named,
    }


def parquet(name, file, table, partition=None, **options):
    """Writes a file; gives what a log says of it."""
    pq.write_table(table, path(name) / file, **options)
    return {
        "path": file,
        "partitionValues": partition or {},
        "size": (path(name) / file).stat().st_size,
        "modificationTime": 0,
        "dataChange": True,
        "stats": json.dumps({"numRecords": table.num_rows}),
    }


def commit(name, version, *actions):
    log = path(name) / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(action) + "\n" for action in actions)
    (log / f"{version:020}.json").write_text(lines)


def head(name, fields, features=(), configuration=None, partitions=()):
    schema = {"type": "struct", "fields": fields}
    metadata = {
        "id": str(uuid.uuid4()),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps(schema),
        "partitionColumns": list(partitions),
        "configuration": configuration or {},
        "createdTime": 0,
    }
    (path(name) / "_delta_log").mkdir(parents=True, exist_ok=True)
    used = protocol(*features)
    if "delta.enableChangeDataFeed" in metadata["configuration"]:
        if "writerFeatures" in used:
            used["writerFeatures"] = [*used["writerFeatures"], "changeDataFeed"]
        else:
            used["minWriterVersion"] = 4
    return [{"protocol": used}, {"metaData": metadata}]


def by_hand(name, fields, data, features=(), configuration=None):
    actions = head(name, fields, features, configuration)
    for nth, table in enumerate(data):
        actions.append({"add": parquet(name, f"part-{nth}.parquet", table)})
    commit(name, 0, *actions)


def z85(data):
    rfc = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    z = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    return base64.b85encode(data).translate(bytes.maketrans(rfc, z)).decode()


def bitmap(rows):
    """A 64-bit roaring array of one 32-bit bitmap with one array container."""
    values = struct.pack(f"<{len(rows)}H", *rows)
    container = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16) + values
    return struct.pack("<iqI", 1681511377, 1, 0) + container


def deletion_vector(name, rows):
    data = bitmap(rows)
    id = uuid.uuid4()
    body = b"\x01" + struct.pack(">i", len(data)) + data + struct.pack(">I", zlib.crc32(data))
    (path(name) / f"deletion_vector_{id}.bin").write_bytes(body)
    return {
        "storageType": "u",
        "pathOrInlineDv": z85(id.bytes),
        "offset": 1,
        "sizeInBytes": len(data),
        "cardinality": len(rows),
    }
