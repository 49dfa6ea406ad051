"""The drivers' own tests: where they come from, pinned, and how each set is run.

A result is `passed`, `failed` or `skipped`, by the test's name.
"""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from suites.place import Access

Results = dict[str, str]
HOUR = 3_600


def run(*command: object, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, stdin=subprocess.DEVNULL, text=True,
        timeout=HOUR, **options,
    )  # fmt: skip


class Suite(ABC):
    """`folder` is its own, and is kept from run to run."""

    name: str
    # What its database must have beside what all have.
    setup = ""

    def __init__(self, cache: Path) -> None:
        self.folder = cache / self.name

    def prepare(self) -> None:
        done = self.folder / "prepared"
        if not done.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            self.install()
            done.touch()

    @abstractmethod
    def install(self) -> None: ...

    @abstractmethod
    def results(self, access: Access, log: Path) -> Results: ...


# --- Python ----------------------------------------------------------------------------------------


@dataclass
class Pins:
    """The package whose source has the tests, and what it takes to run them."""

    source: str
    packages: list[str]


class PythonSuite(Suite):
    pins: Pins

    @property
    def python(self) -> Path:
        return self.folder / "venv/bin/python"

    @property
    def tree(self) -> Path:
        return self.folder / "source"

    def install(self) -> None:
        run(sys.executable, "-m", "venv", "venv", cwd=self.folder, check=True)
        pip = [self.python, "-m", "pip", "--quiet"]
        run(*pip, "install", "pytest==9.2.0", *self.pins.packages, cwd=self.folder, check=True)
        only_source = ["--no-deps", "--no-binary", ":all:", "--dest", "sdist"]
        run(*pip, "download", *only_source, self.pins.source, cwd=self.folder, check=True)
        (archive,) = (self.folder / "sdist").glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(self.folder / "unpacked", filter="data")
        (root,) = (self.folder / "unpacked").iterdir()
        root.rename(self.tree)

    def pytest(
        self, access: Access, log: Path, cwd: Path, *arguments: str, **environment: str
    ) -> Results:
        report = log.with_suffix(".xml")
        report.unlink(missing_ok=True)
        with log.open("w") as out:
            run(
                self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                f"--junitxml={report}", *arguments, cwd=cwd, stdout=out, stderr=out,
                env=access.environment() | environment,
            )  # fmt: skip
        results = {}
        for case in ElementTree.parse(report).iter("testcase"):
            kinds = {child.tag for child in case}
            failed = kinds & {"failure", "error"}
            state = "failed" if failed else "skipped" if "skipped" in kinds else "passed"
            name = f"{case.get('classname')}.{case.get('name')}"
            if results.get(name) != "failed":
                results[name] = state
        return results


class Asyncpg(PythonSuite):
    name = "asyncpg"
    pins = Pins("asyncpg==0.32.0", ["asyncpg==0.32.0", "distro==1.9.0"])

    def results(self, access: Access, log: Path) -> Results:
        # Beside the package's source its own, unbuilt, would be imported.
        tests = self.folder / "tests"
        if not tests.exists():
            shutil.copytree(self.tree / "tests", tests)
        return self.pytest(access, log, self.folder, "tests", "--ignore=tests/test__sourcecode.py")


class Psycopg2(PythonSuite):
    name = "psycopg2"
    pins = Pins("psycopg2==2.9.13", ["psycopg2-binary==2.9.13"])

    def results(self, access: Access, log: Path) -> Results:
        return self.pytest(access, log, self.tree, "tests", PSYCOPG2_TESTDB=access.dbname)


class SqlAlchemy(PythonSuite):
    """The tests of the dialect and the suite for all dialects, through psycopg 3."""

    name = "sqlalchemy"
    pins = Pins(
        "SQLAlchemy==2.1.9",
        ["SQLAlchemy==2.1.9", "greenlet==3.5.6", "psycopg==3.3.9", "psycopg-binary==3.3.9"],
    )

    def results(self, access: Access, log: Path) -> Results:
        user, password = quote(access.user, safe=""), quote(access.password, safe="")
        url = (
            f"postgresql+psycopg://{user}:{password}@{access.host}:{access.port}"
            f"/{access.dbname}?sslmode={access.sslmode}"
        )
        tests = ["test/dialect/postgresql", "test/dialect/test_suite.py"]
        return self.pytest(access, log, self.tree, *tests, "--dburi", url, "--maxfail=100000")


# --- Go --------------------------------------------------------------------------------------------


class Pgx(Suite):
    name = "pgx"
    module = "github.com/jackc/pgx/v5"
    setup = "CREATE DOMAIN uint64 AS numeric(20, 0)"

    def install(self) -> None:
        (self.folder / "go.mod").write_text("module suites\n")
        wanted = f"{self.module}@v5.12.0"
        done = run(
            "go", "mod", "download", "-json", wanted,
            cwd=self.folder, check=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        shutil.copytree(json.loads(done.stdout)["Dir"], self.folder / "source")
        for path in [self.folder / "source", *(self.folder / "source").rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)

    def results(self, access: Access, log: Path) -> Results:
        fields = {
            "host": access.host, "port": access.port, "user": access.user,
            "password": access.password, "dbname": access.dbname, "sslmode": access.sslmode,
        }  # fmt: skip
        url = " ".join(f"{name}='{value}'" for name, value in fields.items())
        environment = access.environment() | {"PGX_TEST_DATABASE": url}
        # One package after the other: they share the database.
        command = ["go", "test", "-json", "-count=1", "-p=1", "-timeout=20m", "./..."]
        with log.open("w") as out:
            run(*command, cwd=self.folder / "source", env=environment, stdout=out, stderr=out)
        states = {"pass": "passed", "fail": "failed", "skip": "skipped"}
        results = {}
        for line in log.read_text().splitlines():
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("Action") in states and "Test" in event:
                package = event["Package"].removeprefix(self.module).strip("/") or "."
                # Some names have the path of a temporary directory.
                test = re.sub(r"\d{6,}", "0", event["Test"])
                results[f"{package} {test}"] = states[event["Action"]]
        return results


# --- JavaScript ------------------------------------------------------------------------------------


class NodePostgres(Suite):
    """The packages of node-postgres whose tests are on npm, with the newest driver below them."""

    name = "node-postgres"
    packages = ("pg@8.16.3", "pg-pool@3.10.1", "pg-cursor@2.15.3")
    with_tests = {"pg-pool": "pg-pool@2.0.10", "pg-cursor": "pg-cursor@1.3.0"}
    tools = ("mocha@5.2.0", "bluebird@3.4.1", "co@4.6.0", "expect.js@0.3.1", "lodash@4.17.21")

    def install(self) -> None:
        (self.folder / "package.json").write_text("{}")
        npm = ["npm", "--silent"]
        run(*npm, "install", *self.packages, *self.tools, cwd=self.folder, check=True)
        for package, source in self.with_tests.items():
            done = run(
                *npm, "pack", source, cwd=self.folder, check=True, stdout=subprocess.PIPE
            )
            with tarfile.open(self.folder / done.stdout.split()[-1]) as packed:
                packed.extractall(self.folder / f"{package}-tests", filter="data")
            root = self.folder / f"{package}-tests/package"
            # The tests take `../` for the package, which shall be the installed one.
            for file in [*root.glob("*.js"), root / "package.json"]:
                file.unlink()
            (root / "index.js").write_text(f"module.exports = require('{package}')\n")

    def results(self, access: Access, log: Path) -> Results:
        # `require` would have node-postgres ask for a certificate that the system trusts.
        environment = access.environment("no-verify")
        log.unlink(missing_ok=True)
        results = {}
        for package in self.with_tests:
            for file in sorted((self.folder / f"{package}-tests/package/test").glob("*.js")):
                results |= self.file(package, file, environment, log)
        return results

    def file(self, package: str, file: Path, environment: dict[str, str], log: Path) -> Results:
        mocha = self.folder / "node_modules/.bin/mocha"
        done = run(
            mocha, "--opts", "/dev/null", "--exit", "--timeout", 10_000, "--reporter", "json", file,
            cwd=file.parents[1], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        with log.open("a") as out:
            out.write(done.stdout)
        prefix = f"{package}.{file.stem}"
        begin = done.stdout.find('{\n  "stats"')
        if begin < 0:
            return {f"{prefix}.the whole file": "failed"}
        report, _ = json.JSONDecoder().raw_decode(done.stdout[begin:])
        states = {"passes": "passed", "failures": "failed", "pending": "skipped"}
        return {
            f"{prefix}.{test['fullTitle']}": state
            for kind, state in states.items()
            for test in report[kind]
        }


SUITES: list[type[Suite]] = [Asyncpg, Psycopg2, Pgx, NodePostgres, SqlAlchemy]
