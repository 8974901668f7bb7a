# make demo   the main job on a generated chest phantom, set-up included
# make test   the test suite, set-up included
# Both need Python 3.11 or newer, make and a network, nothing else. On a machine without an NVIDIA GPU
# TORCH_INDEX, the index of CPU builds that PyTorch's installation page names, saves some gigabytes.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ptxsweep-installed
HOME_FOLDER ?= runs/demo

export RAY_USAGE_STATS_ENABLED = 0
export MLFLOW_DISABLE_TELEMETRY = true
export NO_ALBUMENTATIONS_UPDATE = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick coverage check audit cluster-test slurm-test kill-test bench bench-core bench-core-gpu bench-policies bench-scale bench-load bench-evidence bench-see bench-speed bench-predict bench-dicom bench-champion pictures

help:
	@echo "make setup   create $(VENV) with the tested versions (nothing to do the second time)"
	@echo "             make setup TORCH_INDEX=ADDRESS where no NVIDIA GPU is: PyTorch's index of CPU builds"
	@echo "make demo    search, report, promote and predict on a phantom"
	@echo "             make demo DATA=folder RLE=masks.csv does the same on your own data"
	@echo "make test    run every test; make quick: those without Ray, MLflow and training"
	@echo "make coverage   which lines and branches the tests reach; of some tests: ARGS=tests/sweep/space"
	@echo "make check   ruff, mypy --strict, bandit, import directions"
	@echo "make audit   known vulnerabilities of what is installed (asks osv.dev)"
	@echo "make cluster-test   a sweep on three hosts of network namespaces, broken on purpose (root)"
	@echo "make slurm-test     a sweep on a Slurm cluster of network namespaces, interrupted on purpose (root)"
	@echo "make kill-test      kill -9 at a hundred random points of run, resume, promote, report, predict and import"
	@echo "make pictures   take the pictures of README and docs from make demo, with an installed Chromium"
	@echo "make bench   measure speed and memory, printed as ratios"
	@echo "make bench-core   training, inference and memory of the core; bench-core-gpu on a GPU"
	@echo "make bench-policies   fold policies side by side, TABLES=folder SEEDS=5 WORKERS=1"
	@echo "make bench-scale      policies and simulator at 100,000 trials"
	@echo "make bench-evidence   do gate and verdict hold: simulated sweeps and promotions with a known truth"
	@echo "make bench-see        what it costs to look at 1,000 trials, beside an earlier build"
	@echo "make bench-speed      what a user waits for, beside an earlier build, as ratios of CPU time"
	@echo "make bench-predict    a prediction beside its forward passes, and which engine is the fastest"
	@echo "make bench-champion   three sweeps of real cases on this machine's CPUs, judged by unseen ones; hours"
	@echo "make bench-dicom      DICOM files of other projects: read as the standard says, or refused by name"
	@echo "make bench-load       500 trials x 5 folds that only sleep: what the platform itself costs"

setup: $(STAMP)

# The stamp is younger than both files exactly when the last installation succeeded.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "found $$($(PYTHON) --version), expected Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "python could not make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@echo "installing about 180 packages into $(VENV): some minutes, 3.0 GB with the CPU build of PyTorch,"
	@echo "6.8 GB with the one for NVIDIA GPUs, which pip takes on Linux unless it is told otherwise"
	@$(if $(TORCH_INDEX),true,command -v nvidia-smi >/dev/null || \
	  echo "found no NVIDIA GPU here: make setup TORCH_INDEX=ADDRESS takes the smaller one; the page on installing PyTorch has the address")
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on \
	  --no-deps --index-url "$(TORCH_INDEX)" --constraint constraints.txt torch)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on \
	  --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	$(BIN)/ptxsweep demo --home "$(HOME_FOLDER)" $(if $(DATA),--dicom "$(DATA)") $(if $(RLE),--rle "$(RLE)")

# What loads OpenVINO and ONNX Runtime has a process of its own: beside many minutes of Ray, MLflow and PyTorch in
# one process it ended twice without a word. A user's command loads them in a fresh one. tests/conftest.py refuses
# a test elsewhere that loads them.
ENGINES := tests/sweep/test_export_model.py tests/e2e/test_case_head.py tests/ptxcore/test_case_threshold.py

# Two files at a time: much of a test is waiting for Ray, MLflow and browsers to start. A file's tests share
# what they start, so that a file is never split. A process that ends on the way ends the run: pytest-xdist 3.8 waits
# for ever once it is replaced (its issues 1323 and 1378).
JOBS ?= 2

test: setup
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --max-worker-restart 0 $(addprefix --ignore=,$(ENGINES))
	$(BIN)/python -m pytest $(ENGINES)

# Folders whose tests need no Ray, no MLflow and no training.
QUICK := tests/conformance tests/ptxcore/metrics/test_counts.py tests/ptxcore/metrics/test_groups.py \
         tests/ptxcore/metrics/test_conventions.py tests/property/test_index.py tests/sweep/space \
         tests/sweep/util tests/test_imports.py tests/test_private_parts.py tests/test_make.py

quick: setup
	$(BIN)/python -m pytest -q --quick $(QUICK)

# Not a part of `make test`: on Python 3.11 tracing adds some 60% to the time of tests/conformance and
# tests/sweep/simulate/test_engine.py (two runs each, in turns).
coverage: setup
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive sweep ptxcore dashboards
	$(BIN)/python -m pytest -q tests/test_imports.py

audit: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[audit]'
	$(BIN)/pip-audit --local --skip-editable --vulnerability-service osv

cluster-test: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[cluster-test]'
	PTXSWEEP_CLUSTER=$${PTXSWEEP_CLUSTER:-yes} $(BIN)/python -m pytest tests/cluster

slurm-test: setup
	PTXSWEEP_SLURM=$${PTXSWEEP_SLURM:-yes} $(BIN)/python -m pytest tests/slurm

# `kill -9` at a hundred random points; half an hour and more on two cores.
kill-test: setup
	$(BIN)/python tests/benchmarks/kill_test.py

pictures: setup
	PYTHONPATH=tests/support $(BIN)/python -m browser "$(HOME_FOLDER)/sweeps/demo/report.html" dashboards/report.png --height 1000
	PYTHONPATH=tests/support $(BIN)/python -m live_picture "$(HOME_FOLDER)" demo dashboards/live.png
	PYTHONPATH=tests/support $(BIN)/python -m mlflow_pages "$(HOME_FOLDER)" demo docs/mlflow.png

# All but the one that takes hours.
bench: setup
	@set -e; for file in $(filter-out %/bench_champion.py,$(wildcard tests/benchmarks/bench_*.py)); do echo "== $$file"; $(BIN)/python "$$file"; done

bench-core: setup
	$(BIN)/python tests/benchmarks/bench_core.py --device cpu

bench-core-gpu: setup
	$(BIN)/python tests/benchmarks/bench_core.py --device cuda

TABLES ?= tests/data/tables
SEEDS ?= 5
WORKERS ?= 1

bench-policies: setup
	$(BIN)/python tests/benchmarks/bench_policies.py "$(TABLES)" $(SEEDS) $(WORKERS)

bench-scale: setup
	$(BIN)/python tests/benchmarks/bench_scale.py

bench-evidence: setup
	$(BIN)/python tests/benchmarks/bench_evidence.py --workers 2

bench-see: setup
	$(BIN)/python tests/benchmarks/bench_see.py

bench-speed: setup
	$(BIN)/python tests/benchmarks/bench_speed.py

bench-load: setup
	$(BIN)/python tests/benchmarks/bench_load.py

bench-predict: setup
	$(BIN)/python tests/benchmarks/bench_predict.py

bench-dicom: setup
	$(BIN)/python tests/benchmarks/bench_dicom.py --environments --write

# About two hours a seed on two cores.
bench-champion: setup
	$(BIN)/python tests/benchmarks/bench_champion.py
