"""Pictures of cases as a trial segmented them, out of fold; no hold-out is read for them.

They need PyTorch and take a while, so a piece of HTML with them is kept. The live page has them
drawn by `python -m sweep.draw_cases`, a process of its own that is told on its standard input what
to draw (`REQUEST`), and prints why not where something is gone.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ptxcore.atomic_file import whole_file
from ptxcore.errors import CoreError, StoreError
from ptxcore.types import Runtime
from sweep.analysis.operating_point import OperatingPoint, operating_points
from sweep.errors import StorageError, SweepError
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.storage.case_stores import open_store, store_of
from sweep.storage.home import Home
from sweep.storage.kept_pictures import kept_pictures
from sweep.storage.sweep import Sweep
from sweep.util.redaction import redact

if TYPE_CHECKING:
    from dashboards.report.markup import Markup

#: What the process reads as JSON: the home's fields, the sweep, the trial.
REQUEST = ("home", "name", "trial")


@dataclass(frozen=True)
class Missing:
    """Why there are no pictures.

    Attributes:
        reason: In words.
    """

    reason: str


def case_pictures(
    home: Home,
    name: str,
    projection: Projection,
    trial: Trial,
    points: Mapping[int, OperatingPoint],
    place: Path | str | None = None,
) -> Markup | Missing:
    """Cases of a trial as a piece of HTML, drawn and kept unless they were; or why there is none.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        projection: Projection of the sweep.
        trial: One of its complete trials, its files brought.
        points: Thresholds by trial.
        place: Where the case store is now, if it moved.
    """
    folder = home.sweep_folder(name)
    weights = [score.weights for score in trial.folds.values()]
    tables = [score.cases for score in trial.folds.values()]
    has_tables = all(table and (folder / table).is_file() for table in tables)
    has_weights = all(weight and (folder / weight).is_dir() for weight in weights)
    if trial.number not in points or not (has_tables and has_weights):
        return Missing(f"the tables or weights of trial {trial.number} are gone")
    try:
        store = open_store(place or store_of(projection.header, home.folder))
    except (StoreError, StorageError) as error:
        return Missing(f"{error}; `report --store` takes where it is now")
    if store.data_hash != projection.header.data_hash:
        return Missing("the case store is not the sweep's any more")

    from dashboards.report.markup import Markup
    from dashboards.report.predictions import collect_predictions, gallery

    kept = kept_pictures(folder, projection.header, trial)
    if kept.is_file():
        return Markup(kept.read_text(encoding="utf-8"))
    found = collect_predictions(
        trial,
        store=store,
        folder=folder,
        runtime=Runtime(**(projection.header.runtime or {})),
        operating_point=points[trial.number],
    )
    drawn = gallery(found)
    # A sweep that may only be read has pictures all the same.
    with contextlib.suppress(OSError), whole_file(kept) as draft:
        draft.write_text(drawn, encoding="utf-8")
    return drawn


def draw(home: Home, name: str, number: int) -> str | None:
    """Have the pictures of a complete trial kept.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        number: Number of the trial.

    Returns:
        Why there is none; None where there is.

    Raises:
        UnknownSweep: There is no sweep of that name.
        StorageError: Object storage cannot be used.
        CoreError: The weights cannot be loaded, or an image does not fit in memory.
    """
    with Sweep.open(home, name) as sweep:
        trial = sweep.projection.trials[number]
        if trial.state is not State.COMPLETE:
            return f"trial {number} is {trial.state}, pictures are drawn of complete ones"
        sweep.files.bring_folds([trial], weights=True)
        points = operating_points(sweep.projection, sweep.folder)
        found = case_pictures(home, name, sweep.projection, trial, points)
        if isinstance(found, Missing):
            return found.reason
        is_kept = kept_pictures(sweep.folder, sweep.header, trial).is_file()
        return None if is_kept else "they cannot be written into the sweep's folder"


def main() -> int:
    """Draw what standard input asks for; prints why not."""
    asked = json.load(sys.stdin)
    fields = {**asked["home"]}
    for key in ("folder", "storage"):
        fields[key] = Path(fields[key])
    try:
        why = draw(Home(**fields), asked["name"], asked["trial"])
    except (SweepError, CoreError, OSError) as error:
        why = redact(" ".join(str(error).split()))
    if why is not None:
        print(why)
    return 0


if __name__ == "__main__":
    sys.exit(main())
