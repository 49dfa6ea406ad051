#!/usr/bin/env bash
# The main job on real input: installs what is missing, builds, and runs the steps of demo.py
# against a server of its own in a temporary directory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
cargo build --locked --package lakeport-cli
PYTHONPATH=tests exec target/venv/kit/bin/python scripts/demo.py
