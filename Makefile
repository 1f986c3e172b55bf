# Two commands matter: `make demo` and `make test`. Each makes .venv first; a second time nothing is installed again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all check format bench docs clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED)  ## make .venv with the exact versions of constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all]'
	@touch $@

demo: $(INSTALLED)  ## interpret the sample tiles; ends with the indicators and where the report lies
	$(BIN)/aisf-geo demo --out out/demo

test: $(INSTALLED)  ## the default tests: no browser, database or root needed
	$(BIN)/python -m pytest

test-all: $(INSTALLED)  ## every test, those marked slow and browser included; fails if a tool is missing
	scripts/need-chromium
	$(BIN)/python -m pytest -m 'not postgis'

check: $(INSTALLED)  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)  ## time tracing and segmentation beside what everyone uses
	$(BIN)/python benchmarks/trace.py
	$(BIN)/python benchmarks/segment.py

docs: $(INSTALLED)  ## write what is generated: the JSON Schema of recipes
	$(BIN)/aisf-geo schema > configs/recipe.schema.json

clean:  ## remove the environment and outputs
	rm -rf $(VENV) out
