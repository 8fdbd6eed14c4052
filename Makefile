# Everything happens in .venv, from hash-locked requirements; nothing is installed elsewhere.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test lint bench aimock lock wheel clean

run: .venv/runtime
	$(BIN)/llm-gateway serve

test: lint
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/runtime
	$(BIN)/llm-gateway bench

# The main job against npm's @copilotkit/aimock; needs node and npm.
aimock: .venv/dev
	cd tests/aimock && npm ci --no-audit --no-fund --silent
	$(BIN)/python -m pytest -q tests/aimock

# What the gateway, its tests and its build need, each with the hashes of every file that may be installed.
lock: LOCK = uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url
lock:
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) --extra dev pyproject.toml -o requirements-dev.lock
	sed -n 's/^requires = \["\(.*\)"\]/\1/p' pyproject.toml | $(LOCK) - -o requirements-build.lock

wheel: .venv/dev
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Without build isolation, or pip would fetch the build backend by itself, unlocked.
.venv/runtime: requirements.lock requirements-build.lock pyproject.toml | .venv/bin/python
	$(PIP) install --require-hashes -r requirements.lock -r requirements-build.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

.venv/dev: requirements-dev.lock requirements-build.lock pyproject.toml | .venv/bin/python
	$(PIP) install --require-hashes -r requirements-dev.lock -r requirements-build.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@ .venv/runtime

clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
