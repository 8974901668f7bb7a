"""Pictures of cases as a trial segmented them, out of fold; no hold-out is read for them.

They need PyTorch and take a while. The live page has them drawn by `python -m sweep.draw_cases`,
a process of its own that is told on its standard input what to draw (`REQUEST`), writes a piece of
HTML, and prints why not where something is gone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ptxcore.errors import CoreError, StoreError
from ptxcore.types import Runtime
from sweep.analysis.operating_point import OperatingPoint, operating_points
from sweep.errors import StorageError, SweepError
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.storage.case_stores import open_store, store_of
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep
from sweep.util.redaction import redact

if TYPE_CHECKING:
    from dashboards.report.predictions import PredictionsInfo

#: What the process reads as JSON: the home's fields, the sweep, the trial, the file to write.
REQUEST = ("home", "name", "trial", "out")


def case_pictures(
    home: Home,
    name: str,
    projection: Projection,
    trial: Trial,
    points: Mapping[int, OperatingPoint],
) -> PredictionsInfo | str:
    """Draw cases of a trial, or say why there is nothing to draw them from.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        projection: Projection of the sweep.
        trial: One of its complete trials, its files brought.
        points: Thresholds by trial.
    """
    folder = home.sweep_folder(name)
    weights = [score.weights for score in trial.folds.values()]
    tables = [score.cases for score in trial.folds.values()]
    has_tables = all(table and (folder / table).is_file() for table in tables)
    has_weights = all(weight and (folder / weight).is_dir() for weight in weights)
    if trial.number not in points or not (has_tables and has_weights):
        return f"the tables or weights of trial {trial.number} are gone"
    try:
        store = open_store(store_of(projection.header, home.folder))
    except (StoreError, StorageError) as error:
        return str(error)
    if store.data_hash != projection.header.data_hash:
        return "the case store is not the sweep's any more"

    from dashboards.report.predictions import collect_predictions

    return collect_predictions(
        trial,
        store=store,
        folder=folder,
        runtime=Runtime(**(projection.header.runtime or {})),
        operating_point=points[trial.number],
    )


def draw(home: Home, name: str, number: int, out: Path) -> str | None:
    """Write the pictures of a complete trial as a piece of HTML.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        number: Number of the trial.
        out: File to write; its folder is made.

    Returns:
        Why there is none; None where it was written.

    Raises:
        UnknownSweep: There is no sweep of that name.
        StorageError: Object storage cannot be used.
        CoreError: The weights cannot be loaded, or an image does not fit in memory.
    """
    from dashboards.report.predictions import gallery
    from ptxcore.atomic_file import whole_file

    with Sweep.open(home, name) as sweep:
        trial = sweep.projection.trials[number]
        if trial.state is not State.COMPLETE:
            return f"trial {number} is {trial.state}, pictures are drawn of complete ones"
        sweep.files.bring_folds([trial], weights=True)
        points = operating_points(sweep.projection, sweep.folder)
        found = case_pictures(home, name, sweep.projection, trial, points)
    if isinstance(found, str):
        return found
    with whole_file(out) as draft:
        draft.write_text(gallery(found), encoding="utf-8")
    return None


def main() -> int:
    """Draw what standard input asks for; prints why not."""
    asked = json.load(sys.stdin)
    fields = {**asked["home"]}
    for key in ("folder", "storage"):
        fields[key] = Path(fields[key])
    try:
        why = draw(Home(**fields), asked["name"], asked["trial"], Path(asked["out"]))
    except (SweepError, CoreError, OSError) as error:
        why = redact(" ".join(str(error).split()))
    if why is not None:
        print(why)
    return 0


if __name__ == "__main__":
    sys.exit(main())
