# flexledger: `make demo` plays the day, `make test` runs every test; both set up what they need first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Some machines (most container images) tell Python to keep no compiled modules: then each of the hundreds of processes
# that the tests start compiles all of our sources again. Here they are kept, in __pycache__, which git ignores.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo tamper test coverage check bench docs lint vectors clean requirements

help:
	@echo "make demo    set up, then play the demo day end to end (about a minute with setting up)"
	@echo "make tamper  set up, then edit one row of a real log and see it named (seconds)"
	@echo "make test    set up, then lint and run every test (under ten minutes on two cores)"
	@echo "make coverage  every test with a coverage report (takes about twice as long)"
	@echo "make check   format, lint, types, import directions and the fast tests (under a minute)"
	@echo "make bench   measure the hot paths, each beside a floor measured in the same run"
	@echo "make docs    write the generated reference pages again"

# One stamp per requirement file: a changed file installs again, an unchanged one costs nothing.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "flexledger needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "This Python has no venv module. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.server: $(VENV)/.python requirements.txt requirements-build.txt pyproject.toml
	@echo "installing what the service needs (pinned, with hashes)"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements-build.txt -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.server requirements-test.txt requirements-vectors.txt
	@echo "installing what the tests need (pinned, with hashes)"
	@$(PIP) install --require-hashes -r requirements-test.txt -r requirements-vectors.txt
	@touch $@

demo: $(VENV)/.server
	@$(BIN)/flexledger demo $(DEMO_ARGS)

tamper: $(VENV)/.server
	@$(BIN)/flexledger demo --tamper

test: $(VENV)/.test lint
	@$(BIN)/python -m pytest -n 3 --dist loadfile

# Tracing every line nearly doubles the time, so it is asked for by name.
coverage: $(VENV)/.test
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --cov --cov-report=term:skip-covered

# What is whole in seconds: attacks, crashes, strangers and real servers are in `make test`.
FAST := tests/unit tests/property tests/docs tests/conformance tests/test_tidy.py tests/test_requirements.py tests/test_architecture.py

check: $(VENV)/.test lint
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not day" -p no:cacheprovider $(FAST)

lint: $(VENV)/.test
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }

bench: $(VENV)/.test
	@$(BIN)/python -m tests.bench $(BENCH_ARGS)

docs: $(VENV)/.test
	@$(BIN)/python -m tests.support.reference --write

# Writes the requirement files again; needs uv. The files name no index and no host.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --no-strip-extras
requirements:
	$(COMPILE) pyproject.toml --extra server -o requirements.txt
	$(COMPILE) pyproject.toml --extra server --extra test --extra postgres --extra hsm -o requirements-test.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage demo-out devcerts/out
