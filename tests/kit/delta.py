"""Delta tables for the tests, written by the official writer of delta-rs, and breaking them."""

from pathlib import Path

import pyarrow
from deltalake import write_deltalake


class DeltaTables:
    """A folder of Delta tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def url(self, name: str) -> str:
        return self.path(name).as_uri()

    def write(self, name: str, rows: pyarrow.Table, **options: object) -> str:
        """Writes a table (`mode` says how, "error" if it exists) and returns its location."""
        write_deltalake(str(self.path(name)), rows, **options)
        return self.url(name)

    def data_files(self, name: str) -> list[Path]:
        return sorted(self.path(name).rglob("*.parquet"))
