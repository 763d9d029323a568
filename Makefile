# Everything a person or a machine runs. `make help` lists the targets.

PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SHARED := $(or $(VEILMARK_SHARED_DATA),../shared/data)
PROFILE ?= internal
# A run of this project talks to nobody: no analytics, no thread storms on small machines.
export GX_ANALYTICS_ENABLED := false

.DEFAULT_GOAL := help
.PHONY: help install demo serve worker test lint types contracts unit proofs test-postgres browser bench bench-generators bench-generators-all clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[platform,dev]'
	touch $@

install: $(STAMP) ## Make .venv and install everything into it

demo: $(STAMP) ## Run the whole path: cohort to verified release (COHORT=DIR MAPPING=FILE PROFILE=internal)
	$(BIN)/python manage.py demo --profile '$(PROFILE)' $(if $(COHORT),--cohort '$(COHORT)') $(if $(MAPPING),--mapping '$(MAPPING)')

serve: $(STAMP) ## Start the site on http://127.0.0.1:8000 with its worker
	$(BIN)/python manage.py serve

worker: $(STAMP) ## Run the queued jobs
	$(BIN)/python manage.py worker

test: lint types unit test-postgres ## Pass every test: lint, types, contracts, unit, pages, both databases

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

contracts: $(STAMP) ## import-linter: the layers
	$(BIN)/lint-imports

# Two workers on two cores: the threads that torch and BLAS would start beside them only wait for one another.
unit proofs test-postgres browser: export OMP_NUM_THREADS = 1

unit: $(STAMP) ## The tests on the embedded database, pages in a real browser among them
	$(BIN)/pytest -n 2 --dist loadfile

proofs: $(STAMP) ## The whole of what the tests show in part: kill -9 at every phase, epsilon, audits over 200 splits (half an hour and more)
	$(BIN)/pytest -m proofs

test-postgres: $(STAMP) ## Repeat the database tests on a PostgreSQL started for them
	$(BIN)/python tests/on_postgres.py $(BIN)/pytest -n 2 --dist loadfile -m "database and not browser and not slow"

browser: $(STAMP) ## The browser tests alone
	$(BIN)/pytest -m browser

bench: $(STAMP) ## The benchmarks (never part of the tests)
	$(BIN)/pytest tests/benchmarks --override-ini addopts='--import-mode=importlib' --benchmark-columns=median,iqr,rounds

RESULTS := tests/benchmarks/generators/results
BENCH := VEILMARK_SHARED_DATA='$(SHARED)' $(BIN)/python -m audits bench

bench-generators: $(STAMP) ## The generators' table, a subset of about one hour; goes on where it was stopped
	$(BENCH) --data digits --n 4000 --epsilon 1 10 --seeds 1 --splits 3 --out $(RESULTS)/digits.jsonl \
	  --rows simulator latent-statistics mean-embedding peer-dpgan peer-dpdm peer-dpfeta
	$(BENCH) --data cxr_nih_1000 --epsilon 1 8 --seeds 1 --splits 3 --out $(RESULTS)/cxr_nih_1000.jsonl \
	  --rows simulator mean-embedding peer-dpgan latent-statistics
	$(BIN)/python -m audits bench-table $(RESULTS)/digits.jsonl $(RESULTS)/cxr_nih_1000.jsonl

bench-generators-all: $(STAMP) ## Every row on every set: a day of two cores
	for data in digits phantoms pneumoniamnist cxr_nih_1000 brain_mri_tumor skin_ham10000; do \
	  $(BENCH) --data $$data --epsilon 1 8 --seeds 3 --out $(RESULTS)/$$data.jsonl || exit 1; done
	$(BIN)/python -m audits bench-table $(RESULTS)/*.jsonl

clean: ## Remove what running made (keeps .venv)
	rm -rf var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
