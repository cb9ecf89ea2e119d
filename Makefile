# The project's commands. `make help` lists them; each prepares .venv itself, once, and again when pins change.
#   PYTHON=…  the Python to make .venv with, where the newest suitable one found is not wanted
#   MINUTES=… how long `make soak` takes, fractions too; 10 if not given
#   ARGS=…    further arguments: make serve ARGS="--port 8080", make test ARGS="-k journal"
#   ROW=… ROUNDS=…  rows of the bench, and how often each is measured: make bench ROW="1+1 new-context" ROUNDS=9

.DEFAULT_GOAL := help
.PHONY: help serve demo test check lint types layers format bench bench-compare soak pins clean serving development
MAKEFLAGS += --no-print-directory

ARGS ?=
MINUTES ?= 10
export PYTHON
BIN := .venv/bin
CODE := $(wildcard execd kernels tests benchmarks soak scripts)
SETUP = python="$$(scripts/find-python)" && "$$python" scripts/environment.py

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1@\2/p' Makefile | column -t -s @ 2>/dev/null

serve: serving  ## Run the service on 127.0.0.1:44772
	@exec $(BIN)/execd serve $(ARGS)

demo: development  ## Show what the service does, against a service of its own
	@exec $(BIN)/python scripts/demo.py $(ARGS)

test: development  ## Run the tests, in parallel
	@exec $(BIN)/python -m pytest -n auto --maxprocesses=4 $(ARGS)

check: lint types layers  ## Check style, types and the direction of imports

lint: development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: development
	$(BIN)/mypy $(CODE)

layers: development
	$(BIN)/lint-imports --no-logo

format: development  ## Put the code into its one format, and mend what ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: development  ## Measure the service against the raw floor, in one run
	@exec $(BIN)/python -m benchmarks $(ROW:%=--row %) $(ROUNDS:%=--rounds %) $(ARGS)

bench-compare: development  ## Set two of its files side by side: make bench-compare a.json b.json
	@exec $(BIN)/python -m benchmarks compare $(or $(strip $(A) $(B)),$(COMPARED)) $(ARGS)

# To make, the two files are goals besides: of such there is nothing to be made.
ifeq ($(firstword $(MAKECMDGOALS)),bench-compare)
COMPARED := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
.PHONY: $(sort $(COMPARED))
$(sort $(COMPARED)):
	@:
endif

soak: development  ## Use the service in every way for MINUTES, and fail on any leak or wrong answer
	@exec $(BIN)/python -m soak --minutes $(MINUTES) $(ARGS)

pins:  ## Choose the versions in requirements/ anew (pip, Python 3.11; the same index gives the same files)
	@PYTHON="$${PYTHON:-python3.11}"; export PYTHON; python="$$(scripts/find-python)" && "$$python" scripts/pins.py

clean:  ## Remove .venv and every cache and build product
	@rm -rf .venv .venvs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist .coverage
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

serving development:
	@$(SETUP) $@
