"""The locked cases of a sweep: the plan that names them, checked, and networks scored on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore, OnProgress, no_progress
from ptxcore.errors import FoldPlanError
from ptxcore.inference import Ensemble, ImageLogits
from ptxcore.metrics import (
    build_table,
    count_case,
    finite_case_logit,
    logits_to_mask,
    measure_surface,
)
from ptxcore.types import CaseTable, Rule
from sweep.errors import UsageError
from sweep.ledger.header import SweepHeader
from sweep.storage.case_stores import locate, open_store, store_of
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep
from sweep.storage.sweep_files import files_of

#: Logits for a case's id and its image.
Logits = Callable[[str, NDArray[Any]], ImageLogits]


def holdout_digest(plan: FoldPlan) -> str:
    """SHA-256 that tells hold-outs apart: the data and the ids of its cases."""
    text = json.dumps([plan.data_hash, sorted(plan.holdout)])
    return hashlib.sha256(text.encode()).hexdigest()


def place_of(sweep: Sweep, store: Path | str | None) -> str:
    """Where the case store of a sweep is: the folder or the address, not a host's copy.

    Args:
        sweep: The sweep.
        store: Where the store is now, if it moved.

    Raises:
        StoreError: The ledger does not say it.
    """
    return locate(store or store_of(sweep.header, sweep.home.folder))


def read_plan(
    home: Home,
    name: str,
    header: SweepHeader,
    store: Path | str | None = None,
    on_verify: OnProgress = no_progress,
) -> tuple[CaseStore, FoldPlan]:
    """The cases and the plan of a sweep, checked against its ledger and their digests.

    Nothing is scored: a wrong case would cost the hold-out.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        header: Header of its ledger.
        store: Where its case store is now, if it moved.
        on_verify: Called while the store is read through.

    Raises:
        StoreError: The case store is missing or damaged.
        StorageError: Object storage cannot be used.
        FoldPlanError: See `checked_plan`.
        UsageError: See `checked_plan`.
    """
    cases = open_store(store or store_of(header, home.folder))
    files_of(home, name).bring_plan()
    plan = checked_plan(home.sweep_folder(name) / "plan.json", header, cases)
    cases.verify(on_verify)
    return cases, plan


def checked_plan(path: Path, header: SweepHeader, store: CaseStore) -> FoldPlan:
    """The plan of a sweep, if it is the one that was run and nothing leaks from it.

    Raises:
        FoldPlanError: The plan or the data are not those of the sweep, or a patient of the
            hold-out is in a fold.
        UsageError: The plan has no hold-out.
    """
    plan = FoldPlan.load(path)
    for what, found, expected in (
        ("plan digest", plan.digest, header.plan_digest),
        ("search plan digest", plan.search_part().digest, header.search_plan_digest),
        ("data hash of the plan", plan.data_hash, header.data_hash),
        ("data hash of the store", store.data_hash, header.data_hash),
    ):
        if found != expected:
            raise FoldPlanError(
                f"{path.name}: {what}: found {found[:12]}, expected {str(expected)[:12]} as the "
                "ledger has it; restore the plan, or give the sweep's own data with --store"
            )
    if not plan.holdout:
        raise UsageError(
            "the plan has no hold-out, so nothing is left to confirm the winner on; run a sweep "
            "with --holdout-fraction above 0"
        )
    groups = {case.case_id: case.group for case in store.cases}
    searched = {groups[name] for fold in range(plan.num_folds) for name in plan.search.held(fold)}
    shared = {groups[name] for name in plan.holdout} & searched
    if shared:
        raise FoldPlanError(
            f"{path.name}: {len(shared)} patient(s) of the hold-out are in a fold too, expected "
            "none; make a new plan"
        )
    return plan


def holdout_names(plan: FoldPlan) -> list[str]:
    """The ids of the locked cases in the order in which they are scored."""
    return sorted(plan.holdout)


def count_patients(plan: FoldPlan, store: CaseStore) -> tuple[int, int]:
    """Patients of the hold-out with a positive case, and without. No image is opened.

    Args:
        plan: Fold plan of the sweep.
        store: Its cases.
    """
    cases = [store.cases[store.index(name)] for name in plan.holdout]
    positive = {case.group for case in cases if case.is_positive}
    return len(positive), len({case.group for case in cases} - positive)


def score(
    ensembles: Sequence[Ensemble], store: CaseStore, plan: FoldPlan, on_progress: OnProgress
) -> list[CaseTable]:
    """One table for each ensemble, of the same cases in the same order.

    Args:
        ensembles: Scored side by side, so that each image is read once.
        store: Where the cases are.
        plan: Fold plan with the hold-out that is scored.
        on_progress: Called after every case.
    """
    models = [(_logits_of(ensemble), ensemble.rule) for ensemble in ensembles]
    return score_cases(models, store, holdout_names(plan), on_progress)


def score_cases(
    models: Sequence[tuple[Logits, Rule]],
    store: CaseStore,
    names: Sequence[str],
    on_progress: OnProgress,
) -> list[CaseTable]:
    """One table for each model, of the same cases in the same order.

    Args:
        models: What gives logits for a case's id and image, and the rule that makes masks of them.
        store: Where the cases are.
        names: Ids of the cases.
        on_progress: Called after every case.
    """
    rows: list[list[Any]] = [[] for _ in models]
    surfaces: list[list[tuple[float, float, float]]] = [[] for _ in models]
    cases: list[list[float | None]] = [[] for _ in models]
    for done, name in enumerate(names, start=1):
        index = store.index(name)
        image, truth = store.image(index), store.mask(index)
        spacing = store.cases[index].pixel_spacing_mm
        for (logits_of, rule), own, outlines, found in zip(
            models, rows, surfaces, cases, strict=True
        ):
            logits, case = logits_of(name, image)
            found.append(case)
            own.append(count_case(logits, truth))
            outlines.append(measure_surface(logits_to_mask(logits, rule, case), truth, spacing))
        on_progress(done, len(names))
    views = [store.cases[store.index(name)].view for name in names]
    return [
        build_table(names, own, views=views, surfaces=outlines, case_logits=_all_or_none(found))
        for own, outlines, found in zip(rows, surfaces, cases, strict=True)
    ]


def _logits_of(ensemble: Ensemble) -> Logits:
    return lambda _, image: ensemble.predict(image)


def _all_or_none(found: Sequence[float | None]) -> list[float] | None:
    """What case heads say of each case; None where a model has none."""
    known = [finite_case_logit(one) for one in found if one is not None]
    return known if len(known) == len(found) else None


def table_path(folder: Path, use: int, of: int | str) -> Path:
    """Where the table of a trial, or of the "champion", on the locked cases is kept.

    Args:
        folder: Folder of the sweep.
        use: Number of the use of the hold-out by the sweep, one-based.
        of: Number of the trial, or another word.
    """
    name = f"{of:04d}" if isinstance(of, int) else of
    return folder / "confirmation" / f"use-{use}" / f"{name}.npz"
