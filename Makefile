# make run and make test need Python 3.11 or newer and nothing else; both make .venv first.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SPEC   ?= experiments/ema.yaml

# Some containers forbid to keep compiled files; then each process would compile thousands of them for 20 s.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help run test faults bench docs ui clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

run: $(STAMP)  ## Run the shipped experiment and write its report (another: SPEC=my.yaml)
	$(BIN)/ablate run $(SPEC)
	@echo 'Here, ablate is $(BIN)/ablate; make ui opens MLflow.'

test: export OMP_NUM_THREADS = 1
test: $(STAMP)  ## Check style and types, run the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

faults: export OMP_NUM_THREADS = 1
faults: $(STAMP)  ## Kill real runs at many points, and see that they go on to the same result
	$(BIN)/pytest -m faults tests

bench: $(STAMP)  ## Measure what each optimization is worth, into benchmarks/RESULTS.md
	$(BIN)/python benchmarks/bench.py --out benchmarks

docs: $(STAMP)  ## Build the documents as a site, build/site/index.html
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

ui: $(STAMP)  ## Open the MLflow UI on what was recorded (http://127.0.0.1:5000)
	$(BIN)/ablate ui

clean:  ## Remove .venv and caches; results and the store stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

# Installs again only when pyproject.toml has changed. Of the 28 000 files most are never imported: to compile
# them all takes longer than all else, and those that are get compiled then.
$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "ablate needs Python 3.11 or newer. Install it, or say where it is:" \
		"make PYTHON=/path/to/python3.11"; exit 1; }
	@echo 'Installing into $(VENV); the first time this takes some minutes.'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]'
	touch $@
