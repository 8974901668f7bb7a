"""A finished sweep with everything real but Ray: a drawn store, a plan, a ledger, trained weights.

Trial 0 hardly learns, trial 1 finds the discs.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import FloatDistribution
from tiny_store import drawn_store

from ptxcore.data.splits.fold_plan import FoldPlan, make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.metrics import save_table
from ptxcore.settings import FoldSettings
from ptxcore.training import train_fold
from ptxcore.types import FoldResult, Runtime
from sweep.ledger import Ledger
from sweep.ledger.header import SweepHeader
from sweep.records import FoldScore, State, SweepState
from sweep.storage.home import Home

NAME = "tiny"
RATES = FloatDistribution(1e-6, 1e-1, log=True)
SETTINGS: dict[str, Any] = {
    "network": "unet",
    "channels": 6,
    "levels": 3,
    "dropout": 0.0,
    "image_size": 32,
    "patch_size": 32,
    "augmentation_strength": 0.0,
    "batch_size": 4,
}
TRIALS: tuple[dict[str, Any], ...] = (
    {"learning_rate": 1e-6, "max_epochs": 1},
    {"learning_rate": 3e-2, "max_epochs": 10},
)


def home_at(folder: Path) -> Home:
    """A home that no environment variable moves."""
    return Home.from_environment(
        folder,
        ledger=f"sqlite:///{folder / 'ledger.db'}",
        tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
        storage=folder / "sweeps",
    )


def make_sweep(folder: Path, **more: Any) -> Home:
    """Train two trials on two folds, and enter them in a ledger; `more` are further settings."""
    home = home_at(folder / "home")
    store = drawn_store(folder / "store", num_cases=48, num_positive=24, side_px=32)
    plan = make_plan(store, num_folds=2, holdout_fraction=0.3)
    place = home.sweep_folder(NAME)
    place.mkdir(parents=True)
    plan.save(place / "plan.json")
    ledger = Ledger.create(home.ledger_url, NAME, header=make_header(store, plan))
    ledger.acquire("test")
    ledger.set_sweep_state(SweepState.RUNNING)
    for choice in TRIALS:
        settings = {**SETTINGS, **more, **choice}
        number = ledger.add_trial(
            {"learning_rate": choice["learning_rate"]}, {"learning_rate": RATES}, settings=settings
        )
        for fold in range(plan.num_folds):
            enter(ledger, store, plan, place, number, fold, settings)
        ledger.end(number, State.COMPLETE)
    ledger.set_sweep_state(SweepState.FINISHED, "2 trials are complete")
    ledger.close()
    return home


def copy_sweep(home: Home, name: str, numbers: Sequence[int], **header: Any) -> None:
    """Another sweep of the home on the same plan, with some of the trained trials.

    Args:
        home: Of a tiny sweep.
        name: Of the new sweep.
        numbers: Trials of the tiny sweep, in the order that they get here.
        **header: What its header has in place of the tiny sweep's.
    """
    first = Ledger.open(home.ledger_url, NAME)
    ledger = Ledger.create(
        home.ledger_url, name, header=dataclasses.replace(first.header, **{"seed": 1, **header})
    )
    first.close()
    shutil.copytree(home.sweep_folder(NAME), home.sweep_folder(name))
    ledger.acquire("test")
    ledger.set_sweep_state(SweepState.RUNNING)
    for number in numbers:
        one = first.projection.trials[number]
        rate = one.settings["learning_rate"]
        new = ledger.add_trial(
            {"learning_rate": rate}, {"learning_rate": RATES}, settings=one.settings
        )
        for fold, score in sorted(one.folds.items()):
            attempt = ledger.start_fold(new, fold)
            ledger.finish_fold(dataclasses.replace(score, trial=new, attempt=attempt))
        ledger.end(new, State.COMPLETE)
    ledger.set_sweep_state(SweepState.FINISHED, "copied")
    ledger.close()


def make_header(store: CaseStore, plan: FoldPlan) -> SweepHeader:
    """As a launched sweep writes it."""
    return SweepHeader(
        metric="average_precision",
        maximize=True,
        num_folds=plan.num_folds,
        seed=0,
        store=str(store.folder),
        data_hash=store.data_hash,
        phantom=store.phantom,
        plan_digest=plan.digest,
        search_plan_digest=plan.search_part().digest,
        runtime=dataclasses.asdict(Runtime()),
        version="0.1.0",
        git_sha="0123456789abcdef0123456789abcdef01234567",
        created_at="2027-01-15T08:00:00+00:00",
    )


def enter(
    ledger: Ledger,
    store: CaseStore,
    plan: FoldPlan,
    place: Path,
    number: int,
    fold: int,
    settings: Mapping[str, Any],
) -> None:
    """Train one fold and commit it."""
    attempt = ledger.start_fold(number, fold)
    directory = place / "trials" / f"{number:04d}" / f"fold-{fold}" / f"attempt-{attempt}"
    result = None
    for report in train_fold(
        FoldSettings.from_mapping(settings),
        store,
        plan.search_part(),
        fold,
        seed=number,
        runtime=Runtime(),
        directory=directory,
    ):
        result = report.result
    assert isinstance(result, FoldResult)
    assert result.weights is not None
    save_table(directory / "cases.npz", result.cases)
    ledger.finish_fold(
        FoldScore(
            trial=number,
            fold=fold,
            attempt=attempt,
            value=result.metrics["average_precision"],
            score=result.metrics["average_precision"],
            seconds=result.seconds,
            num_epochs=result.num_epochs,
            best_epoch=result.best_epoch,
            metrics=result.metrics,
            curves=result.curves,
            cases=str((directory / "cases.npz").relative_to(place)),
            weights=str(result.weights.relative_to(place)),
        )
    )
