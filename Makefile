# Everything a fresh clone needs; `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check format clean

PYTHON ?= python3
PYTEST_ARGS ?=
BIN := .venv/bin
READY := .venv/.ready

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: $(READY)  ## create .venv with ultrares and everything to work on it

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

demo: $(READY)  ## upscale the sample scene by 4 and draw a picture, under out/
	$(BIN)/python scripts/demo.py

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(READY)  ## format, lint, types, layers and tests: all that must pass before a commit
	scripts/check

format: $(READY)  ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove everything that was made here, .venv too
	rm -rf .venv out runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
