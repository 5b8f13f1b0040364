# make demo   installs into .venv, swaps the face in the example clip, says where the result is
# make test   installs into .venv with the tools for development, checks style and types, runs the tests (make test-all: the slow ones too)
SHELL := /bin/sh
PYTHON ?=
JOBS ?= 3
PINS := $(wildcard constraints/*.txt) constraints/install.py pyproject.toml
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' faceswap_cli/__init__.py)
BIN := .venv/bin
OUT := demo_out

.PHONY: demo test test-all lint format wheel sbom audit constraints hashes clean help
.DELETE_ON_ERROR:

help:
	@sed -n '1,2s/^# //p' Makefile
	@echo "make test-all | lint | format | wheel | sbom | audit | constraints | hashes | clean"

.venv/made:
	@for candidate in "$(PYTHON)" python3 python3.13 python3.12 python3.11 python3.10 python; do \
	  test -n "$$candidate" && "$$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && break; \
	  candidate=; \
	done; \
	test -n "$$candidate" || { echo "no Python 3.10 to 3.13 found; name one: make PYTHON=/path/to/python3.12" >&2; exit 2; }; \
	echo "making .venv with $$("$$candidate" --version)"; \
	"$$candidate" -m venv .venv || { echo "venv failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	@touch $@

.venv/installed: .venv/made $(PINS)
	@echo "installing faceswap with pinned versions (about 1.8 GB, a minute or a few)"
	@$(BIN)/python constraints/install.py
	@touch $@

.venv/installed-dev: .venv/made $(PINS)
	@echo "installing faceswap and its development tools with pinned versions (about 1.9 GB, a minute or a few)"
	@$(BIN)/python constraints/install.py dev onnxruntime
	@touch $@ .venv/installed

# The two photographs behind the example are in the public domain (examples/README.md).
demo: .venv/installed
	@mkdir -p $(OUT)
	@$(BIN)/faceswap terms >&2
	@echo "(accepted for this one run, whose two pictures are in the public domain)" >&2
	@FACESWAP_ACCEPT_TERMS=1 XDG_DATA_HOME="$$PWD/.venv/demo-data" $(BIN)/faceswap video examples/source.jpg examples/target.mp4 -o $(OUT)/target_swapped.mp4 --force
	@echo "the result is in $(OUT)/target_swapped.mp4, the clip it was made from in examples/target.mp4"

lint: .venv/installed-dev
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check --quiet . || { echo "run: make format" >&2; exit 1; }
	@$(BIN)/python -m mypy

test: lint
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) -m "not slow"

# The slow ones too: full-size networks, killed jobs, cluster nodes; 6 GB of memory for each process.
test-all: lint
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS)

format: .venv/installed-dev
	@$(BIN)/python -m ruff check --fix --quiet .
	@$(BIN)/python -m ruff format .

wheel: .venv/installed
	@$(BIN)/python -m hatchling build --target wheel --directory dist >/dev/null
	@cd dist && ../$(BIN)/python -c 'import glob, hashlib; [print(hashlib.sha256(open(p, "rb").read()).hexdigest(), p) for p in glob.glob("*.whl")]'

.venv/release/made: .venv/made release/tools.txt
	@$(BIN)/python -m venv .venv/release
	@.venv/release/bin/python -m pip install --quiet --disable-pip-version-check -r release/tools.txt
	@touch $@

# What the program is made of, as CycloneDX JSON.
sbom: .venv/installed .venv/release/made
	@.venv/release/bin/python release/sbom.py $(BIN)/python dist/faceswap-cli-$(VERSION).cdx.json

# Asks the advisory database of PyPI about every pinned version: needs the network.
audit: .venv/release/made
	@.venv/release/bin/python release/audit.py constraints

# Pins what pip resolves today, for each Python that is installed here.
constraints:
	@for version in 3.10 3.11 3.12 3.13; do \
	  python$$version -c '' 2>/dev/null || { echo "python$$version is not here, left as it is"; continue; }; \
	  python$$version constraints/resolve.py; \
	done

# The digests of those pins, from PyPI.
hashes: .venv/made
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python constraints/hashes.py

clean:
	rm -rf .venv dist $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis
