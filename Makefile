# `make` alone says what there is.
.DEFAULT_GOAL := help
.PHONY: help install demo test fuzz serve lint types parity bench pins clean

PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
RIVALS := .venv-bench
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
SERVER_SETS := requirements/build.txt requirements/server.txt requirements/client.txt
DATA_DIR ?= stoker-data
PORT ?= 8000
DATA ?=
TESTS ?= tests
PROCESSES ?= $(if $(filter-out tests,$(TESTS)),0,2)
ONLY ?=
GRAPHS ?= 10000
SEED ?=

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Stoker needs Python 3.11 or newer; set PYTHON=…")'
	$(PYTHON) -m venv $(VENV)

# Each stamp is older than its pins when they changed, and only then is pip asked again.
$(VENV)/.installed: $(BIN)/python $(SERVER_SETS) pyproject.toml client/pyproject.toml
	$(PIP) install -q $(SERVER_SETS:%=-r %)
	$(PIP) install -q --no-deps --no-build-isolation -e . -e client
	@touch $@

$(VENV)/.demo: $(VENV)/.installed requirements/demo.txt
	$(PIP) install -q -r requirements/demo.txt
	@touch $@

$(VENV)/.test: $(VENV)/.demo requirements/test.txt
	$(PIP) install -q -r requirements/test.txt
	@touch $@

install: $(VENV)/.installed  ## the server and the client into .venv, from pinned requirements

demo: $(VENV)/.demo  ## train on real images through the HTTP API; DATA=…/cifar10-jpeg.zip for CIFAR-10
	$(BIN)/python examples/demo.py $(if $(DATA),--data "$(DATA)")

serve: $(VENV)/.installed  ## run everything on this machine: DATA_DIR=stoker-data PORT=8000
	$(BIN)/stokerd up --data-dir "$(DATA_DIR)" --port $(PORT)

test: $(VENV)/.test  ## every test, lint and types included; TESTS=tests/api for a part
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) $(TESTS)

fuzz: $(VENV)/.test  ## ten thousand random graphs against their references; GRAPHS=100 SEED=7
	$(BIN)/python -m tests.engine.fuzz --count $(GRAPHS) $(if $(SEED),--seed $(SEED))

lint: $(VENV)/.test  ## ruff and the import contracts
	$(BIN)/ruff check .
	PYTHONPATH=client $(BIN)/lint-imports

types: $(VENV)/.test  ## mypy, strict
	$(BIN)/mypy

$(PEERS)/.installed: requirements/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check --no-input install -q -r requirements/peers.txt
	@touch $@

parity: $(VENV)/.test $(PEERS)/.installed $(RIVALS)/.installed  ## compare with Keras and PyTorch live; writes tests/parity/figures/
	$(PEERS)/bin/python tests/parity/generate.py
	$(PEERS)/bin/python tests/parity/texts.py
	$(PEERS)/bin/python tests/parity/colours.py
	$(PEERS)/bin/python tests/parity/moving.py
	$(PEERS)/bin/python tests/parity/courses.py
	$(BIN)/python -m engine.catalogue > $(PEERS)/catalogue.json
	$(PEERS)/bin/python tests/parity/coverage.py $(PEERS)/catalogue.json
	$(PEERS)/bin/python tests/parity/keras_layers.py .parity.npz
	$(BIN)/python -m tests.parity.compare .parity.npz
	$(BIN)/python -m tests.parity.exports write .parity.exports
	$(PEERS)/bin/python tests/parity/exports.py open .parity.exports
	$(PEERS)/bin/python tests/parity/applications.py write .parity.applications
	$(BIN)/python -m tests.parity.applications read .parity.applications
	$(BIN)/python -m tests.parity.applications train .parity.applications
	$(BIN)/python -m tests.parity.roundtrip train .parity.roundtrip
	$(PEERS)/bin/python tests/parity/roundtrip.py keras .parity.roundtrip
	$(RIVALS)/bin/python tests/parity/roundtrip.py torch .parity.roundtrip
	$(BIN)/python -m tests.parity.roundtrip back .parity.roundtrip
	$(BIN)/python -m pytest tests/parity

$(RIVALS)/.installed: requirements/bench-peers.txt
	$(PYTHON) -m venv $(RIVALS)
	$(RIVALS)/bin/python -m pip --disable-pip-version-check --no-input install -q -r requirements/bench-peers.txt
	@touch $@

bench: $(VENV)/.demo $(RIVALS)/.installed  ## training steps beside PyTorch, Keras and JAX; ONLY=cnn32, ONLY="kernels compile" for a part
	$(BIN)/python -m benchmarks.bench --peers $(RIVALS)/bin/python --only $(ONLY)

pins: $(VENV)/.test  ## write requirements/*.txt from *.in at the versions installed in .venv
	$(BIN)/python requirements/pin.py server client demo test build

clean:  ## remove the environments and caches
	rm -rf $(VENV) $(PEERS) $(RIVALS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
