# `make demo` shows the whole of it, `make test` tests it. Both need Python 3.11 or newer, Git and make;
# uv is fetched into .uv/ when the machine has none.
UV := $(if $(shell command -v uv),,.uv/bin/uv)
export PATH := $(CURDIR)/.uv/bin:$(PATH)
DEMO := build/demo/flight-delays

.PHONY: help demo picture test lint bench
help: ## Show this help
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

demo: $(UV) ## Bake a project, run its pipeline on real data, serve and release its model, judge a change
	rm -rf $(DEMO)
	uv run --no-dev cookiecutter --no-input --output-dir build/demo .
	$(MAKE) --no-print-directory -C $(DEMO) run
	cd $(DEMO) && uv run dvc metrics show
	cd $(DEMO) && uv run mlops gate
	cd $(DEMO) && uv run mlops predict data/example/flights.parquet --output build/predictions.csv
	cd $(DEMO) && head -n 4 build/predictions.csv
	@echo; echo "The model as a service:"
	cd $(DEMO) && { uv run mlops serve --port 0 > build/server.txt & } && server=$$! && trap "kill $$server" EXIT && \
	  until url=$$(grep -o 'http://.*' build/server.txt); do kill -0 $$server || exit 1; sleep 0.1; done && \
	  uv run mlops smoke $$url && uv run mlops load $$url --seconds 2
	@echo; echo "A release of it, and the way back from dev to the data:"
	cd $(DEMO) && git config user.name Demo && git config user.email demo@example.com
	cd $(DEMO) && git add --all && git commit --quiet --message "Reproduce the pipeline"
	cd $(DEMO) && uv run mlops release
	cd $(DEMO) && git merge --quiet --ff-only "$$(git branch --list 'release/*' --format='%(refname:short)')"
	cd $(DEMO) && uv run mlops status
	cd $(DEMO) && uv run mlops trace dev
	@echo; echo "A change: slower learning. What its pull request would say:"
	cd $(DEMO) && sed -i.bak 's/learning_rate: 0.06/learning_rate: 0.02/' params.yaml && rm params.yaml.bak
	cd $(DEMO) && mkdir -p build && uv run dvc repro > build/repro.log
	cd $(DEMO) && uv run mlops report --base HEAD --log build/repro.log
	cd $(DEMO) && cat build/report/report.md

picture: demo ## Draw docs/comment-*.png from the report of the demo; needs Chromium
	uv run python docs/picture.py

test: $(UV) ## Test the template and what it bakes
	uv run pytest --numprocesses 2 --dist loadgroup $(PYTEST_ARGS)

lint: $(UV) ## Run every check of .pre-commit-config.yaml on every file
	uv run pre-commit run --all-files

bench: $(UV) ## Measure speed and memory, and write docs/bench.md and docs/bench-serving.md
	PYTHONPATH=tests uv run python -m bench.bench
	PYTHONPATH=tests uv run python -m bench.serving

.uv/bin/uv:
	python3 -m venv .uv || { echo "Install uv first: https://docs.astral.sh/uv/"; exit 1; }
	.uv/bin/pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
