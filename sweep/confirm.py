"""Is the winner real? Its ensemble is scored once on cases that no part of the search has seen.

The winner of a search is the best of many on the same folds, so its score there is optimistic.
The hold-out was locked away before the first fold. Its use is written down before it is opened,
and everything that can fail without it is done first: damaged weights spend no hold-out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptxcore.data.folds import FoldPlan
from ptxcore.data.store import CaseStore, Progress, no_progress
from ptxcore.errors import FoldPlanError
from ptxcore.inference import Ensemble
from ptxcore.metrics import (
    build_table,
    choose_rule,
    concatenate,
    count_case,
    load_table,
    logits_to_mask,
    measure_surface,
    per_case_dice,
    save_table,
)
from ptxcore.training.scoring import held_metrics
from ptxcore.types import CaseTable, Rule, Runtime
from sweep import artifacts
from sweep.bootstrap import grouped_interval
from sweep.confirmation import Confirmation, read_confirmation
from sweep.errors import UsageError
from sweep.evidence import Evidence
from sweep.home import Home
from sweep.ledger import Ledger
from sweep.model_package import usable_runtime
from sweep.prepare import git_sha
from sweep.projection import Candidate, Projection
from sweep.records import State
from sweep.stores import open_store

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class _Entrant:
    candidate: Candidate
    ensemble: Ensemble


def confirm(
    home: Home,
    name: str,
    *,
    store: Path | str | None = None,
    again: bool = False,
    purpose: str = "confirmation of the winner",
    on_progress: Progress = no_progress,
    on_verify: Progress = no_progress,
) -> Confirmation:
    """Open the hold-out and score the winner on it, and the default candidate beside it.

    Args:
        home: Where the sweep lives.
        name: Of the sweep.
        store: Where its case store is now, if it moved.
        again: Whether a use after the first is meant.
        purpose: Kept with the use.
        on_progress: Called after every case.
        on_verify: Called while the store is read through before the hold-out is opened.

    Raises:
        UsageError: There is no such sweep, no complete candidate, no hold-out, or its weights
            are gone.
        HoldoutUsed: The hold-out was used before and `again` is not set.
        FoldPlanError: The plan is not the one the sweep was run with, or its parts overlap.
        StoreError: The case store is missing or damaged.
        StorageError: Object storage cannot be used.
        CheckpointError: Weights are damaged.
    """
    ledger = Ledger.open(home.ledger_url, name)
    evidence = Evidence(home.ledger_url, name)
    try:
        folder = home.sweep_folder(name)
        cases = open_store(store or str(ledger.header["store"]))
        artifacts.bring_plan(home, name)
        artifacts.bring_folds(home, name, _contestants(ledger.projection), weights=True)
        plan = checked_plan(folder / "plan.json", ledger.header, cases)
        entrants = _entrants(ledger.projection, folder, plan)
        cases.verify(on_verify)  # a wrong case would cost the hold-out
        digest = holdout_digest(plan)
        number = evidence.begin(
            purpose=purpose,
            git_sha=git_sha(),
            holdout_digest=digest,
            candidates=[one.candidate.number for one in entrants],
            again=again,
        )
        tables = _score(entrants, cases, plan, on_progress)
        for one, table in zip(entrants, tables, strict=True):
            save_table(_table_path(folder, number, one.candidate.number), table)
        artifacts.save_folder(home, name, f"confirmation/use-{number}")
        result = _result(entrants, tables, cases, plan)
        evidence.finish(number, result, result["metrics"]["dice"])
        use = next(one for one in evidence.uses() if one.number == number)
        return read_confirmation(name, ledger.header, evidence, use)
    finally:
        evidence.close()
        ledger.close()


def holdout_digest(plan: FoldPlan) -> str:
    """SHA-256 that tells hold-outs apart: the data and the ids of its cases."""
    text = json.dumps([plan.data_hash, sorted(plan.holdout)])
    return hashlib.sha256(text.encode()).hexdigest()


def checked_plan(path: Path, header: Mapping[str, Any], store: CaseStore) -> FoldPlan:
    """The plan of a sweep, if it is the one that was run and nothing leaks from it.

    Raises:
        FoldPlanError: The plan or the data are not those of the sweep, or a patient of the
            hold-out is in a fold.
        UsageError: The plan has no hold-out.
    """
    plan = FoldPlan.load(path)
    for what, found, expected in (
        ("plan digest", plan.digest, header["plan_digest"]),
        ("search plan digest", plan.search_part().digest, header["search_plan_digest"]),
        ("data hash of the plan", plan.data_hash, header["data_hash"]),
        ("data hash of the store", store.data_hash, header["data_hash"]),
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


def weight_folders(candidate: Candidate, folder: Path) -> list[Path] | None:
    """The weights of a candidate's folds in order; None where they were not kept."""
    names = [candidate.folds[fold].weights for fold in sorted(candidate.folds)]
    folders = [folder / name for name in names if name is not None]
    kept = len(folders) == len(names) and all(one.is_dir() for one in folders)
    return folders if folders and kept else None


def _contestants(projection: Projection) -> list[Candidate]:
    """The winner, then the default candidate if it is another one and complete."""
    best = projection.best()
    if best is None:
        raise UsageError("no candidate has all its folds, so there is no winner to confirm")
    default = projection.candidates[0]
    return [best] + [default] * (best.number != 0 and default.state is State.COMPLETE)


def _entrants(projection: Projection, folder: Path, plan: FoldPlan) -> list[_Entrant]:
    """The winner, then the default candidate if it is another one; both ready to be scored."""
    candidates = _contestants(projection)
    best = candidates[0]
    runtime = usable_runtime(Runtime(**projection.header["runtime"]))
    entrants = []
    for one in candidates:
        weights = weight_folders(one, folder)
        if weights is None and one is best:
            raise UsageError(
                f"the weights of candidate {one.number} are gone from {folder}; the winner "
                "cannot be scored any more"
            )
        if weights is not None:
            rule = _rule(one, folder, plan)
            ensemble = Ensemble.load(weights, rule=rule, runtime=runtime, inference=one.inference)
            entrants.append(_Entrant(candidate=one, ensemble=ensemble))
    return entrants


def _rule(candidate: Candidate, folder: Path, plan: FoldPlan) -> Rule:
    """Chosen on all out-of-fold cases, each of them predicted by a network that never saw it."""
    tables = []
    for fold in sorted(candidate.folds):
        name = candidate.folds[fold].cases
        if name is None:
            raise UsageError(f"candidate {candidate.number}: fold {fold} has no table of cases")
        table = load_table(folder / name)
        if set(table.case_ids.tolist()) != set(plan.search.held(fold)):
            raise FoldPlanError(
                f"candidate {candidate.number}: the table of fold {fold} holds other cases than "
                "the plan's fold; were files exchanged?"
            )
        tables.append(table)
    return choose_rule(concatenate(tables))


def _score(
    entrants: list[_Entrant], store: CaseStore, plan: FoldPlan, on_progress: Progress
) -> list[CaseTable]:
    names = sorted(plan.holdout)
    rows: list[list[Any]] = [[] for _ in entrants]
    surfaces: list[list[tuple[float, float, float]]] = [[] for _ in entrants]
    for done, name in enumerate(names, start=1):
        index = store.index(name)
        image, truth = store.image(index), store.mask(index)
        spacing = store.cases[index].pixel_spacing_mm
        for one, own, outlines in zip(entrants, rows, surfaces, strict=True):
            logits = one.ensemble.logits(image)
            own.append(count_case(logits, truth))
            mask = logits_to_mask(logits, one.ensemble.rule)
            outlines.append(measure_surface(mask, truth, spacing))
        on_progress(done, len(names))
    views = [store.cases[store.index(name)].view for name in names]
    return [
        build_table(names, own, views=views, surfaces=outlines)
        for own, outlines in zip(rows, surfaces, strict=True)
    ]


def _result(
    entrants: list[_Entrant], tables: list[CaseTable], store: CaseStore, plan: FoldPlan
) -> dict[str, Any]:
    """What the evidence study keeps; plain JSON values."""
    winner, table = entrants[0], tables[0]
    groups = [store.cases[store.index(name)].group for name in table.case_ids.tolist()]
    positive = table.truth.sum(1) > 0
    dice = per_case_dice(table, winner.ensemble.rule)
    assert table.surfaces is not None, "`_score` measures them"
    distance, surface_dice, _ = table.surfaces.T
    samples = {
        "dice": dice,
        "dice_positive": np.where(positive, dice, np.nan),
        "gain": dice - ~positive,
        "surface_dice": surface_dice,
        "surface_dice_positive": np.where(positive, surface_dice, np.nan),
        "hausdorff95_mm": distance,
        "hausdorff95_positive_mm": np.where(positive, distance, np.nan),
    }
    default = None
    if len(entrants) > 1:
        rule = entrants[1].ensemble.rule
        default = held_metrics(tables[1], store, plan.search, rule)
        samples["difference"] = dice - per_case_dice(tables[1], rule)
    return {
        "candidate": winner.candidate.number,
        "metrics": held_metrics(table, store, plan.search, winner.ensemble.rule),
        "rule": dataclasses.asdict(winner.ensemble.rule),
        "inference": winner.candidate.inference,
        "default": default,
        "intervals": {
            key: list(grouped_interval(values, groups, confidence=CONFIDENCE))
            for key, values in samples.items()
        },
        "num_groups": len(set(groups)),
        "confidence": CONFIDENCE,
        "data_hash": store.data_hash,
        "plan_digest": plan.digest,
    }


def _table_path(folder: Path, use: int, candidate: int) -> Path:
    return folder / "confirmation" / f"use-{use}" / f"{candidate:04d}.npz"
