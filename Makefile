# Every target makes the virtual environment itself when it is missing or stale.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: quickstart setup test test-slow check bench gallery format clean

# An environment whose interpreter no longer runs counts as missing.
ifneq ($(wildcard $(READY)),)
ifneq ($(shell $(BIN)/python -c "print(1)" 2>/dev/null),1)
$(shell rm -f $(READY))
endif
endif

quickstart: $(READY)  ## install, run the quickstart grid, draw its figures and its page
	$(BIN)/python -m study.run grids/quickstart.yaml
	$(BIN)/python -m analysis.figures --study quickstart
	$(BIN)/python -m analysis.report --study quickstart

setup: $(READY)  ## install only

test: $(READY)  ## everything but the slow tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not alone"

test-slow: $(READY)  ## the slow tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow
	$(BIN)/python -m pytest -m alone

check: $(READY)  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)  ## race the harness against its peers on this machine
	$(BIN)/python -m bench

gallery: $(READY)  ## draw README's pictures from results/reference again
	$(BIN)/python -m analysis.figures --results results/reference --out docs/gallery \
	  --study mnist_step-small --figure fig3 fig6 map_auc ranks_auc recall scatter
	$(BIN)/python -m analysis.figures --results results/reference --out docs/gallery \
	  --study mnist_convergence-small --figure fig8 calibration
	$(BIN)/python -m analysis.figures --results results/reference --out docs/gallery \
	  --study mnist_reduced-small --figure fig7
	$(BIN)/python -m analysis.figures --results results/reference --out docs/gallery \
	  --study mnist_variance-small --figure variance

format: $(READY)  ## put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove the environment and the caches, never results
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache *.egg-info

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "Python 3.11 or newer is needed; found: $$($(PYTHON) --version 2>&1). Name one: make PYTHON=python3.12"; exit 2; }
	@echo "Installing into .venv: about 5 GB, a few minutes the first time"
	@$(BIN)/python -c "" 2>/dev/null || $(PYTHON) -m venv --clear .venv || \
	  { echo "No virtual environment could be made; on Debian and Ubuntu: apt install python3-venv"; exit 2; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)
