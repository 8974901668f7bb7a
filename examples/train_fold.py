"""Train one fold: no sweep, no ledger, no Ray.

    python examples/train_fold.py FOLDER

`train_fold` is a generator that reports an epoch at each step, so that anything can drive it: a
loop, a notebook, a scheduler. The last report carries the score of the held fold.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ptxcore.data.importing.run import import_cases
from ptxcore.data.phantom import write_phantom
from ptxcore.data.splits.fold_plan import make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.settings import FoldSettings
from ptxcore.training import train_fold
from ptxcore.types import FoldResult, Runtime

SETTINGS = FoldSettings(
    image_size=64,
    patch_size=0,
    channels=4,
    levels=3,
    batch_size=8,
    max_epochs=3,
    learning_rate=3e-3,
)


def main(folder: Path) -> FoldResult:
    """Draw a phantom, import it, train fold 0 of 3."""
    files = write_phantom(folder / "phantom", num_cases=60, size=64, prevalence=0.5, seed=0)
    import_cases(files.dicom, files.rle, folder / "store")
    store = CaseStore.open(folder / "store")

    # The hold-out is locked away first; a search gets the rest of the plan.
    plan = make_plan(store, num_folds=3, holdout_fraction=0.15).search_part()
    reports = train_fold(SETTINGS, store, plan, fold=0, seed=0, runtime=Runtime())
    for report in reports:
        monitor = report.monitor["average_precision"]
        print(f"epoch {report.epoch}: loss {report.train_loss:.3f}, monitor {monitor:.3f}")

    result = report.result
    assert result is not None, "the last report has the result"
    dice, baseline = result.metrics["dice"], result.metrics["dice_all_empty"]
    print(f"held fold: average precision {result.metrics['average_precision']:.3f}")
    print(f"           Dice (both empty = 1) {dice:.3f}, predicting nothing {baseline:.3f}")
    return result


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/train_fold.py FOLDER")
    main(Path(sys.argv[1]))
