# make demo   train a small CSNLN on photographs and compare it with bicubic enlargement
# make test   run the whole test suite
# make lint   run the linters
# make docs   build the documentation in build/docs
# make env    only make the environment
#
# VENV=dir puts the environment elsewhere; PYTHON names the Python 3.11 to make it with.
VENV ?= .venv
DEMO := work_dirs/csnln_x2_demo
CONFIG := configs/csnln_x2_demo.py

# The absolute path, so that tests which change folder still find the tools of the environment.
BIN = $(abspath $(VENV))/bin
export PATH := $(abspath $(VENV))/bin:$(PATH)
# This checkout, also where the environment is shared with another one.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
export PYTHONWARNINGS := ignore

.PHONY: env demo test lint docs

env:
	@tools/make_env.sh $(VENV)

demo: env
	$(BIN)/python tools/prepare_demo.py data/demo
	rm -rf $(DEMO)
	$(BIN)/python tools/train.py $(CONFIG) --work-dir $(DEMO)
	$(BIN)/python tools/test.py $(CONFIG) "$$(cat $(DEMO)/last_checkpoint)" --work-dir $(DEMO)/test \
		--save-images $(DEMO)/predictions --out $(DEMO)/metrics.json
	$(BIN)/python tools/compare.py data/demo/test $(DEMO)/predictions/test $(DEMO)/comparison

test: env
	$(BIN)/python -m pytest

lint: env
	$(BIN)/python -m flake8
	$(BIN)/python -m isort --check --diff .
	$(BIN)/python -m yapf --diff --recursive csnln_mm tools tests configs

docs: env
	$(BIN)/python -m sphinx -W --keep-going -q docs build/docs
