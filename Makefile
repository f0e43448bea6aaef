# make demo     train iFAM on generated data, measure it, show what it attends to (about 15 minutes on 2 cores). PRESET=small: the same with DINOv2 ViT-S/14 at 224 px
# make test     check everything: notebooks, exports, tests (half an hour on 2 cores)
# make check    the checks that need only seconds: notebooks clean, exports in sync, README current
# make table    the methods side by side on Waterbirds, rates tuned, three seeds each: a part of the next, hours, goes on where it was stopped
# make reproduce  every table and figure of the paper: many hours (ARGS=--dry-run says how many), goes on where it was stopped. QUICK=1: minutes, a handful of images.
#                 PROFILE=paper DATA=/path: the real data; PROFILE=small: a DINOv2 ViT-S/14 at 224 px. KEPT=1: minutes, tables from the predictions that come with the checkout. RUNS=/path, ONLY=names, SEEDS=n, GPUS=n, ARGS=--dry-run: see nbs/09_paper/06_reproduce.ipynb
# make readme   execute nbs/index.ipynb and write README.md from it
# make docs     the notebooks and the library as a site, _site/index.html: by Quarto where it is installed; nothing is fetched
# make lock     requirements.lock from pyproject.toml (needs uv)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check table reproduce readme docs lock

# A checkout that was copied with its .venv works on itself: the environment's editable install points to where it was made
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
BIN := .venv/bin
READY := .venv/ready
# The first of these that is Python 3.11 or newer; or say which: make demo PYTHON=/path/to/python
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# What a notebook prints, its bars included, comes through to the terminal; papermill's own bar over cells, and a warning of the kernel's that means
# nothing on one machine, do not.
NOISE := IPKernelApp. WARNING\|KeyboardInterrupt caught in kernel
run_notebook = $(BIN)/papermill $(1) $(2) $(3) --no-progress-bar --stdout-file - --stderr-file - 2> >(grep -v '$(NOISE)' >&2)

help:
	@sed -n 's/^# make/make/p; s/^#  /  /p' Makefile

PRESET ?= demo
DEMO := $(if $(filter demo,$(PRESET)),demo,demo-$(PRESET))
# A step of the ViT-S at 224 px takes some six times as long as one of the demo's: fewer images, once
LESS_small := -p twin_size 0.5 -p epochs 1
demo: $(READY)
	@mkdir -p runs/$(DEMO)
	@echo '== training (the first time, the images are generated before)'
	@$(call run_notebook,nbs/train.ipynb,runs/$(DEMO)/train.ipynb,-p preset '$(PRESET)' -p K 8 -p run $(DEMO) $(LESS_$(PRESET)))
	@echo '== evaluation'
	@$(call run_notebook,nbs/evaluate.ipynb,runs/$(DEMO)/evaluate.ipynb,-p run $(DEMO))
	@$(BIN)/python tools/docs.py runs/$(DEMO)/train.ipynb runs/$(DEMO)/evaluate.ipynb
	@echo
	@cat runs/$(DEMO)/summary.md
	@ls runs/$(DEMO)/part_maps.png | sed 's/^/Part maps: /'

test: $(READY)
	@$(BIN)/python tools/check.py

check: $(READY)
	@$(BIN)/python -m pytest -q tests/test_repo.py

table:
	@$(MAKE) --no-print-directory reproduce ONLY=waterbirds-

PROFILE ?= $(if $(QUICK),quick,demo)
reproduce: $(READY)
	@$(BIN)/python tools/grid.py reproduce --profile '$(PROFILE)' $(if $(DATA),--data '$(DATA)') $(if $(RUNS),--runs '$(RUNS)') $(if $(ONLY),--only '$(ONLY)') \
	  $(if $(SEEDS),--seeds $(SEEDS)) $(if $(GPUS),--gpus $(GPUS)) $(if $(KEPT),--kept) $(ARGS)

readme: $(READY)
	@$(BIN)/jupyter nbconvert --log-level ERROR --to notebook --execute --inplace nbs/index.ipynb 2> >(grep -v '$(NOISE)' >&2)
	@$(BIN)/nbdev_clean --fname nbs/index.ipynb
	@$(BIN)/python tools/readme.py

docs: $(READY)
	@$(BIN)/python tools/docs.py

lock:
	uv pip compile pyproject.toml --extra dev --generate-hashes --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	  -c <(printf 'torch==2.11.0\ntorchvision==0.26.0\n') --no-header -o requirements.lock

$(READY): requirements.lock pyproject.toml
	@test -n '$(PYTHON)' || { echo 'iFAM needs Python 3.11 or newer, and found neither python3.11 nor a new enough python3. Install one, or say where it is: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@echo '== the environment, once (a few minutes, most of it downloads)'
	@$(PYTHON) tools/environment.py
	@touch $@
