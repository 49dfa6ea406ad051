"""The guide to the command line, pasted into a shell line by line."""

import shutil

from kit.cli import Cli
from test_cli import PSQL
from test_docs import snippets

# Not every machine has it, and the guide need not care.
UUIDGEN = "uuidgen() { cat /proc/sys/kernel/random/uuid; }\n"


def test_every_shell_block_of_the_guide(lakeport: Cli) -> None:
    blocks = snippets("docs/cli.md", "sh")
    assert len(blocks) == 4
    prelude = "set -eo pipefail\n" + ("" if shutil.which("uuidgen") else UUIDGEN)
    prelude += f"export LAKEPORT_PSQL={PSQL[-1]}\n"
    for block in blocks:
        lakeport.shell(prelude + block.replace("target/man", "$(mktemp -d)"))
