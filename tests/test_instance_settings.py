"""Every setting of a new instance beside that of a plain cluster of the same programs."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from kit.api import Api
from kit.bare_postgres import bare_postgres
from kit.login import Login
from kit.names import unique
from kit.server import Server

MAJORS = [15, 16, 17, 18]
ENGLISH = "SELECT to_tsvector('The cats are running')::text"

# Why an instance differs; "*" ends a prefix. Whatever differs and is not here is a fault.
REASONS = {
    # Where its files are, and who may log in.
    "cluster_name": "the instance's id, for whoever looks at processes",
    "config_file": "lies beside the data, where the server cannot write it",
    "data_directory": "is another cluster",
    "hba_file": "lies beside the data",
    "ident_file": "lies beside the data",
    "unix_socket_directories": "a directory of the server's own, closed to others",
    "unix_socket_permissions": "only the gateway's user connects",
    "listen_addresses": "nobody reaches a server but through the gateway",
    # Capacity: docs/configuration.md.
    "effective_cache_size": "capacity",
    "maintenance_work_mem": "capacity",
    "max_connections": "capacity",
    "max_parallel_maintenance_workers": "capacity",
    "max_parallel_workers": "capacity",
    "max_wal_size": "capacity",
    "min_wal_size": "capacity",
    "shared_buffers": "capacity",
    "work_mem": "capacity",
    "shared_memory_size": "follows from shared_buffers",
    "shared_memory_size_in_huge_pages": "follows from shared_buffers",
    "num_os_semaphores": "follows from max_connections",
    "wal_buffers": "follows from shared_buffers",
    "commit_timestamp_buffers": "follows from shared_buffers",
    "subtransaction_buffers": "follows from shared_buffers",
    "transaction_buffers": "follows from shared_buffers",
    # How it is run.
    "superuser_reserved_connections": "the control plane always gets in",
    "reserved_connections": "metrics always get in",
    "checkpoint_timeout": "fewer whole pages in the log",
    "jit": "compiling costs more than it saves in short queries",
    "allow_alter_system": "the server's settings are the control plane's",
    "log_line_prefix": "names user and database",
    "shared_preload_libraries": "statement statistics",
    "pg_stat_statements.*": "settings of the module that is loaded",
    "TimeZone": "UTC, whatever the machine's is",
    "log_timezone": "UTC, whatever the machine's is",
    # Of the plain cluster in this test.
    "fsync": "is off there",
}


def reason(name: str) -> str | None:
    prefixes = (key[:-1] for key in REASONS if key.endswith("*"))
    return REASONS.get(name) or next((p for p in prefixes if name.startswith(p)), None)


def settings(connection: psycopg.Connection[Any]) -> dict[str, str]:
    return dict(connection.execute("SELECT name, setting FROM pg_settings").fetchall())


@pytest.mark.parametrize("major", MAJORS)
def test_each_difference_has_a_reason(api: Api, major: int) -> None:
    name = unique("settings")
    api.create_instance(name, pg_version=str(major))
    try:
        with (
            Login.to(api, api.wait_for_state(name, "AVAILABLE")).connect() as instance,
            bare_postgres(major, "--locale=C.UTF-8", "--data-checksums") as url,
            psycopg.connect(url) as bare,
        ):
            ours, plain = settings(instance), settings(bare)
            assert instance.execute(ENGLISH).fetchone() == bare.execute(ENGLISH).fetchone()
    finally:
        api.delete_instance(name)
    different = {key for key in ours.keys() | plain.keys() if ours.get(key) != plain.get(key)}
    unexplained = {key: (plain.get(key), ours.get(key)) for key in different if not reason(key)}
    assert not unexplained, unexplained
    assert ours["default_text_search_config"] == "pg_catalog.english"


@pytest.fixture
def older_instance(own_server: Server) -> Iterator[dict[str, Any]]:
    """One that an earlier version has configured: its file lacks what is written now."""
    api = Api(own_server.http, own_server.token)
    api.create_instance("older")
    instance = api.wait_for_state("older", "AVAILABLE")
    own_server.stop()
    conf = own_server.data_dir / "clusters" / instance["uid"] / "postgresql.conf"
    new = ("default_text_search_config", "lc_", "shared_preload_libraries")
    lines = conf.read_text().splitlines(keepends=True)
    conf.write_text("".join(line for line in lines if not line.startswith(new)))
    own_server.start()
    yield api.wait_for_state("older", "AVAILABLE")


def test_an_older_instance_gets_them_too(
    own_server: Server, older_instance: dict[str, Any]
) -> None:
    login = Login.to(Api(own_server.http, own_server.token), older_instance)
    assert login.value(ENGLISH) == "'cat':2 'run':4"
    assert login.value("SHOW lc_time") == "C.UTF-8"


def test_the_search_of_english_text(login: Login) -> None:
    assert login.value(ENGLISH) == "'cat':2 'run':4"


def test_statement_statistics_can_be_switched_off() -> None:
    server = Server("--statement-statistics=false")
    try:
        api = Api(server.start().http, server.token)
        api.create_instance("plain")
        login = Login.to(api, api.wait_for_state("plain", "AVAILABLE"))
        assert login.value("SHOW shared_preload_libraries") == ""
        versions = api.ok("GET", "/api/2.0/lakeport/postgres-versions")["versions"]
        assert all(version["preloaded"] == [] for version in versions)
    finally:
        server.close()

