# Everything a person runs, one word each; `make help` lists it.
#
# `make setup` reads pyproject.toml and constraints.txt and does nothing while both are older than its stamp.
# torch is installed first and alone: on a machine whose pip knows a CPU-only wheel (through PIP_FIND_LINKS or
# PIP_EXTRA_INDEX_URL) that one satisfies the pin, and nothing installed later can ask for another build.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
RUN    ?= runs/tiny
PYTEST_ARGS ?=

# Real documents and a Chinese font for the tests, where Debian's packages are at hand; nothing of them is installed.
DEBIAN   := build/debian
PACKAGES := debian-faq debian-faq-zh-cn debian-policy debian-reference-en developers-reference fonts-wqy-zenhei
FONT     := $(DEBIAN)/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc
WITH_FONT = $(if $(MIMOVL_CJK_FONT),,$(if $(wildcard $(FONT)),MIMOVL_CJK_FONT=$(CURDIR)/$(FONT)))

.PHONY: help setup demo test test-engines check bench clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

setup: $(STAMP) ## make .venv with mimovl and all that the tests need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "mimovl needs Python 3.11 or newer; $(PYTHON) is %d.%d. Try: make setup PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,video,math,curate,ocr,serve,client,tensorboard,wandb]'
	@touch $@

demo: setup ## train, post-train, evaluate and report the tiny model: runs/tiny/report.html
	$(BIN)/mimovl run recipes/tiny.yaml --out $(RUN)

check: setup ## lint and types
	$(BIN)/ruff check .
	$(BIN)/mypy

$(DEBIAN)/.tried:
	@mkdir -p $(DEBIAN)/packages
	@if (cd $(DEBIAN)/packages && timeout 180 apt-get download -qq $(PACKAGES)) 2>/dev/null; \
	then for package in $(DEBIAN)/packages/*.deb; do dpkg-deb -x "$$package" $(DEBIAN); done; \
	else echo "Debian's packages are not at hand: tests on real documents and in Chinese skip"; fi
	@touch $@

test: check $(DEBIAN)/.tried ## lint, types, and every test that needs no other program
	@$(MAKE) --no-print-directory pytest

.PHONY: pytest
pytest:
	$(WITH_FONT) $(BIN)/python -m pytest -m "not engines" $(PYTEST_ARGS)

test-engines: setup ## tests that drive other programs; each one skips, with the reason, where its program is absent
	$(BIN)/python -m pytest -m engines $(PYTEST_ARGS) || { status=$$?; [ $$status -eq 5 ] || exit $$status; echo "no engine test found"; }

bench: setup ## print each benchmark's ratio against its peer
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[benchmarks]'
	@shopt -s nullglob; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

clean: ## remove caches and build files; .venv and runs stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage src/*.egg-info
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
