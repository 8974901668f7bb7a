"""Whole sweeps through the command line, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

#: Sizes at which a fold takes about a second on one core.
TINY_SPACE = """
name: tiny
description: three configurations, three folds, a few epochs
objective: {metric: average_precision}
folds: 3
policy: {name: POLICY, num_trials: 3, num_completions: 3}
pruner: {name: none}
sampler: {name: random}
candidates:
  - {learning_rate: 0.003}
  - {learning_rate: 0.001, dropout: 0.2}
fixed:
  network: attention_unet
  channels: 4
  levels: 3
  image_size: 64
  patch_size: 0
  batch_size: 8
  warmup_epochs: 0
  max_epochs: EPOCHS
  patience: 20
  positive_fraction: 0.7
parameters:
  learning_rate: {type: float, low: 1.0e-4, high: 1.0e-2, log: true, default: 0.002}
  dropout: {type: float, low: 0.0, high: 0.5, default: 0.0}
"""


def ptxsweep(*words: str | Path, home: Path | None, check: int | None = 0) -> Any:
    """Run a command; its JSON, with the exit code checked."""
    where = [] if home is None else ["--home", str(home)]
    done = subprocess.run(
        [sys.executable, "-m", "sweep.cli", *map(str, words), *where, "--json"],
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert check is None or done.returncode == check, f"exit {done.returncode}\n{done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else None


def start_ptxsweep(*words: str | Path, home: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own and leave it running."""
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "sweep.cli", *map(str, words), "--home", str(home), "--json"],
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
