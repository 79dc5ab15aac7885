# Tasks for operators and developers; `make` lists them. Needs Python 3.11 or newer.

PYTHON       ?= python3
BIN          := .venv/bin
CHROMEDRIVER := /usr/bin/chromedriver
# Debian packages that some tests need; without them, those tests are skipped.
TEST_PACKAGES := nginx pgbouncer prometheus sqlite3
PEERS        := .venv-peers
# Processes that share the tests. One more than there are CPUs, because many tests wait for servers.
WORKERS      ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')
# A module's tests share servers, so one process runs them all.
PYTEST_ALL   := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

# Production-like settings for the checks, regardless of .env and the environment.
CHECK_ENV := env -i PATH="$$PATH" HOME="$$HOME" ENV_FILE=/dev/null DATA_DIR=var/check HTTPS_ONLY=true \
	ALLOWED_HOSTS=ci-log.example.org SITE_URL=https://ci-log.example.org TRUSTED_PROXIES=127.0.0.1 \
	SECRET_KEY=only-for-checks-0123456789-abcdefghijklmnopqrstuvwxyz \
	CIRCLECI_WEBHOOK_SECRETS='{"checks": "a-secret-of-the-checks-only"}'

.DEFAULT_GOAL := help
.PHONY: help run test test-packages test-browser torture mutants bench bench-admin bench-growth fuzz check api-check schema \
	format lock clean

help: ## list these tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(BIN)/prod.installed $(BIN)/webhooklog ## install, prepare and serve on http://127.0.0.1:8000 (PORT=… for another port)
	@exec $(BIN)/python -m webhooklog.run

test: $(BIN)/dev.installed test-packages ## run all tests, on SQLite and on PostgreSQL
	$(PYTEST_ALL) --database=sqlite
	$(PYTEST_ALL) --database=postgresql -m "not sqlite_site" --cov --cov-fail-under=95

test-browser: $(BIN)/dev.installed $(CHROMEDRIVER) ## test every page in Chromium, in light and dark mode and at phone size: five minutes
	$(BIN)/python -m pytest --numprocesses=2 tests/browser

torture: $(BIN)/dev.installed ## test that faults lose no delivery: over half an hour (SHORT=1: five minutes)
	$(BIN)/python -m tests.load.torture $(if $(SHORT),--short)

# From scratch, because mutmut would not rerun a mutant after a change to the tests.
mutants: $(BIN)/dev.installed $(BIN)/mutants.installed ## change the code in 1,900 small ways, and list each change that no test detects: half an hour
	rm -rf mutants
	$(BIN)/mutmut run
	$(BIN)/mutmut results

bench: $(BIN)/dev.installed $(BIN)/granian.installed $(PEERS)/installed ## measure the site, its peers and upper limits: an hour (SHORT=1: a minute)
	$(BIN)/python -m tests.load.bench $(if $(SHORT),--short)

bench-admin: $(BIN)/dev.installed ## time each admin page with 10,000 and 5,000,000 events: half an hour
	$(BIN)/python -m tests.load.bench_admin

bench-growth: $(BIN)/dev.installed ## time everything with 10,000 and 10,000,000 events (SQLite: 1,000,000): an hour
	$(BIN)/python -m tests.load.bench_growth $(OPTIONS)

fuzz: $(BIN)/dev.installed ## try 10,000 hostile bodies in each property test and figures of 100,000 runs, on both databases: half an hour
	@for database in sqlite postgresql; do \
		PYTEST_HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest --database=$$database \
			tests/integration/test_hostile_bodies.py tests/unit/circleci \
			tests/integration/test_insights.py || exit 1; \
	done

check: $(BIN)/dev.installed ## check style, types, imports, migrations, deployment, container files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(CHECK_ENV) $(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint --check --lint logs
	$(CHECK_ENV) $(BIN)/python manage.py makemigrations --check --dry-run
	$(CHECK_ENV) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml

api-check: $(BIN)/dev.installed ## test a running site against docs/openapi.yaml with schemathesis: two minutes
	$(BIN)/python -m tests.load.api_check

schema: $(BIN)/dev.installed ## write docs/openapi.yaml, the description of the API
	$(CHECK_ENV) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

format: $(BIN)/dev.installed ## format the code and fix what can be fixed automatically
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/djlint --reformat --quiet logs

lock: $(BIN)/dev.installed ## compile each requirements file *.in to a hash-locked *.txt (UPGRADE=1 for the newest versions)
	@for path in requirements/base requirements/prod requirements/dev requirements/granian requirements/mutants tests/load/peers/requirements; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras $(if $(UPGRADE),--upgrade) \
			--custom-compile-command "make lock" --output-file $$path.txt $$path.in || exit 1; \
	done

clean: ## remove everything that make created, except the log in var/
	rm -rf .venv $(PEERS) mutants .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage var/check

# Debian's driver package matches its Chromium.
$(CHROMEDRIVER):
	@test "$$(id -u)" = 0 && command -v apt-get > /dev/null || \
		{ echo "The browser tests need Debian packages: apt-get install chromium chromium-driver" >&2; exit 1; }
	apt-get update --quiet
	DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet chromium chromium-driver

# RUNLEVEL=1 keeps Debian from starting the services.
test-packages:
	@dpkg --status $(TEST_PACKAGES) > /dev/null 2>&1 \
		|| if test "$$(id -u)" = 0 && command -v apt-get > /dev/null; then \
			apt-get update --quiet && \
			RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet $(TEST_PACKAGES); \
		else \
			echo "Some tests are skipped. To run them: apt-get install $(TEST_PACKAGES)" >&2; \
		fi

# One file for each installed set of requirements, so that a second `make run` installs nothing.
$(BIN)/%.installed: requirements/%.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "webhooklog needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing $< ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The console script. The project is not installed, so the script names its folder; -P ignores the current folder.
$(BIN)/webhooklog: Makefile
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s/python" -P -m webhooklog "$$@"\n' "$(CURDIR)" "$(abspath $(BIN))" > $@
	@chmod +x $@

# Kept apart from the site's packages. If the peers cannot be installed, the bench reports this and measures without them.
$(PEERS)/installed: tests/load/peers/requirements.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "Installing $< ..."
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $< && touch $@ || true
