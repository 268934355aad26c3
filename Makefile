# make demo   upscale photographs with a model of the package; train a small CSNLN and compare it
# make test   run the whole test suite
# make lint   run the linters and the type checker
# make docs   build the documentation in build/docs
# make env    create the environment, or return at once if it is there
#
# make test-oldest, make env-oldest: the same with the oldest supported versions
# make test-cpus   the tests of numbers as on other processors: without AVX-512, and with SSE alone
# make test-core   the tests of what needs no OpenMMLab package, where none is installed
# make test-latest   the whole suite with what the package index has this week
# make test-slurm  jobs of a Slurm cluster that the tests start here; skipped without Slurm
# make test-comfyui COMFYUI=folder   upscales in a real ComfyUI, with COMFYUI_PYTHON if it has its own
# make dist, make test-dist   source distribution and wheel in dist/, and their tests
#
# VENV=dir and VENV_OLDEST=dir put the environments elsewhere; PYTHON names the Python to make them
# with (default: the newest of 3.10 to 3.13; for the oldest versions, 3.10 or 3.11).
VENV ?= .venv
VENV_OLDEST ?= .venv-oldest
VENV_CORE ?= .venv-core
VENV_LATEST ?= .venv-latest
# The tests that depend on package versions and take a few minutes.
TESTS_OLDEST ?= tests/test_compatibility.py tests/ops tests/networks tests/mmagic tests/datasets tests/checkpoints
# The tests that compare numbers, but for those that take long for other reasons.
TESTS_CPUS ?= tests/images tests/ops tests/networks tests/upscaling tests/checkpoints tests/visualization
TESTS_CORE ?= $(TESTS_CPUS) tests/packaging/test_core_alone.py tests/test_files.py tests/test_device.py \
	tests/test_memory_limits.py tests/test_shard.py
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

# Files in parallel; the longest first, as tests/conftest.py says.
PYTEST := -m pytest -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: env env-oldest env-core env-latest demo test test-oldest test-core test-latest test-cpus \
	test-slurm test-comfyui lint docs dist test-dist

env:
	@requirements/install "$(VENV)" newest

env-oldest:
	@requirements/install "$(VENV_OLDEST)" oldest

env-core:
	@requirements/install "$(VENV_CORE)" core

env-latest:
	@requirements/install "$(VENV_LATEST)" latest

demo: env
	$(BIN)/python -m csnln_mm prepare demo data/demo
	$(BIN)/python -m csnln_mm upscale data/demo/test/GTmod12 -o $(FAST) --overwrite
	rm -rf $(DEMO)
	$(BIN)/python tools/train.py $(CONFIG) --work-dir $(DEMO)
	$(BIN)/python tools/test.py $(CONFIG) "$$(cat $(DEMO)/last_checkpoint)" --work-dir $(DEMO)/test \
		--save-images $(DEMO)/predictions --out $(DEMO)/metrics.json
	$(BIN)/python -m csnln_mm visualize compare data/demo/test/GTmod12 \
		--methods bicubic CSNLN=$(DEMO)/predictions/test -o $(DEMO)/comparison

test: env
	$(BIN)/python $(PYTEST)

test-oldest: env-oldest
	PATH=$(abspath $(VENV_OLDEST))/bin:$$PATH \
		$(abspath $(VENV_OLDEST))/bin/python $(PYTEST) -m "not slow" $(TESTS_OLDEST)

test-core: env-core
	$(abspath $(VENV_CORE))/bin/python $(PYTEST) $(TESTS_CORE)

test-latest: env-latest
	PATH=$(abspath $(VENV_LATEST))/bin:$$PATH $(abspath $(VENV_LATEST))/bin/python $(PYTEST)

test-cpus: env
	$(BIN)/python $(PYTEST) -k "not ($(NO_NUMBERS))" $(TESTS_CPUS)
	NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR" \
		$(BIN)/python $(PYTEST) -k "not ($(NO_NUMBERS))" $(TESTS_CPUS)
	NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX512_ICL AVX512_SPR" ATEN_CPU_CAPABILITY=default \
		ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE \
		$(BIN)/python $(PYTEST) -k "not ($(NO_NUMBERS))" $(TESTS_CPUS)

# TESTS_SLURM='-m "not slow"' runs the quickest three.
test-slurm: env
	$(BIN)/python -m pytest $(TESTS_SLURM) tests/slurm

test-comfyui: env
	$(BIN)/python -m pytest -s tests/integrations/test_comfyui.py

lint: env
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/basedpyright --pythonpath $(BIN)/python

docs: env
	$(BIN)/python -m sphinx -W --keep-going -q docs build/docs

dist: env
	rm -rf dist
	$(BIN)/python -m build --no-isolation

test-dist: dist
	CSNLN_DIST=$(CURDIR)/dist $(BIN)/python -m pytest tests/packaging/test_wheel.py
