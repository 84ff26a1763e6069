# The commands of this repository. `make demo` and `make test` each set up all they need on a fresh machine.
# Another Python: `make PYTHON=python3.12 demo`. A CPU-only torch on any machine: docs/installing.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
LOCKED := $(PIP) install --no-deps --require-hashes
RUNS := $(addprefix requirements/,torch-cpu.txt torch.txt cuda.txt lock.txt)
CODE := src tests benchmarks requirements
QUICK := -m "not slow" tests/unit
SPREAD := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Tests and benchmarks start the command thousands of times: what it imports is compiled once, as in an installed package.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check bench docs report lock clean

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(VENV)/project.stamp  ## haul a model round the whole line, in ./kedge-demo
	$(BIN)/kedge demo

test: $(VENV)/tests.stamp  ## everything that must hold: style, types, imports, and every test
	@tests/install-servers.sh
	@$(MAKE) --no-print-directory look
	$(BIN)/python -m pytest $(SPREAD)

check: $(VENV)/tests.stamp  ## the quick one: style, types, imports, unit tests
	@$(MAKE) --no-print-directory look
	$(BIN)/python -m pytest $(SPREAD) $(QUICK)

bench: $(VENV)/rivals.stamp  ## measure kedge beside others, one script after the other, on an idle machine
	@set -e; export RIVALS=$(CURDIR)/$(VENV)/rivals/bin/python; \
	for script in benchmarks/[a-z]*.py; do echo "== $$script"; \
	  if grep -q -e '"--rivals"' $$script; then $(BIN)/python $$script --rivals $$RIVALS; else $(BIN)/python $$script; fi; done

docs: $(VENV)/tests.stamp  ## write the generated pages anew and test all pages
	$(BIN)/python tests/docs/generate.py
	$(BIN)/python -m pytest tests/docs

report: $(VENV)/tests.stamp  ## the style table of the code as it is
	$(BIN)/python tests/docs/measure.py

lock:  ## resolve all dependencies anew and write requirements/*.txt
	$(PYTHON) -m venv --clear $(VENV)-lock && $(VENV)-lock/bin/python -m pip install --quiet pip-tools
	$(VENV)-lock/bin/python requirements/compile.py

clean:  ## remove what the commands above have made
	rm -rf $(VENV) $(VENV)-lock kedge-demo build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.PHONY: look
look:
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/lint-imports
	$(BIN)/mypy

# The virtual environment is made anew when a lock file changes, never otherwise.
$(VENV)/locked.stamp: $(RUNS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "kedge needs Python 3.11 or newer: make PYTHON=/path/to/python3 demo" >&2; exit 1; }
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) \
	  || { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	@echo "installing what requirements/lock.txt names into $(VENV): some minutes, once"
	@$(LOCKED) -r requirements/lock.txt
	@$(LOCKED) -r requirements/torch-cpu.txt 2>/dev/null || { \
	  echo "pip knows no index with CPU builds of torch (docs/installing.md): taking the build for CUDA, some gigabytes"; \
	  $(LOCKED) -r requirements/torch.txt; }
	@$(PIP) check >/dev/null || $(LOCKED) -r requirements/cuda.txt
	@touch $@

$(VENV)/project.stamp: $(VENV)/locked.stamp pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

$(VENV)/tests.stamp: $(VENV)/project.stamp requirements/dev.txt
	@echo "installing what the tests need on top"
	@$(LOCKED) -r requirements/dev.txt
	@$(PIP) check
	@touch $@

$(VENV)/rivals.stamp: $(VENV)/tests.stamp requirements/bench.txt
	rm -rf $(VENV)/rivals && $(PYTHON) -m venv $(VENV)/rivals && $(VENV)/rivals/bin/python -m pip install -qq -r requirements/bench.txt
	@touch $@
