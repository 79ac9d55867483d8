# `make` or `make help` lists what there is.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
Q ?= How does the with statement handle exceptions?
export Q
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Bytecode is kept: each worker and each subprocess of the tests would compile everything again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo doctor test check check-versions format record live-check kill-test engines faults soak bench fuzz docs docs-serve outputs guides picture dist clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with make PYTHON=…"; exit 1; }
	@echo "Making $(VENV) (once, about a minute) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.package: $(BIN)/python pyproject.toml
	@echo "Installing the package into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --editable '.[all]'
	@touch $@

$(VENV)/.tools: $(VENV)/.package
	@echo "Installing the development tools into $(VENV) (once, a few minutes) …"
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@

demo: $(VENV)/.package ## answer a question end to end (Q="…" asks your own)
	@$(BIN)/parallel-integrations demo "$$Q"

doctor: $(VENV)/.package ## check key, address, proxy, clock and versions; say what to do
	@$(BIN)/parallel-integrations doctor

test: $(VENV)/.tools ## run the whole suite, no network
	@$(BIN)/python -m pytest --numprocesses=auto --dist=loadgroup --benchmark-disable $(ARGS)

check: $(VENV)/.tools ## lint, types, import rules, workflow and templates
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms $(wildcard .github/ISSUE_TEMPLATE/[^c]*.yml)

oldest = $(shell sed -n 's/.*"$(1)>=\([0-9.]*\),.*/\1/p' pyproject.toml)

check-versions: ## run each framework's tests on the oldest and the newest release admitted
	@for core in "langchain-core==$(call oldest,langchain-core)" langchain-core \
		"llama-index-core==$(call oldest,llama-index-core)" llama-index-core; do \
		package=$$(case $$core in langchain*) echo langchain;; *) echo llama_index;; esac) && \
		venv=$$(mktemp -d) && echo "== $$core" && \
		$(PYTHON) -m venv $$venv && \
		$$venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1' && \
		$$venv/bin/python -m pip install --quiet --editable '.[all]' --group dev "$$core" && \
		$$venv/bin/python -m pip list | grep -E '^(langchain|llama-index-core)' && \
		$$venv/bin/python -m pytest tests/$$package -q -p no:cacheprovider \
			--numprocesses=auto --dist=loadgroup --benchmark-disable; \
		status=$$?; rm -rf "$$venv"; test $$status -eq 0 || exit $$status; \
	done

format: $(VENV)/.tools ## put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

record: $(VENV)/.tools ## record the cassettes from the sandbox (LIVE=1: from the live API)
	@LIVE=$(LIVE) FULL=$(FULL) YES=$(YES) $(BIN)/python -m tests.support.record

live-check: $(VENV)/.tools ## try each operation once on the live API (FULL=1: FindAll and monitors too)
	@FULL=$(FULL) YES=$(YES) REPORT=$(REPORT) $(BIN)/python -m tests.support.live_check

kill-test: $(VENV)/.tools ## kill an enrichment of 500 rows at 20 random instants (ROWS=, KILLS=, SEED=)
	@KILL_TEST_ROWS=$(or $(ROWS),500) KILL_TEST_KILLS=$(or $(KILLS),20) \
		KILL_TEST_SEED=$(or $(SEED),$$$$) $(BIN)/python -m pytest \
		tests/enrichment/test_killed.py -k random_instants --timeout=900 --benchmark-disable -v

engines: $(VENV)/.tools ## enrichment in Dask, Ray and Spark, a worker killed midway (installs 700 MB, needs Java)
	@echo "Installing Ray and Spark into $(VENV) (once, a few minutes) …"
	@$(BIN)/python -m pip install --quiet --group engines
	@ENGINES=1 $(BIN)/python -m pytest tests/engines tests/test_examples.py -k "engines or scaling" \
		--benchmark-disable -q $(ARGS)

faults: $(VENV)/.tools ## every fault × operation × framework, and the table of what came of it
	@FAULTS=all $(BIN)/python -m pytest tests/faults --numprocesses=10 --maxschedchunk=1 \
		--benchmark-disable -q $(ARGS)

soak: $(VENV)/.tools ## 20,000 searches, of which 5 % fail in every way; 10,000 tasks in a group
	@SOAK=long $(BIN)/python -m pytest tests/faults/test_soak.py \
		tests/api/test_task_groups.py -k "test_soak or thousands" --benchmark-disable -q -s $(ARGS)

bench: $(VENV)/.tools ## what calls cost, as ratios to plain httpx (PEERS=1: beside other packages; ROWS=, SIZE=)
	@test -z "$(PEERS)" || $(BIN)/python -m pip install --quiet --group bench
	@SIZE=$(SIZE) $(BIN)/python -m benchmarks $(ROWS)

fuzz: $(VENV)/.tools ## 10,000 mutated responses for each operation, stream and adapter (CASES=…)
	@$(BIN)/python -W ignore -m tests.fuzz --cases $(or $(CASES),10000)

docs: $(VENV)/.tools ## build the documentation into site/, no network
	@$(BIN)/zensical build --clean --strict

docs-serve: $(VENV)/.tools ## show the documentation on http://localhost:8000 while you write it
	@$(BIN)/zensical serve

outputs: $(VENV)/.tools ## record in README and docs what their examples print
	@$(BIN)/python -m tests.support.outputs

guides: $(VENV)/.package ## run each page's examples with only what its install line installs (PAGE=…)
	@$(BIN)/python -m tests.support.guides $(PAGE)

picture: $(VENV)/.tools ## draw the pictures in docs/images
	@$(BIN)/python -m tests.support.picture
	@$(BIN)/python -m tests.support.drawings

dist: $(VENV)/.tools ## build wheel and source distribution into dist/
	@rm -rf dist
	@$(BIN)/python -m hatchling build

clean: ## remove what the targets made
	rm -rf $(VENV) dist site .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
