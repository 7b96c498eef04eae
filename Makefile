.PHONY: help setup demo test test-models test-long check lock down

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Python environment only (seconds)
	@infra/local/bootstrap

# The first has two releases, of which one is rolled back; of each other one there is one.
MODELS = digits wages

demo: setup ## Everything: toolchain, cluster, dev/test/prod, train, release, promote, predict, roll back
	@.venv/bin/stellwerk demo $(MODELS) --first epochs=3

test: setup ## All tests, on the real engine and a real cluster (root, Linux)
	@.venv/bin/python -m tests

test-models: setup ## Every model of models/: trained, released, served and asked, on a real cluster (root, Linux)
	@.venv/bin/pytest -m long tests/integration/test_models.py tests/integration/test_own_model.py

test-long: setup ## What takes too long for every run: thousands of requests, hundreds of interleavings (root, Linux)
	@.venv/bin/python -m infra.local.toolchain --part tests elastic
	@.venv/bin/python -m tests.long

check: setup ## Format, lint, types, import rules, the tests that need nothing (no root)
	@.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy && .venv/bin/lint-imports --no-logo
	@.venv/bin/pytest -n auto --dist worksteal -m "not integration and not tools and not long"

lock: setup ## Compile the hash-pinned locks again
	@.venv/bin/python -m infra.local.lock

down: setup ## Remove the local cluster with everything in it
	@.venv/bin/stellwerk cluster down
