# One command for each thing people do here; CI calls the same ones. `make help` lists them.

PYTHON ?= python3
# Where torch comes from, if not from pip's own index. On Linux without a GPU this saves gigabytes:
#   make demo TORCH_FLAGS="--index-url https://download.pytorch.org/whl/cpu"
TORCH_FLAGS ?=
PROMPT ?= a large red circle in the center on a white background
PICTURE ?= demo.png
FILM_PROMPT ?= a large red circle bounces up and down on a white background
OBJECT_PROMPT ?= a large yellow cone on a large red cube
SOUND_PROMPT ?= three short high beeps, then a low bell
SEED ?= 0
# Two workers of one thread each; `make test PYTEST_FLAGS=` runs all tests in one process.
PYTEST_FLAGS ?= -n 2
BENCH_FLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO_PACKAGES := packages/flagdit-kernels packages/flagdit-core packages/lumina-image
OTHER_PACKAGES := packages/lumina-video packages/lumina-3d packages/lumina-audio
PACKAGES := $(DEMO_PACKAGES) $(OTHER_PACKAGES)
SOURCES := $(PACKAGES:%=%/src)
# torch first and by its exact version, so that nothing installed later can replace it.
TORCH := $(shell grep '^torch==' constraints.txt)
# Only builds of torch for CUDA and ROCm bring triton along; the interpreter's tests need it everywhere.
TRITON := triton==3.6.0; sys_platform == 'linux'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-all test lint type fmt bench bench-gpu docs dist clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Make a picture from a sentence (PROMPT="..." SEED=1 for another one)
	$(BIN)/lumina infer "$(PROMPT)" -o "$(PICTURE)" --seed $(SEED)
	@echo "The picture is $(abspath $(PICTURE))"

demo-all: $(VENV)/.all ## Make a picture, a film, an object and a sound, each from a sentence
	$(BIN)/lumina infer "$(PROMPT)" -o "$(PICTURE)" --seed $(SEED)
	$(BIN)/lumina infer "$(FILM_PROMPT)" -o demo.mp4 --seed $(SEED)
	$(BIN)/lumina infer "$(OBJECT_PROMPT)" -o demo.glb --turntable demo-turning.mp4 --seed $(SEED)
	$(BIN)/lumina infer "$(SOUND_PROMPT)" -o demo.wav --seed $(SEED)
	@echo "They are $(abspath $(PICTURE) demo.mp4 demo.glb demo-turning.mp4 demo.wav)"

test: $(VENV)/.dev ## Run all tests that need no GPU
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not gpu" -p no:benchmark $(PYTEST_FLAGS)

lint: $(VENV)/.dev ## Check style, docstrings and the arrows between the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pydoclint --quiet $(SOURCES)

type: $(VENV)/.dev ## Check types
	$(BIN)/mypy $(SOURCES)

fmt: $(VENV)/.dev ## Format the code and sort its imports
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## Time everything on this machine's CPU: JSON into benchmarks/results, docs/performance.md from it
	$(BIN)/python -m pytest benchmarks -q --benchmark-only --benchmark-columns=median,iqr,rounds \
		--bench-results benchmarks/results $(BENCH_FLAGS)
	$(BIN)/python -m benchmarks.report

bench-gpu: $(VENV)/.dev ## Time operators, blocks and models on this machine's GPU (BENCH_FLAGS="--only ... --budget 500")
	@$(BIN)/flagdit-bench --results benchmarks/results $(BENCH_FLAGS); status=$$?; \
	if [ $$status -lt 2 ]; then $(BIN)/python -m benchmarks.report; fi; exit $$status

docs: $(VENV)/.dev ## Remake the pages that are made from JSON; run every snippet and example of the pages, and follow their links
	$(BIN)/python -m benchmarks.report
	$(BIN)/python -m studies.sampling_report
	$(BIN)/python -m studies.one_model.report
	$(BIN)/python -m studies.ablations report
	$(BIN)/python -m pytest tests/docs

dist: $(VENV)/.dev ## Build the six wheels into dist/
	rm -rf dist
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist $(PACKAGES:%=./%)
	@ls -l dist

clean: ## Remove what these commands made, but .venv
	rm -rf dist $(PICTURE) demo.mp4 demo.glb demo-turning.mp4 demo.wav .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks

$(BIN)/python:
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit(f'Python 3.11 or newer is needed, \
	$(PYTHON) is {sys.version.split()[0]}: make ... PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python constraints.txt $(DEMO_PACKAGES:%=%/pyproject.toml)
	@echo "Installing into $(VENV); the first time this takes a minute or two."
	$(PIP) install $(TORCH_FLAGS) "$(TORCH)"
	$(PIP) install hatchling editables
	$(PIP) install --no-build-isolation -c constraints.txt $(DEMO_PACKAGES:%=-e %)
	@touch $@

$(VENV)/.all: $(VENV)/.demo $(OTHER_PACKAGES:%=%/pyproject.toml)
	$(PIP) install --no-build-isolation -c constraints.txt $(OTHER_PACKAGES:%=-e %)
	@touch $@

$(VENV)/.dev: $(VENV)/.all requirements-dev.txt
	@echo "Installing what tests and linters need into $(VENV)."
	$(PIP) install --no-build-isolation -c constraints.txt -r requirements-dev.txt $(PACKAGES:%=-e %)
	$(PIP) install --no-build-isolation -c constraints.txt -e "packages/flagdit-core[ode,logging]"
	$(BIN)/python -m pip show torch | grep -q '^Requires:.*triton' || $(PIP) install "$(TRITON)"
	@touch $@
