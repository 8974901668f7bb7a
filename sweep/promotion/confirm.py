"""Is the winner real? Its ensemble is scored once on cases that no part of the search has seen.

The winner of a search is the best of many on the same folds, so its score there is optimistic.
The hold-out was locked away before the first fold. Its use is written down before it is opened,
and everything that can fail without it is done first: damaged weights spend no hold-out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore, OnProgress, no_progress
from ptxcore.errors import CheckpointError, CoreError, DataError, FoldPlanError
from ptxcore.inference import Ensemble
from ptxcore.metrics import Agreement, choose_rule, concatenate, load_table, save_table
from ptxcore.models.weights import weights_digest
from ptxcore.types import CaseTable, Rule, Runtime
from sweep.analysis.detection import CaseRule, choose_case_rule
from sweep.analysis.expected_dice import promised_by
from sweep.errors import UsageError
from sweep.ledger.projection import Projection, Trial
from sweep.mlflow.model_package import usable_runtime
from sweep.promotion.assess import ScoredModel, assess, challenged, expected_on
from sweep.promotion.case_agreement import table_of_mean
from sweep.promotion.confirmation import Confirmation, read_confirmation
from sweep.promotion.costs import CHAMPION, NUM_IMAGES, WINNER, measure
from sweep.promotion.holdout import holdout_names, place_of, read_plan, score, table_path
from sweep.promotion.rival import Rival
from sweep.promotion.spending import Opening, open_holdout
from sweep.records import DEFAULT_TRIAL, State
from sweep.storage.room import require_room
from sweep.storage.sweep import Sweep
from sweep.util.provenance import pixel_versions
from sweep.util.redaction import redact

#: What the champion's own networks may raise on cases of another kind than theirs.
_UNSCORED = (CoreError, RuntimeError, ValueError, TypeError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class _Model:
    trial: Trial
    ensemble: Ensemble
    case_rule: CaseRule | None
    agreement: Agreement | None


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A sweep with an open hold-out: its plan and its cases are what they were."""

    sweep: Sweep
    cases: CaseStore
    plan: FoldPlan
    use: Opening


def confirm(
    sweep: Sweep,
    *,
    store: Path | str | None = None,
    again: bool = False,
    prevalence: float | None = None,
    rival: Rival | None = None,
    purpose: str = "confirmation of the winner",
    on_progress: OnProgress = no_progress,
    on_verify: OnProgress = no_progress,
    on_compare: OnProgress = no_progress,
) -> Confirmation:
    """Open the hold-out and score the winner on it, the default and the champion beside it.

    Args:
        sweep: Sweep with the winner that is scored.
        store: Where its case store is now, if it moved.
        again: Whether a use after the first is meant.
        prevalence: Share of positive cases that rules are chosen for, the default's too; that of
            the out-of-fold cases if None.
        rival: The champion to be scored on the same cases; None if there is none.
        purpose: Kept with the use.
        on_progress: Called after every case.
        on_verify: Called while the store is read through before the hold-out is opened.
        on_compare: Called after every case that a model's networks are compared on, likewise.

    Raises:
        UsageError: There is no complete trial, no hold-out, its weights are gone, or no rule can be
            chosen for the prevalence.
        HoldoutUsed: The hold-out was used before and `again` is not set.
        FoldPlanError: The plan is not the one the sweep was run with, or its parts overlap.
        StoreError: The case store is missing or damaged.
        StorageError: Object storage cannot be used.
        CheckpointError: Weights are damaged.
        OSError: The disk is full; the hold-out was not opened.
    """
    cases, plan = read_plan(sweep.home, sweep.name, sweep.header, store, on_verify)
    projection = sweep.projection
    sweep.files.bring_folds(_contestants(projection), weights=True)
    models = _models(projection, sweep.folder, cases, plan, prevalence, on_compare)
    promised = None
    if prevalence is not None:
        patients = {case.case_id: case.group for case in cases.cases}
        promised = promised_by(models[0].trial, sweep.folder, patients, prevalence)
    require_room(sweep.folder)
    use = open_holdout(
        sweep,
        plan,
        place_of(sweep, store),
        purpose=purpose,
        trials=[model.trial.number for model in models],
        again=again,
    )
    ensembles = [model.ensemble for model in models]
    tables = score(ensembles, cases, plan, on_progress)
    for model, table in zip(models, tables, strict=True):
        save_table(table_path(sweep.folder, use.number, model.trial.number), table)
    winner, *default = (
        ScoredModel(table=table, rule=ensemble.rule)
        for ensemble, table in zip(ensembles, tables, strict=True)
    )
    best = models[0].trial
    beside = default[0] if default else None
    result = {
        **assess(best.number, winner, beside, cases, plan, use.confidence),
        "inference": best.inference,
        "versions": pixel_versions(),
        "weights": weights_digests(best, sweep.folder),
        "costs": _costs(ensembles[0], rival, cases, plan),
    }
    if (case_rule := models[0].case_rule) is not None:
        result["case_rule"] = asdict(case_rule)
    if (agreement := models[0].agreement) is not None:
        result["agreement"] = agreement.to_stored()
    if promised is not None:
        expected = expected_on(winner, cases, promised.prevalence)
        result |= {"promised": promised.to_stored(), "expected": expected.to_stored()}
    if rival is not None:
        opened = _Opened(sweep=sweep, cases=cases, plan=plan, use=use)
        result = _beside(result, winner, rival, opened, on_progress)
    return _finished(sweep, use, result)


def challenge(
    sweep: Sweep,
    known: Confirmation,
    rival: Rival,
    *,
    store: Path | str | None = None,
    on_progress: OnProgress = no_progress,
    on_verify: OnProgress = no_progress,
) -> Confirmation:
    """Score the present champion on cases that were opened for a winner before: one more use.

    Args:
        sweep: The winner's.
        known: The winner's confirmation, of which the new one is a copy but for the champion.
        rival: The champion.
        store: Where the case store is now, if it moved.
        on_progress: Called after every case.
        on_verify: Called while the store is read through before the cases are scored.

    Raises:
        UsageError: The winner's table is gone, or its weights are.
        HoldoutUsed: Another process uses the hold-out.
        FoldPlanError: The plan is not the one the sweep was run with, or its parts overlap.
        StoreError: The case store is missing or damaged.
        StorageError: Object storage cannot be used.
    """
    cases, plan = read_plan(sweep.home, sweep.name, sweep.header, store, on_verify)
    sweep.files.bring_folder(f"confirmation/use-{known.use}")
    winner = ScoredModel(table=kept_table(sweep.folder, known), rule=known.rule)
    before = next(use for use in sweep.evidence.uses() if use.number == known.use).result
    assert before is not None, "a confirmation came to an end"
    best = sweep.projection.trials[known.trial]
    sweep.files.bring_folds([best], weights=True)
    ensemble = load_ensemble(best, sweep.projection, sweep.folder, known.rule)
    use = open_holdout(
        sweep,
        plan,
        place_of(sweep, store),
        purpose=f"{rival.champion} beside the winner",
        trials=[known.trial],
        again=True,
    )
    save_table(table_path(sweep.folder, use.number, known.trial), winner.table)
    opened = _Opened(sweep=sweep, cases=cases, plan=plan, use=use)
    result = {**before, "costs": _costs(ensemble, rival, cases, plan)}
    return _finished(sweep, use, _beside(result, winner, rival, opened, on_progress))


def _beside(
    result: Mapping[str, Any],
    winner: ScoredModel,
    rival: Rival,
    opened: _Opened,
    on_progress: OnProgress,
) -> dict[str, Any]:
    """The winner's result with the champion on the same cases, or with why it is not there."""
    scored, problem = rival.scored, rival.champion.problem
    if scored is None and rival.ensemble is not None:
        try:
            (table,) = score([rival.ensemble], opened.cases, opened.plan, on_progress)
            scored = ScoredModel(table=table, rule=rival.ensemble.rule)
        except _UNSCORED as error:
            problem = redact(f"cannot be scored on these cases ({type(error).__name__}: {error})")
    if scored is not None:
        path = table_path(opened.sweep.folder, opened.use.number, CHAMPION)
        save_table(path, scored.table)
    facts = {**rival.facts, "problem": problem}
    return challenged(
        result, winner, scored, facts, opened.cases, opened.plan, opened.use.confidence
    )


def _costs(
    winner: Ensemble, rival: Rival | None, cases: CaseStore, plan: FoldPlan
) -> dict[str, Any]:
    """The winner's and the champion's, on a few images of the hold-out; no mask is looked at."""
    names = holdout_names(plan)
    chosen = dict.fromkeys(np.linspace(0, len(names) - 1, NUM_IMAGES).round().astype(int).tolist())
    images = [cases.image(cases.index(names[number])) for number in chosen]
    if rival is not None and rival.ensemble is not None:
        try:
            return measure({WINNER: winner, CHAMPION: rival.ensemble}, images)
        except _UNSCORED:
            pass  # why it fails on these images is said where it is scored
    return measure({WINNER: winner}, images)


def _finished(sweep: Sweep, use: Opening, result: Mapping[str, Any]) -> Confirmation:
    evidence = sweep.evidence
    sweep.files.save_folder(f"confirmation/use-{use.number}")
    counted = {"num_uses": use.num_uses, "is_count_shared": use.is_shared}
    evidence.finish(use.number, {**result, **counted}, result["metrics"]["dice"])
    kept = next(kept for kept in evidence.uses() if kept.number == use.number)
    return read_confirmation(sweep, kept)


def kept_table(folder: Path, known: Confirmation) -> CaseTable:
    """The winner's counts on every case of an opened hold-out.

    Args:
        folder: Folder of the sweep.
        known: The winner's confirmation.

    Raises:
        UsageError: The table is gone.
    """
    try:
        return load_table(table_path(folder, known.use, known.trial))
    except CheckpointError as error:
        raise UsageError(
            f"the winner's table of use {known.use} of the hold-out is gone, so the champion "
            "cannot be set beside it; `promote --again` scores both"
        ) from error


def weight_folders(trial: Trial, folder: Path) -> list[Path] | None:
    """The weights of a trial's folds in order; None where they were not kept."""
    names = [trial.folds[fold].weights for fold in sorted(trial.folds)]
    folders = [folder / name for name in names if name is not None]
    kept = len(folders) == len(names) and all(folder.is_dir() for folder in folders)
    return folders if folders and kept else None


def weights_digests(trial: Trial, folder: Path) -> list[str]:
    """What tells the weights of a trial apart, fold by fold; empty where they were not kept.

    Args:
        trial: Trial with all its folds.
        folder: Folder of its sweep.

    Raises:
        CheckpointError: Weights are damaged.
    """
    return [weights_digest(place) for place in weight_folders(trial, folder) or ()]


def default_without_weights(sweep: Sweep) -> str | None:
    """What is the matter with a complete default whose weights cannot be used; None if nothing is.

    Args:
        sweep: Sweep with a winner.

    Raises:
        StorageError: Object storage cannot be used.
    """
    for contestant in _contestants(sweep.projection)[1:]:
        sweep.files.bring_folds([contestant], weights=True)
        if (problem := _unusable(contestant, sweep.folder)) is not None:
            return f"{problem} (bring them back, the hold-out was not opened)"
    return None


def _unusable(trial: Trial, folder: Path) -> str | None:
    """What is the matter with the weights of a trial; None if they can be loaded."""
    weights = weight_folders(trial, folder)
    if weights is None:
        return f"whose weights are gone from {folder}, trial {trial.number}"
    try:
        Ensemble.load(weights, inference=trial.inference)
    except CheckpointError as error:
        return redact(f"whose weights are damaged, trial {trial.number}: {error}")
    return None


def _contestants(projection: Projection) -> list[Trial]:
    """The winner, then the default trial if it is another one and complete."""
    best = projection.best()
    if best is None:
        raise UsageError("no trial has all its folds, so there is no winner to confirm")
    default = projection.trials[DEFAULT_TRIAL]
    return [best] + [default] * (not best.is_default and default.state is State.COMPLETE)


def _models(
    projection: Projection,
    folder: Path,
    cases: CaseStore,
    plan: FoldPlan,
    prevalence: float | None,
    on_compare: OnProgress,
) -> list[_Model]:
    """The winner, then the default trial if it is another one; both ready to be scored."""
    trials = _contestants(projection)
    best = trials[0]
    # A promotion that goes on without the default is forced, and says so.
    usable = [trial for trial in trials if trial is best or _unusable(trial, folder) is None]
    found = []
    for trial in usable:
        ensemble = load_ensemble(trial, projection, folder, Rule())
        together = _out_of_fold(trial, folder, plan)
        found.append(_model(trial, ensemble, together, cases, plan, prevalence, on_compare))
    return found


def _model(
    trial: Trial,
    ensemble: Ensemble,
    together: CaseTable,
    cases: CaseStore,
    plan: FoldPlan,
    prevalence: float | None,
    on_compare: OnProgress,
) -> _Model:
    """An ensemble with the rules of its masks and its calls.

    Masks are made by the rule of single networks: for the mean of all it errs to the safe side, and
    what the folds promise of it is said of the same rule. Calls promise a specificity, and are
    chosen for the mean (`sweep.promotion.case_agreement`).
    """
    try:
        rule = choose_rule(together, prevalence)
    except DataError as error:
        raise UsageError(f"trial {trial.number}: {error}") from error
    table, agreement = table_of_mean(ensemble, together, cases, plan, on_compare)
    positive = table.truth.sum(1) > 0
    is_told = agreement is not None and positive.any() and not positive.all()
    return _Model(
        trial=trial,
        ensemble=replace(ensemble, rule=rule),
        # As the sweep's own, which is of single networks, where nothing better is known.
        case_rule=choose_case_rule(table) if is_told else None,
        agreement=agreement,
    )


def load_ensemble(trial: Trial, projection: Projection, folder: Path, rule: Rule) -> Ensemble:
    """The networks of a trial's folds, ready to run.

    Args:
        trial: A complete trial.
        projection: Projection of its sweep.
        folder: Folder of the sweep.
        rule: How they make masks.

    Raises:
        UsageError: Its weights are gone.
        CheckpointError: They are damaged.
    """
    weights = weight_folders(trial, folder)
    if weights is None:
        raise UsageError(
            f"the weights of trial {trial.number} are gone from {folder}; the winner "
            "cannot be scored any more"
        )
    runtime = usable_runtime(Runtime(**(projection.header.runtime or {})))
    return Ensemble.load(weights, rule=rule, runtime=runtime, inference=trial.inference)


def _out_of_fold(trial: Trial, folder: Path, plan: FoldPlan) -> CaseTable:
    """All out-of-fold cases, each of them predicted by a network that never saw it."""
    tables = []
    for fold in sorted(trial.folds):
        name = trial.folds[fold].cases
        if name is None:
            raise UsageError(f"trial {trial.number}: fold {fold} has no table of cases")
        table = load_table(folder / name)
        if set(table.case_ids.tolist()) != set(plan.search.held(fold)):
            raise FoldPlanError(
                f"trial {trial.number}: the table of fold {fold} holds other cases than "
                "the plan's fold; were files exchanged?"
            )
        tables.append(table)
    return concatenate(tables)
