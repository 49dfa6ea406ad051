# Lakeport. Every target that is meant for people has a "##" line; `make` alone lists them.
#
# CARGO_TARGET_DIR is respected. PostgreSQL and the Python environments are found under target/;
# with LAKEPORT_CACHE_DIR set they live there, and target/ links to them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup build test demo wheel bench lint clean

PYTHON := target/venv/kit/bin/python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: PostgreSQL, Python environments
	@scripts/setup.sh

build: ## build the binary
	cargo build --workspace --locked

test: setup build ## install what is missing and run every test
	cargo test --workspace --locked --no-fail-fast
	cargo test --package lakeport-client --all-features --locked
	$(PYTHON) -m pytest tests

demo: ## show the main job on real input, step by step
	@scripts/demo.sh

wheel: ## build the Python package's wheel, with the release binary in it, into dist/
	cargo build --package lakeport-cli --locked --release
	LAKEPORT_WHEEL_BINARY=$$(realpath $${CARGO_TARGET_DIR:-target})/release/lakeport \
	  target/venv/package/bin/python -m pip wheel ./python --no-deps --no-build-isolation \
	  --wheel-dir dist

bench: ## measure, as ratios in one run
	scripts/setup.sh bench
	cargo build --workspace --locked --release
	$(PYTHON) scripts/bench.py

lint: ## format, clippy, and names that must not be committed
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	scripts/check_names.sh

clean: ## remove what was built and unpacked here
	cargo clean
	rm -rf target dist
