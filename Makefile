.PHONY: help quickstart test chaos bench grid calibrate check clean
PYTHON ?= python3
VENV := .venv
BOCB := $(VENV)/bin/bocb
export BOCB_STORE ?= ./bocb-store

help:
	@echo "make quickstart  a small real sweep on this machine, and its report (2 to 4 minutes)"
	@echo "make test        the whole test suite"
	@echo "make chaos       a sweep of 64 trials under 30 faults (some 10 minutes)"
	@echo "make bench       the store at 4 million measurements, and beside Ray Tune's own files (some minutes)"
	@echo "make grid        one training step of every pair of the paper (a quarter of an hour)"
	@echo "make calibrate   how often intervals cover and tests reject, on planted sweeps (some 5 minutes)"
	@echo "make check       format, lint and types"
	@echo "make clean       remove the virtual environment and the caches"

# Exact versions, so that the same commit behaves the same on every machine.
$(VENV)/.installed: pyproject.toml deploy/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint deploy/constraints.txt --editable '.[dev]'
	touch $@

quickstart: $(VENV)/.installed
	$(BOCB) run search_spaces/sweeps/quickstart.toml
	$(BOCB) status quickstart
	$(BOCB) report quickstart --output bocb-report.html

test: $(VENV)/.installed
	$(VENV)/bin/python -m pytest tests --numprocesses 2 --dist loadfile

chaos: $(VENV)/.installed
	BOCB_CHAOS=long $(VENV)/bin/python -m pytest -s tests/integration/test_chaos.py

bench: $(VENV)/.installed
	$(VENV)/bin/python -m tests.benchmarks.store --output tests/benchmarks/results/store.md

grid: $(VENV)/.installed
	$(BOCB) doctor --grid --json > $(VENV)/grid.json
	$(VENV)/bin/python -m tests.benchmarks.grid < $(VENV)/grid.json > tests/benchmarks/results/grid.md

calibrate: $(VENV)/.installed
	$(VENV)/bin/python -m tests.benchmarks.calibration --output tests/benchmarks/results/calibration.md

check: $(VENV)/.installed
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis *.egg-info
