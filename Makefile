# Thin verbs only; each works on a fresh machine with Python 3.11-3.13 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test container lint types check check-kernels bench gate lock clean

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.installed-train  ## synthetic archive -> features -> trained model -> signals, chart and CSV
	$(BIN)/stockbot-hp demo

test: $(VENV)/.installed-dev  ## the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

container: $(VENV)/.installed-dev  ## the steps of Dockerfile.gpu, without an engine, a GPU or privileges (minutes, 3 GB)
	$(BIN)/python -m pytest -m container tests/test_container_steps.py

lint: $(VENV)/.installed-dev  ## style, imports, unused code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev  ## static types
	$(BIN)/mypy

check: lint types test  ## all of the above

check-kernels: $(VENV)/.installed-dev  ## the kernels' tests with every index checked (minutes)
	NUMBA_BOUNDSCHECK=1 $(BIN)/python -m pytest tests/kernels -n 2 --ignore tests/kernels/test_modes.py

bench: $(VENV)/.installed-dev  ## speed and exactness against the fastest libraries; BENCH="--json F --plot F --only kernels"
	$(BIN)/python -m benchmarks $(BENCH)

gate: $(VENV)/.installed-dev  ## slower, heavier, less exact than BASE? (default: where this tree left main)
	$(BIN)/python -m benchmarks.gate $(if $(BASE),--base $(BASE)) $(GATE)

lock:  ## resolve the pins anew (needs uv on the PATH)
	requirements/lock.sh

clean:  ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis

# One environment; `dev` holds all of `train` at the same pins, so either may be installed first.
$(VENV)/.installed-%: requirements/%.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "error: $(PYTHON) cannot make an environment; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "installing requirements/$*.txt into $(VENV) (about 2 minutes the first time)"
	@$(PIP) --require-hashes --requirement $<
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
