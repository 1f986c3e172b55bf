# Two commands matter: `make demo` and `make test`. Each makes .venv first; a second time nothing is installed again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# A file's tests stay together: they share what they made.
BOTH_CORES := --numprocesses auto --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all check format bench docs sbom audit clean

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
	$(BIN)/python -m pytest $(BOTH_CORES)

test-all: $(INSTALLED)  ## every test, those marked slow and browser included; fails if a tool is missing
	scripts/need-chromium
	scripts/need-postgis $(BIN)/python -m pytest $(BOTH_CORES) -m ''

check: $(INSTALLED)  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)  ## time the engine and the tracer beside what everyone uses; 25 minutes, benchmarks/results/
	$(BIN)/python benchmarks/trace.py --repeats 1
	$(BIN)/python benchmarks/segment.py
	$(BIN)/python benchmarks/workers.py
	$(BIN)/python benchmarks/engine.py --minutes 18 --peers .bench-env --out benchmarks/results/engine.json

docs: $(INSTALLED)  ## write what is generated (recipe schema, reference pages) and build the site into site/
	$(BIN)/aisf-geo schema > configs/recipe.schema.json
	$(BIN)/python scripts/write-reference
	$(BIN)/python scripts/indicator_pages.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

sbom: $(INSTALLED)  ## out/sbom.json: what is installed, with licences, in CycloneDX form
	@mkdir -p out
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o out/sbom.json $(BIN)/python
	@$(BIN)/python -c 'import json; all = json.load(open("out/sbom.json"))["components"]; \
	  print(len(all), "packages; no licence in the metadata of", ", ".join(c["name"] for c in all if not c.get("licenses")) or "none")'

audit: $(INSTALLED)  ## look up known vulnerabilities of the pinned versions; needs the internet
	@$(BIN)/pip-audit --strict --no-deps --disable-pip -r constraints.txt || { echo "audit: see above. 'Dependency not found' or" \
	  "a failed connection means that no index of vulnerabilities could be asked from here: nothing was audited" >&2; exit 1; }

clean:  ## remove the environment and outputs
	rm -rf $(VENV) out site
