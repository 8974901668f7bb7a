"""Where the real SIIM-ACR slice is, which is not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data" / "siim"


def find_slice() -> Path | None:
    """The folder that PTXSWEEP_SIIM names, else the one beside the project, if it is there."""
    folder = Path(os.environ.get("PTXSWEEP_SIIM", BESIDE))
    return folder if (folder / "train-rle.csv").is_file() else None
