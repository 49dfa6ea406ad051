"""A disk that fills up: what cannot be done says so, and is done when there is space again."""

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import rows
from kit.api import Api
from kit.delta import DeltaTables
from kit.login import Login
from kit.names import unique
from kit.server import Server
from kit.synced import SyncedTable, make_schema, register
from kit.waiting import eventually

SIZE = "640m"
# Clusters that a server keeps prepared.
POOL_SIZE = 4


@pytest.fixture
def small_disk(own_disk_server: Server) -> Path:
    return own_disk_server.home


@pytest.fixture
def own_disk_server() -> Iterator[Server]:
    """A server whose data directory is a small file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system of its own")
    server = Server()
    options = f"size={SIZE},mode=711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", server.home], check=True)
    try:
        yield server.start()
        assert server.stop() == 0
    finally:
        subprocess.run(["umount", "--lazy", server.home], check=True)
        server.close()


class Filler:
    """Takes all space but `leave` bytes, and also what becomes free later, until it is released."""

    def __init__(self, disk: Path, leave: int = 0) -> None:
        pool = disk / "data" / "pool"
        eventually(
            lambda: [entry.name for entry in pool.glob("*/*")],
            "the pool is full",
            until=lambda entries: len(entries) == POOL_SIZE,
        )
        self.path = disk / "filler"
        self.file = self.path.open("wb", buffering=0)
        self.ended = threading.Event()
        self.take()
        self.file.truncate(max(self.file.tell() - leave, 0))
        self.taker = threading.Thread(target=self.take_on, daemon=True)
        if leave == 0:
            self.taker.start()

    def take(self) -> None:
        for piece in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while not self.ended.is_set():
                    self.file.write(bytes(piece))

    def take_on(self) -> None:
        while not self.ended.wait(0.002):
            self.take()

    def release(self) -> None:
        self.ended.set()
        if self.taker.is_alive():
            self.taker.join()
        self.file.close()
        self.path.unlink()


def test_a_full_disk_while_creating(own_disk_server: Server, small_disk: Path) -> None:
    api = Api(own_disk_server.http, own_disk_server.token)
    first, second = unique("i"), unique("i")
    # The metadata's own pages are there before the disk is full.
    api.create_instance(first)
    api.wait_for_state(first, "AVAILABLE")
    filler = Filler(small_disk)
    api.create_instance(second)
    status = api.wait_until(second, lambda seen: seen.get("status_message"), "says what is wrong")
    assert status["state"] == "STARTING"
    assert "no space left on device" in status["status_message"].lower(), status
    filler.release()
    ready = api.wait_for_state(second, "AVAILABLE")
    assert "status_message" not in ready


def test_a_full_disk_while_loading(
    own_disk_server: Server, small_disk: Path, delta: DeltaTables
) -> None:
    api = Api(own_disk_server.http, own_disk_server.token)
    name, catalog = unique("i"), unique("c")
    api.create_instance(name)
    instance = api.wait_for_state(name, "AVAILABLE")
    make_schema(api, catalog, catalog)
    register(api, f"{catalog}.{catalog}.source", delta.write("source", rows.many(300_000)))
    filler = Filler(small_disk, leave=20 << 20)
    synced = SyncedTable.create(
        api, f"{catalog}.{catalog}.t", name, f"{catalog}.{catalog}.source", [rows.KEY]
    )
    status = synced.wait_failed()
    assert "disk is full" in status["message"], status
    filler.release()
    assert synced.refresh()["state"] == "COMPLETED"
    login = Login.to(api, instance)
    assert login.value(f"SELECT count(*) FROM {catalog}.t") == 300_000
