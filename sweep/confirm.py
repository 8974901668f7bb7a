"""`ptxsweep confirm`: is the winner real? The best trials on fresh folds, then the hold-out once.

The search scored its trials on its own folds and chose by these scores. Here the best few, and the
default beside them, are trained on another partition of the same cases, with the same hold-out and
with new seeds, all folds each, nothing pruned. It is a sweep of its own, `NAME.confirm`, through
the same machinery, so that it resumes and has views and a report as any other. Its winner is the
confirmed one: its ensemble, trained on the fresh folds, is what the hold-out scores and `promote`
promotes, since thresholds chosen out-of-fold and the confirmed score belong to these networks.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow.entities import Metric, RunTag
from mlflow.entities.model_registry import ModelVersion

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore, OnProgress, no_progress
from ptxcore.errors import FoldPlanError
from ptxcore.metrics import OBJECTIVES
from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime
from sweep import launch
from sweep.analysis.confirmed import ConfirmedScore, find_confirmed, open_confirming
from sweep.analysis.summary import SweepSummary
from sweep.errors import GateRefused, SpaceError, UsageError
from sweep.ledger import Ledger
from sweep.ledger.family import CONFIRMATION
from sweep.ledger.projection import Projection, Trial
from sweep.mlflow import registry
from sweep.mlflow.view import MlflowView, connect, milliseconds
from sweep.promotion import champions
from sweep.promotion.confirmation import Confirmation, last_confirmation
from sweep.promotion.gate import Verdict, population, preliminary
from sweep.promotion.gate_file import Gate, load_gate
from sweep.promotion.holdout import count_patients, place_of, read_plan
from sweep.promotion.judge import judge, require_prevalence
from sweep.promotion.promise import require_both_kinds
from sweep.promotion.rival import of_others
from sweep.promotion.spending import count_uses, unspent
from sweep.ray.resources import ResourceRequest
from sweep.records import State, SweepState
from sweep.search.budget import Budget
from sweep.space import SearchSpace, parse_space
from sweep.storage.case_stores import open_store, store_of
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep

#: Best trials of the search that are trained again unless said.
DEFAULT_TOP = 3
#: Between the seeds of a search and of its confirmation: further than anyone counts seeds up.
_SEED_STEP = 1_000_003


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """A sweep's best trials on fresh folds, and the best of these on the hold-out.

    Attributes:
        name: Name of the search.
        score: Scores on the search's folds and on the fresh ones.
        summary: The sweep on fresh folds.
        holdout: Its winner on the hold-out; None while that sweep is not finished.
    """

    name: str
    score: ConfirmedScore
    summary: SweepSummary
    holdout: Confirmation | None


def confirm(
    home: Home,
    name: str,
    *,
    top: int | None = None,
    gate: Gate | None = None,
    prevalence: float | None = None,
    store: Path | str | None = None,
    resources: ResourceRequest | None = None,
    budget: Budget | None = None,
    on_progress: launch.OnProgress = lambda projection: None,
    on_verify: OnProgress = no_progress,
    on_compare: OnProgress = no_progress,
    on_scored: OnProgress = no_progress,
) -> Confirmed:
    """Train the best trials on fresh folds, or go on with it, then open the hold-out once.

    Args:
        home: Where the sweep lives.
        name: Name of the finished sweep.
        top: How many of the best trials; `DEFAULT_TOP` unless given, or as it was begun.
        gate: What `promote` will ask for; a hold-out that cannot pass it stays closed, and nothing
            is trained for it. The shipped default unless given.
        prevalence: Share of positive cases in (0, 1) that the rule is chosen for, see `promote`.
        store: Where the case store is now, if it moved.
        resources: Resources, as in `launch.run`.
        budget: Budget, as in `launch.run`.
        on_progress: Callback, as in `launch.run`.
        on_verify: Called while the store is read through, if it has to be.
        on_compare: Called after every case that a model's networks are compared on.
        on_scored: Called after every case of the hold-out.

    Raises:
        UsageError: There is no such sweep, it is not finished, has no hold-out, was confirmed with
            another `top` or prevalence, or has no healthy case to weigh for a prevalence.
        GateRefused: It has no winner, or the hold-out cannot say anything and stays closed.
        HoldoutUsed: The hold-out was opened in vain; `promote --again` opens it once more.
        StoreError: The store is another one, or damaged.
        TrackingError: MLflow cannot be reached; the hold-out was not opened.
    """
    gate = gate or load_gate()
    if prevalence is not None:
        with Sweep.open(home, name) as sweep:  # before anything is trained
            require_both_kinds(sweep.projection, prevalence)
    summary = _trained(home, name, top, gate, store, resources, budget, on_progress, on_verify)
    holdout = None
    if summary.state is SweepState.FINISHED:
        holdout = _on_holdout(
            home, summary.name, gate, prevalence, store, on_scored, on_verify, on_compare
        )
    with Sweep.open(home, name) as sweep:
        score = find_confirmed(home.ledger_url, name, sweep.projection)
    assert score is not None, "it was begun above"
    if holdout is not None:
        _tell_mlflow(home, name, score, holdout)
    return Confirmed(name=name, score=score, summary=summary, holdout=holdout)


def _trained(
    home: Home,
    name: str,
    top: int | None,
    gate: Gate,
    store: Path | str | None,
    resources: ResourceRequest | None,
    budget: Budget | None,
    on_progress: launch.OnProgress,
    on_verify: OnProgress,
) -> SweepSummary:
    """The sweep on fresh folds: begun, gone on with, or as it ended."""
    how: dict[str, Any] = {
        "home": home,
        "resources": resources,
        "budget": budget,
        "on_progress": on_progress,
        "on_verify": on_verify,
    }
    known = open_confirming(home.ledger_url, name)
    if known is None:
        with Sweep.open(home, name) as sweep:
            _check_finished(sweep)
            cases, plan = read_plan(home, name, sweep.header, store, on_verify)
            place = place_of(sweep, store)
            asked = Verdict(
                checks=(
                    *unspent(count_uses(sweep, plan, place)),
                    *population(*count_patients(plan, cases), gate),
                )
            )
            if not asked.passed:
                raise GateRefused(asked.reasons)
            space = confirming_space(sweep, DEFAULT_TOP if top is None else top)
            runtime = Runtime(**(sweep.header.runtime or {}))
        return launch.start(
            space,
            fresh_plan(plan, cases),
            store=place,
            name=name + CONFIRMATION,
            precision=runtime.precision,
            confirms=name,
            **how,
        )
    try:
        if top is not None:
            _check_top(home, name, top, known)
        is_finished = known.projection.sweep_state is SweepState.FINISHED
    finally:
        known.close()
    if is_finished and (found := launch.find(name + CONFIRMATION, home)) is not None:
        return found
    return launch.resume(name + CONFIRMATION, store=store, **how)


def _check_finished(sweep: Sweep) -> None:
    if sweep.header.confirms is not None:
        raise UsageError(
            f"{sweep.name!r} is itself the confirmation of {sweep.header.confirms!r}; "
            f"`ptxsweep confirm {sweep.header.confirms}` goes on with it"
        )
    first = preliminary(sweep.projection)
    if not first.passed:
        raise GateRefused(first.reasons)


def _check_top(home: Home, name: str, top: int, known: Ledger) -> None:
    """Other trials on the same fresh folds would be one more choice there."""
    with Sweep.open(home, name) as sweep:
        wanted = confirming_space(sweep, top)
    if wanted.digest != known.header.space_digest:
        raise UsageError(
            f"--top: found {top}, but {known.name} was begun with other trials; fresh folds are "
            "fresh once, so leave --top out to go on with them"
        )


def confirming_space(sweep: Sweep, top: int) -> SearchSpace:
    """The search space with its best trials listed, each of which is trained on all folds.

    Args:
        sweep: The search.
        top: How many of its best trials; the default is trained beside them in any case.

    Raises:
        SpaceError: The ledger does not hold the search space.
    """
    source = f"{sweep.name} (ledger)"
    if sweep.header.space_text is None:
        raise SpaceError(f"{source}: the ledger does not hold its search space, expected one")
    tree = parse_space(sweep.header.space_text, source, has_begun=True).tree()
    best = [trial for trial in best_trials(sweep.projection)[:top] if not trial.is_default]
    tree["policy"] = {"name": "standard", "num_trials": len(best) + 1}
    tree["pruner"] = {"name": "none"}
    tree["candidates"] = [dict(trial.parameters) for trial in best]
    known = [field.name for field in dataclasses.fields(FoldSettings)]
    text = yaml.safe_dump(tree, sort_keys=False)
    return parse_space(text, source, known, OBJECTIVES, has_begun=True)


def best_trials(projection: Projection) -> list[Trial]:
    """Complete trials with a finite score, the best first."""
    complete = [
        trial
        for trial in projection.trials
        if trial.state is State.COMPLETE and math.isfinite(trial.mean)
    ]
    return sorted(complete, key=lambda trial: (-trial.mean, trial.number))


def fresh_plan(plan: FoldPlan, cases: CaseStore) -> FoldPlan:
    """Other folds of the same cases with the same hold-out.

    Args:
        plan: The search's.
        cases: Its cases.

    Raises:
        FoldPlanError: The cases are so few that the folds are the same again.
    """
    fresh = plan.repartition(cases, seed=int(plan.settings["seed"]) + _SEED_STEP)
    if set(map(frozenset, fresh.search.folds)) == set(map(frozenset, plan.search.folds)):
        raise FoldPlanError(
            "found the search's own folds again in another partition, expected other ones; there "
            "are too few patients to confirm anything on"
        )
    return fresh


def _on_holdout(
    home: Home,
    name: str,
    gate: Gate,
    prevalence: float | None,
    store: Path | str | None,
    on_scored: OnProgress,
    on_verify: OnProgress,
    on_compare: OnProgress,
) -> Confirmation:
    """The confirmed winner on the hold-out, which is opened if it was not for this trial."""
    with Sweep.open(home, name) as sweep:
        best, first = sweep.projection.best(), preliminary(sweep.projection)
        if best is None or not first.passed:
            raise GateRefused(first.reasons)
        known = last_confirmation(sweep)
        if known is not None and known.trial == best.number:
            require_prevalence(known, prevalence)
            return known
        with registry.reaching(home.tracking_uri, "the hold-out was not opened"):
            client = connect(home.tracking_uri, home.artifacts)
            present = champions.in_force(client, sweep.header)
        if present is not None and _is_of_others(sweep, present, store):
            present = None  # `promote --model-name` gives the winner a line of its own
        found, _ = judge(
            sweep,
            best,
            present,
            gate=gate,
            force=False,
            again=False,
            prevalence=prevalence,
            store=store,
            on_progress=on_scored,
            on_verify=on_verify,
            on_compare=on_compare,
        )
        return found


def _is_of_others(sweep: Sweep, champion: ModelVersion, store: Path | str | None) -> bool:
    """Whether the champion is of other pictures, so that it cannot be scored beside the winner."""
    cases = open_store(store or store_of(sweep.header, sweep.home.folder))
    sweep.files.bring_plan()
    plan = FoldPlan.load(sweep.folder / "plan.json")
    return of_others(champion.tags, plan, cases) is not None


def _tell_mlflow(home: Home, name: str, found: ConfirmedScore, holdout: Confirmation) -> None:
    """Both scores side by side on the search's run."""
    with Sweep.open(home, name) as sweep:
        view = MlflowView.for_sweep(home, name)
        if not view.sync(sweep.ledger) or view.run_id is None:
            return  # it is a view: the ledger has it
    timestamp = milliseconds(holdout.timestamp)
    scores = {
        "confirmed/score": found.confirmed_score,
        "confirmed/search_score": found.search_score,
        "confirmed/holdout_dice": holdout.metrics["dice"],
    }
    metrics = [
        Metric(key, value, timestamp, 0) for key, value in scores.items() if value is not None
    ]
    tags = [RunTag("ptxsweep.confirmed_by", found.sweep)]
    with registry.reaching(home.tracking_uri, "the ledger has the confirmation all the same"):
        connect(home.tracking_uri, home.artifacts).log_batch(view.run_id, metrics, tags=tags)
