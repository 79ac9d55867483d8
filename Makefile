# `make` or `make help` lists what there is.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
Q ?= How does the with statement handle exceptions?
export Q
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check check-versions format record live-check bench clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with make PYTHON=…"; exit 1; }
	@echo "Making $(VENV) (once, about a minute) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.package: $(BIN)/python pyproject.toml
	@$(BIN)/python -m pip install --quiet --editable '.[all]'
	@touch $@

$(VENV)/.tools: $(VENV)/.package
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@

demo: $(VENV)/.package ## answer a question end to end (Q="…" asks your own)
	@$(BIN)/parallel-integrations demo "$$Q"

test: $(VENV)/.tools ## run the whole suite, no network
	@$(BIN)/python -m pytest --numprocesses=auto --dist=loadgroup --benchmark-disable $(ARGS)

check: $(VENV)/.tools ## lint, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

OLDEST_CORE := $(shell sed -n 's/.*"langchain-core>=\([0-9.]*\),.*/\1/p' pyproject.toml)

check-versions: ## run the LangChain tests on the oldest and the newest langchain-core admitted
	@for core in "langchain-core==$(OLDEST_CORE)" "langchain-core"; do \
		venv=$$(mktemp -d) && echo "== $$core" && \
		$(PYTHON) -m venv $$venv && \
		$$venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1' && \
		$$venv/bin/python -m pip install --quiet --editable '.[langchain,cli]' --group dev "$$core" && \
		$$venv/bin/python -m pip list | grep '^lang' && \
		$$venv/bin/python -m pytest tests/langchain -q -p no:cacheprovider --benchmark-disable; \
		status=$$?; rm -rf "$$venv"; test $$status -eq 0 || exit $$status; \
	done

format: $(VENV)/.tools ## put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

record: $(VENV)/.tools ## record the cassettes anew from the sandbox (LIVE=1: from the live API)
	@LIVE=$(LIVE) FULL=$(FULL) YES=$(YES) $(BIN)/python -m tests.support.record

live-check: $(VENV)/.tools ## try each operation once on the live API (FULL=1: FindAll and monitors too)
	@FULL=$(FULL) YES=$(YES) $(BIN)/python -m tests.support.live_check

bench: $(VENV)/.tools ## cost per call and per chunk, as ratios to plain httpx
	@$(BIN)/python -m benchmarks

clean: ## remove what the targets made
	rm -rf $(VENV) dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
