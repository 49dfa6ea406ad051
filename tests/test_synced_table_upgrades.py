"""After an upgrade: what an older reader may have loaded wrongly is loaded again once, and events say why."""

import datetime
import json
import uuid
from pathlib import Path

import psycopg
import pyarrow
import pyarrow.parquet

from kit.api import Api
from kit.bare_postgres import bare_postgres
from kit.delta import DeltaTables
from kit.login import Login
from kit.server import Server
from kit.synced import SyncedTable, body_of, make_schema, register
from kit.waiting import eventually

FAR = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)


def write_in_96_bits(folder: Path) -> str:
    """A Delta table of one commit whose timestamps are as Spark writes them by default."""
    (folder / "_delta_log").mkdir(parents=True)
    rows = pyarrow.table(
        {"id": pyarrow.array([1], pyarrow.int64()), "at": pyarrow.array([FAR], pyarrow.timestamp("us", "UTC"))}
    )
    file = folder / "part-0.parquet"
    pyarrow.parquet.write_table(rows, file, use_deprecated_int96_timestamps=True, store_schema=False)
    fields = [
        {"name": name, "type": kind, "nullable": True, "metadata": {}}
        for name, kind in (("id", "long"), ("at", "timestamp"))
    ]
    metadata = {
        "id": str(uuid.uuid4()),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": [],
        "configuration": {"delta.enableChangeDataFeed": "true"},
        "createdTime": 0,
    }
    add = {"path": file.name, "partitionValues": {}, "size": file.stat().st_size}
    add |= {"modificationTime": 0, "dataChange": True, "stats": json.dumps({"numRecords": 1})}
    actions = [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 4}}, {"metaData": metadata}, {"add": add}]
    log = "".join(json.dumps(action) + "\n" for action in actions)
    (folder / "_delta_log" / f"{0:020}.json").write_text(log)
    return folder.as_uri()


def test_what_an_older_reader_may_have_misread_is_loaded_again_once(delta: DeltaTables) -> None:
    locations = {
        "far": write_in_96_bits(delta.path("far")),
        "near": delta.write("near", pyarrow.table({"id": pyarrow.array([1], pyarrow.int64())})),
    }
    with bare_postgres() as url:
        server = Server("--metadata-url", url)
        try:
            api = Api(server.start().http, server.token)
            make_schema(api, "main", "shop")
            instance = api.create_instance("upgraded")
            instance = api.wait_for_state("upgraded", "AVAILABLE")
            tables = {}
            for name, location in locations.items():
                register(api, f"main.shop.{name}", location)
                body = body_of(f"main.served.{name}", instance["name"], f"main.shop.{name}", ["id"])
                api.ok("POST", "/api/2.0/database/synced_tables", body)
                tables[name] = SyncedTable(api, body["name"])
                tables[name].wait_online()
            login = Login.to(api, instance)
            assert login.value("SELECT extract(year FROM at)::int FROM served.far") == 9999

            def causes(name: str) -> list[str]:
                return [update["cause"] for update in api.ok("GET", f"{tables[name].pipeline}/updates")["updates"]]

            # The second start finds nothing left to do.
            for start in range(2):
                server.stop()
                if start == 0:
                    set_back(url)
                server.start()
                api = Api(server.http, server.token)
                tables = {name: SyncedTable(api, table.name) for name, table in tables.items()}
                eventually(lambda: unread(url), "every source was looked at", until=lambda left: left == 0)
                assert causes("far").count("SERVICE_UPGRADE") == 1
                assert "SERVICE_UPGRADE" not in causes("near")
            events = api.ok("GET", f"{tables['far'].pipeline}/events")["events"]
            told = [event["message"] for event in events if event["level"] == "WARN"]
            assert any('column "at"' in message for message in told), events
        finally:
            server.close()


def set_back(url: str) -> None:
    """As if an older build had loaded the tables."""
    with psycopg.connect(url) as metadata:
        assert metadata.execute("UPDATE lakeport.synced_tables SET reader_revision = 0").rowcount == 2


def unread(url: str) -> int:
    with psycopg.connect(url) as metadata:
        query = "SELECT count(*) FROM lakeport.synced_tables WHERE reader_revision = 0"
        return metadata.execute(query).fetchone()[0]
