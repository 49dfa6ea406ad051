"""Registering Delta tables and serving them from an instance, over raw HTTP."""

from dataclasses import dataclass
from typing import Any

from kit.api import PIPELINES, SYNCED_TABLES, UNITY, Api
from kit.waiting import eventually

ONLINE = "SYNCED_TABLE_ONLINE_NO_PENDING_UPDATE"
FOLLOWING = "SYNCED_TABLE_ONLINE_CONTINUOUS_UPDATE"
FAILED = ("SYNCED_TABLE_OFFLINE_FAILED", "SYNCED_TABLE_ONLINE_PIPELINE_FAILED")


def make_schema(api: Api, catalog: str, schema: str) -> None:
    api.ok("POST", f"{UNITY}/catalogs", {"name": catalog})
    api.ok("POST", f"{UNITY}/schemas", {"name": schema, "catalog_name": catalog})


def register(api: Api, full_name: str, location: str) -> dict[str, Any]:
    """Registers an external Delta table whose columns are its own."""
    catalog, schema, name = full_name.split(".")
    return api.ok(
        "POST",
        f"{UNITY}/tables",
        {
            "name": name,
            "catalog_name": catalog,
            "schema_name": schema,
            "table_type": "EXTERNAL",
            "data_source_format": "DELTA",
            "storage_location": location,
        },
    )


@dataclass
class SyncedTable:
    """A synced table of the API, by its three-part name."""

    api: Api
    name: str

    @classmethod
    def create(
        cls,
        api: Api,
        name: str,
        instance: str,
        source: str,
        keys: list[str],
        policy: str = "SNAPSHOT",
        **spec: Any,
    ) -> "SyncedTable":
        body = body_of(name, instance, source, keys, policy)
        body["spec"] |= spec
        api.ok("POST", SYNCED_TABLES, body)
        return cls(api, name)

    def get(self) -> dict[str, Any]:
        return self.api.ok("GET", f"{SYNCED_TABLES}/{self.name}")

    def status(self) -> dict[str, Any]:
        return self.get()["data_synchronization_status"]

    def wait_online(self) -> dict[str, Any]:
        return self._wait(lambda status: status["detailed_state"] == ONLINE, "is online")

    def wait_following(self) -> dict[str, Any]:
        return self._wait(lambda status: status["detailed_state"] == FOLLOWING, "follows")

    def wait_version(self, version: int) -> dict[str, Any]:
        def is_there(status: dict[str, Any]) -> bool:
            applied = status.get("last_sync", {}).get("delta_table_sync_info", {})
            return applied.get("delta_commit_version") == version

        return self._wait(is_there, f"has version {version}")

    def wait_failed(self) -> dict[str, Any]:
        return self._wait(lambda status: status["detailed_state"] in FAILED, "has failed")

    def _wait(self, until: Any, what: str) -> dict[str, Any]:
        return eventually(self.status, f"{self.name} {what}", until=until, deadline=90)

    @property
    def pipeline(self) -> str:
        return f"{PIPELINES}/{self.status()['pipeline_id']}"

    def start_update(self, **request: Any) -> str:
        return self.api.ok("POST", f"{self.pipeline}/updates", request)["update_id"]

    def refresh(self, **request: Any) -> dict[str, Any]:
        """Starts an update of its pipeline and waits for its end."""
        pipeline, update = self.pipeline, self.start_update(**request)
        return eventually(
            lambda: self.api.ok("GET", f"{pipeline}/updates/{update}")["update"],
            f"update {update} of {self.name} ends",
            until=lambda seen: seen["state"] in ("COMPLETED", "FAILED", "CANCELED"),
            deadline=90,
        )

    def delete(self, **query: str) -> None:
        self.api.ok("DELETE", f"{SYNCED_TABLES}/{self.name}", **query)
        eventually(
            lambda: self.api.send("GET", f"{SYNCED_TABLES}/{self.name}").status_code,
            f"{self.name} is gone",
            until=lambda status: status == 404,
        )


def body_of(
    name: str, instance: str, source: str, keys: list[str], policy: str = "SNAPSHOT"
) -> dict[str, Any]:
    return {
        "name": name,
        "database_instance_name": instance,
        "logical_database_name": "databricks_postgres",
        "spec": {
            "source_table_full_name": source,
            "primary_key_columns": keys,
            "scheduling_policy": policy,
            "create_database_objects_if_missing": True,
        },
    }
