# Everything a newcomer needs: `make demo` and `make test`. The virtual environment is made on first use.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint typecheck unit fuzz bench guides screenshots lock clean

VENV   := .venv
BIN    := $(VENV)/bin
# The first Python that is new enough; set PYTHON=... to choose another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
            "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
# Tests wait more than they reckon: a few more at a time than there are cores.
WORKERS ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 2) + 2)))
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.product ## Make .venv with the sharpeyes command

demo: $(VENV)/.product ## Run SharpEyes on a simulated city (Ctrl-C ends it)
	@$(BIN)/sharpeyes demo

test: $(VENV)/.dev lint typecheck unit ## Run everything that CI runs

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

typecheck: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

ROUNDS ?= 10
fuzz: $(VENV)/.dev ## Look for inputs that break a property, at random (`make test` takes the same each time)
	@for round in $$(seq $(ROUNDS)); do echo "== round $$round of $(ROUNDS)"; \
	  $(BIN)/pytest -q -n $(WORKERS) -m hypothesis --hypothesis-profile fuzz || exit 1; done

bench: $(VENV)/.dev ## Print the figures of every bench (minutes; CPU time and ratios)
	@for b in tests/bench/bench_*.py; do echo "== $$b"; $(BIN)/python "$$b" || exit 1; done

guides: $(VENV)/.dev ## Take the guides' pictures anew and print the guides to pictures/ (needs Chromium)
	$(BIN)/python console/guide_pictures.py
	@$(PIP) --no-deps --editable .
	$(BIN)/python console/guide_pictures.py --pdf pictures

screenshots: $(VENV)/.dev ## Every page as each role sees it, to pictures/ (half an hour, says how far it is; needs Chromium)
	$(BIN)/python console/screenshots.py --out pictures

lock: $(VENV)/.dev ## Resolve the dependencies again and write the lock files
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  pyproject.toml --group dev -o requirements-dev.lock

clean: ## Remove the virtual environment and the demo's data
	rm -rf $(VENV) .demo pictures

# A stamp a lock file: a second start installs nothing. --no-deps: the lock names every package, with its hash.
$(VENV)/.product: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing SharpEyes into $(VENV) (once; about a minute) ..."
	@$(PIP) --no-deps --require-hashes -r requirements.lock
	@$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.product
	@echo "Installing the tools for tests ..."
	@$(PIP) --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "SharpEyes needs Python 3.11 or newer: install it, or name it with 'make PYTHON=...'."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
