# make demo        count what is in real pictures, from a fresh clone
# make test        lint and every test
# make gpu-check   on a machine with a GPU: build, test, measure, write the record
# make bench       benchmarks against peers on this machine

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
NATIVE := setup.py pyproject.toml constraints.txt $(shell find csrc -type f \( -name '*.cpp' -o -name '*.h' -o -name '*.cu' \))
# Pictures or folders of the user's own, counted by `make demo` beside the built-in ones, and the
# shipped model that counts them.
IMAGES ?=
MODEL ?= crowd
OUT ?= out

.PHONY: demo test lint bench gpu-check clean

demo: $(VENV)/.demo
	$(BIN)/python demo/demo.py --out $(OUT) --model $(MODEL) $(IMAGES)

test: $(VENV)/.test $(VENV)/.tensorrt
	$(MAKE) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests --numprocesses logical --dist worksteal

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	git ls-files 'csrc/*.h' 'csrc/*.cpp' 'csrc/*.cu' | xargs $(BIN)/clang-format --dry-run --Werror

bench: $(VENV)/.bench
	$(BIN)/python -m pytest benchmarks --benchmark-only

# Uses the machine's own Python and PyTorch: such machines often have no network.
gpu-check:
	$(PYTHON) benchmarks/gpu_check.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Torch first: the native code is built against it.
$(VENV)/.torch: $(BIN)/python constraints.txt
	@echo "Installing PyTorch, a few minutes the first time ..."
	$(PIP) torch torchvision numpy setuptools ninja pybind11
	@touch $@

$(VENV)/.demo: $(VENV)/.torch $(NATIVE)
	@echo "Building fastcount ..."
	$(PIP) --no-build-isolation --editable '.[demo]'
	@touch $@

# One build serves both.
$(VENV)/.test: $(VENV)/.torch $(NATIVE)
	@echo "Building fastcount, and installing what its tests need ..."
	$(PIP) --no-build-isolation --editable '.[demo,test,lint]'
	@touch $(VENV)/.demo $@

# TensorRT's Python modules without TensorRT: the names that our code uses are looked up in them.
# Where they cannot be had, those tests are skipped.
$(VENV)/.tensorrt: $(VENV)/.torch
	-for version in 10.13 11.4; do \
	  $(PIP) --no-deps --target $(VENV)/tensorrt/$$version "tensorrt-cu13-bindings==$$version.*"; \
	done
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	$(PIP) pytest-benchmark kornia opencv-python-headless
	@touch $@

clean:
	rm -rf $(VENV) build out fastcount/*.so
