"""Where pictures of a trial's cases are kept, once drawn, for report and live page."""

from __future__ import annotations

from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Trial
from sweep.util.provenance import PRODUCT

FOLDER = "pictures"


def kept_pictures(folder: Path, header: SweepHeader, trial: Trial) -> Path:
    """The file that holds a trial's pictures as a piece of HTML, drawn or not.

    It is another one where the folds were scored anew, and for another version of the product.

    Args:
        folder: Folder of the sweep.
        header: Header of its ledger.
        trial: A complete trial.
    """
    folds = [(f, s.value, s.cases, s.weights) for f, s in sorted(trial.folds.items())]
    made_by = (version(PRODUCT), header.created_at)
    told = repr((*made_by, folds, sorted(trial.inference.items())))
    digest = sha256(told.encode()).hexdigest()[:12]
    return folder / FOLDER / f"{trial.number:04d}-{digest}.html"
