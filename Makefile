# make demo   upscale photographs with a model of the package; train a small CSNLN and compare it
# make test   run the whole test suite
# make lint   run the linters
# make docs   build the documentation in build/docs
# make env    create the environment, or return at once if it is there
#
# make test-oldest, make env-oldest: the same with the oldest supported versions
# make test-cpus   the tests of numbers as on other processors: without AVX-512, and with SSE alone
# make test-core   the tests of what needs no OpenMMLab package, where none is installed
#
# VENV=dir and VENV_OLDEST=dir put the environments elsewhere; PYTHON names the Python to make them
# with (default: the newest of 3.10 to 3.13; for the oldest versions, 3.10 or 3.11).
VENV ?= .venv
VENV_OLDEST ?= .venv-oldest
# The tests that depend on package versions and take a few minutes.
TESTS_OLDEST ?= tests/test_compatibility.py tests/ops tests/networks tests/mmagic tests/datasets tests/checkpoints
# The tests that compare numbers, but for those that take long for other reasons.
TESTS_CPUS ?= tests/images tests/ops tests/networks tests/upscaling tests/checkpoints tests/visualization
NO_NUMBERS := compile or export or bad_images or properties or malicious or hostile
DEMO := work_dirs/csnln_x2_demo
FAST := work_dirs/csnln_x2_fast/upscaled
CONFIG := configs/csnln_x2_demo.py

# The absolute path, so that tests which change folder still find the tools of the environment.
BIN = $(abspath $(VENV))/bin
export PATH := $(abspath $(VENV))/bin:$(PATH)
# This checkout, also where the environment is shared with another one.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
export PYTHONWARNINGS := ignore
# The Python of an environment to be made, where it was named.
export PYTHON

.PHONY: env env-oldest demo test test-oldest lint docs

env:
	@requirements/install "$(VENV)" newest

env-oldest:
	@requirements/install "$(VENV_OLDEST)" oldest

demo: env
	$(BIN)/python tools/prepare_demo.py data/demo
	$(BIN)/python tools/upscale.py data/demo/test/GTmod12 -o $(FAST) --overwrite
	rm -rf $(DEMO)
	$(BIN)/python tools/train.py $(CONFIG) --work-dir $(DEMO)
	$(BIN)/python tools/test.py $(CONFIG) "$$(cat $(DEMO)/last_checkpoint)" --work-dir $(DEMO)/test \
		--save-images $(DEMO)/predictions --out $(DEMO)/metrics.json
	$(BIN)/python tools/visualize.py compare data/demo/test/GTmod12 \
		--methods bicubic CSNLN=$(DEMO)/predictions/test -o $(DEMO)/comparison

test: env
	$(BIN)/python -m pytest

test-oldest: env-oldest
	PATH=$(abspath $(VENV_OLDEST))/bin:$$PATH \
		$(abspath $(VENV_OLDEST))/bin/python -m pytest -m "not slow" $(TESTS_OLDEST)

lint: env
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check

docs: env
	$(BIN)/python -m sphinx -W --keep-going -q docs build/docs
