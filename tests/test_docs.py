"""What the documents show is run as it stands there."""

import re
import subprocess
import sys

from kit.api import Api
from kit.server import REPO, Server, binary, clean_environment


def snippets(document: str, language: str) -> list[str]:
    text = (REPO / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run_python(server: Server, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment() | {"DATABRICKS_CONFIG_FILE": str(server.config_file)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_of_the_readme_and_of_connecting(server: Server, api: Api) -> None:
    (first,) = snippets("README.md", "python")
    assert "PostgreSQL 16" in run_python(server, first)
    # The same instance, as a reader would go on.
    second, *_ = snippets("docs/connecting.md", "python")
    assert run_python(server, second + "print(connection.info.dbname)") == "databricks_postgres\n"
    # And its databases in Unity Catalog, of which this one has no tables yet.
    (third,) = snippets("docs/unity-catalog.md", "python")
    shown = run_python(server, third + "print(w.catalogs.get('shop').provisioning_info.state)")
    assert shown == "ProvisioningInfoState.ACTIVE\n"
    api.delete_instance("my-instance")


def test_links_between_documents_lead_somewhere() -> None:
    documents = [*REPO.glob("*.md"), *REPO.glob("docs/**/*.md")]
    for document in documents:
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_every_flag_of_the_server_is_documented() -> None:
    help_text = subprocess.run(
        [str(binary()), "serve", "--help"], capture_output=True, text=True, check=True
    ).stdout
    documented = (REPO / "docs/configuration.md").read_text()
    common = {"--help", "--profile", "--host", "--output", "--quiet", "--verbose", "--version"}
    for flag in set(re.findall(r"--[a-z-]+", help_text)) - common:
        assert flag in documented, flag


def test_commands_of_synced_tables_are_there() -> None:
    text = "".join(snippets("docs/synced-tables.md", "sh")).replace("\\\n", "")
    lines = [line for line in text.splitlines() if line.startswith("lakeport sync")]
    assert len(lines) > 5
    for line in lines:
        command = [str(binary()), "sync", line.split()[2], "--help"]
        help_text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for flag in re.findall(r"--[a-z-]+", line):
            assert flag in help_text, line
