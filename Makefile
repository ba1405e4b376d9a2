# The two commands of the README are `make demo` and `make test`; each sets up all it needs.
SHELL := /bin/sh
# Where tools/setup puts uv when the machine has none.
export PATH := $(PATH):$(CURDIR)/.tools/bin
.DEFAULT_GOAL := help

PYTHON ?=

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.PHONY: help setup renderer compat demo test integration fuzz cross peers check bench wheels wheel wheel-tools pure-wheels smoke deny addons format

setup: ## Python environment and native module
	@./tools/setup $(PYTHON)

renderer: ## The same, and a Blender: the one on PATH, else the bpy wheel
	@./tools/setup --with-renderer $(PYTHON)

compat: setup ## .venv-compat: the names of the package deadline, over Shotput
	@./tools/compat

demo: renderer ## A real scene becomes frames, through every part
	@.venv/bin/shotput demo

test: renderer ## All tests
	@./tools/test

integration: setup ## The integration tests against one running farm
	@./tools/integration

fuzz: ## Each fuzz target for SECONDS (60)
	@./tools/fuzz $(SECONDS)

peers: setup ## The official programs, for tests and benchmarks, in .bench/peers
	@./tools/peers .venv/bin/python

check: setup ## Format, lint, types, import contracts, stubs, dead code
	@./tools/check

bench: renderer ## Our figures beside the peers'; README=yes writes them into benchmarks/README.md
	@./tools/bench $(if $(README),--readme)

wheels: setup deny wheel pure-wheels ## All wheels as they are released, tried on old and new systems
	@SHOTPUT_WHEEL="$$(echo dist/wheels/shotput-[0-9]*.whl)" .venv/bin/python -m pytest tests/wheels

wheel: ## The wheel of `shotput` for TARGET (default: this machine), into dist/wheels
	@./tools/wheel $(TARGET)

# What a machine of the release workflow lacks for TARGET.
wheel-tools:
	@rustup target add $(if $(filter universal2-apple-darwin,$(TARGET)),x86_64-apple-darwin aarch64-apple-darwin,$(TARGET))

pure-wheels:
	@for project in shared_ui farm integrations compat; do uv build --quiet --wheel --out-dir dist/wheels $$project; done

# The wheel in dist/wheels, on a Python that uv finds or fetches.
smoke:
	@uv run --quiet --isolated --no-project --python $(or $(PYTHON),3.9) --with dist/wheels/shotput-[0-9]*.whl python -I tests/wheels/smoke.py

cross: ## Check the core for TARGET as far as a compiler can, without a machine of its kind
	@./tools/cross $(TARGET)

deny: ## Licences, sources and known weaknesses of all crates, by cargo-deny
	@./tools/deny

addons: setup ## Every host's installable add-on, into dist/
	@.venv/bin/python build_addons.py --release

format: setup ## Rewrite the sources in the one format
	@cargo fmt --all
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .
