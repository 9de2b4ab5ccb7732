# Every command sets itself up: .venv is made when it is missing and brought up to date when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.ready-to-bench
FUZZ_READY := .venv-fuzz/.ready
CONTRACT_READY := .venv-contract/.ready

# Handed on by environment, so that a story may hold any character that the shell would read; `value` keeps make from
# reading its "$". Only what was given is handed on: an empty PORT is not the same as none.
HANDED_ON := DRAWING AUDIO STORY TITLE PORT HUABAN_DATA
given = $(filter-out undefined,$(origin $(1)))
$(foreach name,$(HANDED_ON),$(if $(call given,$(name)),$(eval export override $(name) := $$(value $(name)))))

.PHONY: help install demo run test soak fuzz contract browser check docs postman postman-run bench clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once, about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[embedded,dev]'
	@touch $@

$(BENCH_READY): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@touch $@

$(FUZZ_READY): tests/fuzz/requirements.txt
	@test -x .venv-fuzz/bin/python || $(PYTHON) -m venv .venv-fuzz
	@.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(CONTRACT_READY): tests/contract/requirements.txt pyproject.toml constraints.txt
	@test -x .venv-contract/bin/python || $(PYTHON) -m venv .venv-contract
	@echo "Installing the services' own clients into .venv-contract (once, about two minutes) ..."
	@.venv-contract/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--requirement $< --editable .
	@touch $@

install: $(READY)  ## Make .venv with everything in it

demo: $(READY)  ## A drawing and a spoken story become demo.mp4 (DRAWING=, AUDIO=, STORY=, TITLE= for your own)
	@$(BIN)/huaban demo

run: $(READY)  ## Start the whole product and keep it running (PORT=8080, HUABAN_DATA=.huaban)
	@$(BIN)/huaban run

test: $(READY)  ## Run every test against a real MongoDB and a real S3 server
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

soak: $(READY)  ## Let everything fail for a long while: workers, servers, and each command that a film takes
	@$(BIN)/python -m tests.faults.soak
	@HICCUPS=all $(BIN)/python -m pytest -q tests/faults/test_hiccups.py

fuzz: $(READY) $(FUZZ_READY)  ## Let Schemathesis loose on the API (FUZZ_S=90 seconds, SEED= to repeat a run)
	@$(BIN)/python -m tests.fuzz --schemathesis .venv-fuzz/bin/schemathesis \
		--seconds $(or $(FUZZ_S),90) $(if $(SEED),--seed $(SEED))

contract: $(CONTRACT_READY)  ## Let the services' own clients talk to the simulators that the providers are tested on
	@.venv-contract/bin/python -m pytest -q -c tests/contract/pytest.ini --rootdir=. tests/contract

browser: $(READY)  ## Let Chromium use the page as a family does; build/browser has pictures of what is seen
	@$(BIN)/python -m pytest -q -p no:cacheprovider -o python_files='family_*.py' tests/browser

check: $(READY)  ## Lint, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_house.py

docs: $(READY)  ## Write docs/database.md anew, from the code
	@$(BIN)/python -m studio.schema_docs

postman: $(READY)  ## Write docs/huaban.postman_collection.json anew, from the API's description
	@$(BIN)/python -m app.openapi

postman-run:  ## Run the collection against a running `make run` (PORT=8080); needs npm
	@npx --yes newman@6 run docs/huaban.postman_collection.json --working-dir app/samples \
		--env-var baseUrl=http://localhost:$(or $(PORT),8080)

bench: $(BENCH_READY)  ## Print the figures of this machine, and of the queue beside other queues
	@$(BIN)/python -m bench

clean:  ## Remove .venv and caches (data in .huaban stays)
	rm -rf $(VENV) .venv-fuzz .venv-contract build *.egg-info .mypy_cache .ruff_cache .pytest_cache
