# `make demo` shows the whole of it, `make test` tests it. Both need Python 3.11 or newer, Git and make;
# uv is fetched into .uv/ when the machine has none.
UV := $(if $(shell command -v uv),,.uv/bin/uv)
unexport PYTHONDONTWRITEBYTECODE # without bytecode each process starts several times as slowly
export PATH := $(CURDIR)/.uv/bin:$(PATH)
DEMO := build/demo/flight-delays
# One more than two cores: tests wait for servers and containers.
WORKERS := 3

.PHONY: help demo edge picture docs check test test-long lint bench
help: ## Show this help
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

demo: $(UV) ## Bake a project and tell the whole story: data, model, releases, a worse change, rollback
	rm -rf $(DEMO)
	bash docs/demo.sh $(DEMO)

picture: demo ## Draw docs/comment-*.png from the report of the demo; needs Chromium
	uv run python docs/picture.py

docs: $(UV) ## Build the documentation site: build/docs/index.html
	uv run python docs/site.py

edge: $(UV) ## Export small models to every target, run C on an emulated Cortex-M4, and print what each takes
	PYTHONPATH=tests uv run python -m bench.edge

check: lint ## Lint, types, hooks, rendering and the quick tests of the engine: after every change
	uv run pytest --numprocesses $(WORKERS) --dist loadgroup -m "not slow and not long" $(PYTEST_ARGS) tests/engine tests/hooks tests/bake

test: $(UV) ## Test the template and what it bakes
	uv run pytest --numprocesses $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

test-long: $(UV) ## Repeat at length what `make test` does once: random kills, many rounds, a whole year, many examples
	uv run pytest --numprocesses $(WORKERS) --dist loadgroup -m long $(PYTEST_ARGS)
	HYPOTHESIS_PROFILE=long uv run pytest --numprocesses $(WORKERS) tests/engine/properties

lint: $(UV) ## Run every check of .pre-commit-config.yaml on every file
	uv run pre-commit run --all-files

bench: $(UV) ## Measure speed and memory, and write docs/bench.md, docs/bench-serving.md, docs/monitoring.md and docs/year.md
	PYTHONPATH=tests uv run python -m bench.bench
	PYTHONPATH=tests uv run python -m bench.serving
	PYTHONPATH=tests uv run python -m monitoring.power
	PYTHONPATH=tests uv run python -m monitoring.year

.uv/bin/uv:
	python3 -m venv .uv || { echo "Install uv first: https://docs.astral.sh/uv/"; exit 1; }
	.uv/bin/pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
