# What there is to do here; CI runs the same targets by hand's own names.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run test lint format bench bench-cold soak proto fuzz lock clean unit kernel-test stubs

UV_VERSION := 0.13.8
TOOLS := .venv-tools
# uv from PATH where there is one, else our own copy, brought by pip.
UV := $(or $(shell uv --version >/dev/null 2>&1 && command -v uv),$(TOOLS)/bin/uv)
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.tapeline-setup
CARGO := cargo
MANIFEST := --manifest-path kernel/Cargo.toml
KERNEL := kernel/Cargo.toml kernel/Cargo.lock kernel/pyproject.toml $(shell find kernel/src kernel/python -type f -not -name '*.so' -not -name '*.pyc')
RECORDINGS := $(or $(TAPELINE_RECORDINGS),../shared/recordings)

export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE ?= copy
export UV_PROJECT_ENVIRONMENT := .venv

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: $(STAMP) ## build the kernel and install everything into .venv

$(TOOLS)/bin/uv:
	@echo "no uv on PATH: installing it into $(TOOLS)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --target $(TOOLS) uv==$(UV_VERSION)

$(STAMP): pyproject.toml $(KERNEL) $(filter $(TOOLS)/%,$(UV))
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: install the stable toolchain from https://rustup.rs"; exit 1; }
	@$(UV) sync --all-packages --quiet --compile-bytecode
	@touch $@

run: $(STAMP) ## everything on one machine: recordings where present, else synthesised load
	@$(BIN)/tapeline up $(if $(wildcard $(RECORDINGS)),--captures $(RECORDINGS) --speed 10,--seconds 60)

test: $(STAMP) ## all checks, then all tests
	@$(MAKE) --no-print-directory lint kernel-test stubs
	@$(MAKE) --no-print-directory unit

unit: $(STAMP)
	@$(BIN)/pytest -q -n 2

lint: $(STAMP) ## formatters, linters, types, import rule, contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH=$(CURDIR)/$(BIN):$$PATH .ci/contract
	$(CARGO) fmt $(MANIFEST) --check
	$(CARGO) clippy $(MANIFEST) --locked --all-targets -- -D warnings
	$(CARGO) clippy $(MANIFEST) --locked --features python -- -D warnings

kernel-test: $(STAMP)
	$(CARGO) test $(MANIFEST) --locked --quiet

stubs: $(STAMP)
	$(BIN)/python -m mypy.stubtest tapeline_kernel

format: $(STAMP) ## format Python, Rust and the contract
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(CARGO) fmt $(MANIFEST)
	$(BIN)/buf format -w

bench: $(STAMP) ## measure everything; results in benchmarks/results
	@$(BIN)/python -m benchmarks $(if $(wildcard $(RECORDINGS)),--captures $(RECORDINGS))

bench-cold: $(STAMP) ## post-process at 1×, 2×, 4× of a size, and our tables against the usual alternatives (ARGS="--payloads 50000000")
	@$(BIN)/python -m benchmarks.cold.scale $(ARGS)
	@$(BIN)/python -m benchmarks.cold.compare
	@$(BIN)/python -m benchmarks.cold.coalescing

soak: $(STAMP) ## twenty minutes of faults, every payload accounted for; results in benchmarks/results (ARGS="--seconds 300 --rate 20000")
	@$(BIN)/python -m tests.soak --report benchmarks/results/soak $(ARGS)

proto: $(STAMP) ## generate code from the contract
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/buf generate

fuzz: $(STAMP) ## fuzz the kernel for a minute a target (needs a nightly toolchain and cargo-fuzz)
	.ci/fuzz

lock: ## resolve all versions anew and pin them in pyproject.toml
	@PATH=$(dir $(UV)):$$PATH $(PYTHON) .ci/lock.py
	@$(CARGO) update $(MANIFEST) --quiet

clean: ## remove what was built or installed here
	rm -rf .venv $(TOOLS) kernel/target kernel/fuzz/target .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
