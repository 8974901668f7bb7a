#!/usr/bin/env bash
# monai 1.6.1, monai.bundle.ConfigParser: an expression in which the letters "import" stand anywhere, if only in the name of
# another item, is parsed as Python before references are put in, so that "@" is a SyntaxError. `$@scale * 2` is 6,
# `$@importance * 2` of the same value fails, and so does `$__import__('x').f(@folder)`.
# Here: configs/inference.json of a bundle calls functions by `_target_`, with references as arguments
# (ptxcore/export/monai_bundle.py, tests/sweep/test_monai_bundle.py::test_monai_runs_it_and_gives_what_the_networks_give).
# The index of CPU builds of PyTorch, where the default would be large: TORCH_INDEX=ADDRESS.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0
"$folder/venv/bin/pip" install --quiet monai==1.6.1 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import monai
from monai.bundle import ConfigParser

print("monai", monai.__version__)
seen = []
for text in ("$@scale * 2", "$@importance * 2"):
    try:
        seen.append(ConfigParser({"scale": 3, "importance": 3, "twice": text}).get_parsed_content("twice"))
    except SyntaxError:
        seen.append("SyntaxError")
    print(f"{text}: {seen[-1]}")
sys.exit(seen != [6, "SyntaxError"])
PY
