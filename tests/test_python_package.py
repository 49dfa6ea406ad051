"""The Python package, as a project has it that installed its wheel and nothing else from here."""

import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.cli import bin_directory
from kit.server import REPO, binary, clean_environment

PYTHON = REPO / "target/venv/package/bin/python"
POSTGRES = REPO / "target/postgres/16/bin"

THREE_LINES = """
import arro3.core as arro3
from deltalake import write_deltalake


def test_orders(lakeport_instance, tmp_path):
    ids = arro3.Array([1, 2], arro3.DataType.int64())
    write_deltalake(tmp_path / "orders", arro3.Table.from_pydict({"id": ids}))
    table = lakeport_instance.sync(tmp_path / "orders", primary_key=["id"])
    assert lakeport_instance.query(f"select count(*) from {table}") == [(2,)]
"""


def build(folder: Path, program: Path | None) -> Path:
    environment = clean_environment()
    if program is not None:
        environment["LAKEPORT_WHEEL_BINARY"] = str(program)
    command = [PYTHON, "-m", "pip", "wheel", REPO / "python", "--no-deps", "--no-build-isolation"]
    run([*command, "--no-index", "--quiet", "--wheel-dir", folder], environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def run(command: list, environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the wheel installed, which carries the program under test."""
    folder = tmp_path_factory.mktemp("package")
    program = folder / "lakeport"
    # Symbols are most of a debug build, and of no use here.
    if shutil.which("strip"):
        run(["strip", "-o", program, binary()], clean_environment())
    else:
        shutil.copy(binary(), program)
    wheel = build(folder, program)
    assert wheel.name.startswith("lakeport-0.1.0-py3-none-") and "none-any" not in wheel.name
    target = folder / "site"
    install = [PYTHON, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet"]
    run([*install, "--target", target, wheel], clean_environment())
    yield target
    shutil.rmtree(folder)


def environment_of(site: Path, **more: str) -> dict[str, str]:
    return clean_environment() | {
        "PYTHONPATH": str(site),
        "LAKEPORT_POSTGRES_BIN": str(POSTGRES),
        **more,
    }


def test_three_lines_of_pytest_get_an_instance_and_a_synced_table(
    site: Path, tmp_path: Path
) -> None:
    (tmp_path / "test_orders.py").write_text(THREE_LINES)
    environment = environment_of(site) | {"PATH": "/usr/bin:/bin"}
    said = run([PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path], environment)
    assert "1 passed" in said


def test_console_script_is_the_program_that_the_wheel_carries(site: Path) -> None:
    environment = environment_of(site)
    script = site / "bin" / "lakeport"
    told = run([PYTHON, script, "--version"], environment)
    assert told == run([str(binary()), "--version"], clean_environment())


def test_pure_wheel_finds_the_program(site: Path, tmp_path: Path) -> None:
    wheel = build(tmp_path, None)
    assert wheel.name == "lakeport-0.1.0-py3-none-any.whl"
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    find = [PYTHON, "-c", "import lakeport.binary as b; print(b.find())"]
    named = environment_of(tmp_path / "site", LAKEPORT_BIN=str(binary()))
    assert run(find, named).strip() == str(binary())
    # The console script of this package on PATH is not the program.
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    shutil.copy(site / "bin" / "lakeport", scripts)
    on_path = environment_of(tmp_path / "site", PATH=f"{scripts}:{bin_directory()}")
    assert run(find, on_path).strip() == f"{bin_directory()}/lakeport"
    alone = environment_of(tmp_path / "site", PATH=f"{scripts}:/nowhere")
    main = [PYTHON, "-c", "import lakeport.binary as b; b.main()"]
    done = subprocess.run(main, env=alone, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "LAKEPORT_BIN" in done.stderr
