# The two commands of the README are `make demo` and `make test`; each sets up all it needs.
SHELL := /bin/sh
# Where tools/setup puts uv when the machine has none.
export PATH := $(PATH):$(CURDIR)/.tools/bin
.DEFAULT_GOAL := help

PYTHON ?=

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.PHONY: help setup renderer compat demo test check bench addons format

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

check: setup ## Format, lint, types, import contracts, stubs, dead code
	@./tools/check

bench: renderer ## Our figures beside the peers'
	@./tools/bench

addons: setup ## Every host's installable add-on, into dist/
	@.venv/bin/python build_addons.py --release

format: setup ## Rewrite the sources in the one format
	@cargo fmt --all
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .
