"""A real server that speaks S3, as a process of its own: moto's, from an environment of its own."""

import os
import re
import subprocess
from pathlib import Path

import requests

from kit.server import REPO
from kit.waiting import eventually

ACCESS = {"access_key_id": "lake", "secret_access_key": "lake-secret", "region": "us-east-1"}


class ObjectStore:
    """S3 at an address of this machine, which answers until it is closed."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "object-store.log"
        program = REPO / "target/venv/moto/bin/moto_server"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [program, "--host", "127.0.0.1", "--port", "0"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
            )
        self.url = eventually(self._address, "the object store says where it is")

    def _address(self) -> str:
        return re.search(r"http://127\.0\.0\.1:\d+", self.log.read_text())[0]

    def make_bucket(self, name: str) -> None:
        # Any signature will do; who signs is who the bucket belongs to.
        scope = "lake/20300101/us-east-1/s3/aws4_request"
        signature = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        url = f"{self.url}/{name}"
        answer = requests.put(url, headers={"Authorization": signature}, timeout=30)
        assert answer.status_code == 200, answer.text

    @property
    def writer_options(self) -> dict[str, str]:
        """For the official writer of delta-rs."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": ACCESS["secret_access_key"],
            "AWS_REGION": ACCESS["region"],
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_S3_ALLOW_UNSAFE_RENAME": "true",
        }

    def settings(self, bucket: str, **more: str) -> str:
        """The `[[object_store]]` of a server's configuration."""
        options = ACCESS | {"endpoint": self.url, "allow_http": "true"} | more
        lines = "\n".join(f'{name} = "{value}"' for name, value in options.items())
        return f'[[object_store]]\nprefix = "s3://{bucket}/"\n[object_store.options]\n{lines}\n'

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
