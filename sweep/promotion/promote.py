"""Make a sweep's winner the champion, if the evidence holds.

In this order, so that nothing is spent or moved in vain: what can be refused without the hold-out,
whether MLflow answers, the hold-out (once; a confirmation that is there is used again), the gate,
the model, and last the alias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model

from ptxcore.data.store.case_store import OnProgress, no_progress
from ptxcore.types import Runtime
from sweep.analysis.confirmed import promoted_sweep
from sweep.errors import GateRefused, TrackingError, UsageError
from sweep.ledger import Ledger
from sweep.ledger.projection import Projection, Trial
from sweep.mlflow import registry
from sweep.mlflow.model_package import save_model
from sweep.mlflow.view import MlflowView, connect, milliseconds
from sweep.promotion import champions
from sweep.promotion.card import ModelCard, make_card
from sweep.promotion.confirm import weight_folders
from sweep.promotion.confirmation import Confirmation
from sweep.promotion.gate import Gate, Verdict, preliminary, verdict
from sweep.promotion.gate_file import load_gate
from sweep.promotion.judge import judge, keep_verdict
from sweep.promotion.model_card import (
    MAX_REASON,
    MAX_TAG,
    PREFIX,
    description_of,
    facts_of,
    is_same,
    one_line,
    tags_of,
)
from sweep.records import SweepState
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep
from sweep.storage.sweep_files import files_of

__all__ = ["Gate", "Promotion", "Verdict", "load_gate", "promote", "verdict"]


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A champion and what made it one.

    Attributes:
        sweep: It came from.
        trial: Trial of the sweep.
        model_name: Name in the registry.
        version: Version of the model.
        model_uri: Loads the champion, whichever version that is.
        run_id: The sweep's parent run in MLflow.
        previous_version: The champion before; None if there was none.
        is_new: False where this trial was champion already and nothing was done.
        forced: Whether the gate had refused it.
        reason: Why it was forced; None where it was not.
        verdict: Verdict of the gate.
        confirmation: Confirmation on the hold-out.
    """

    sweep: str
    trial: int
    model_name: str
    version: str
    model_uri: str
    run_id: str
    previous_version: str | None
    is_new: bool
    forced: bool
    reason: str | None
    verdict: Verdict
    confirmation: Confirmation


def promote(
    home: Home,
    name: str,
    *,
    model_name: str | None = None,
    gate: Gate | None = None,
    force: bool = False,
    reason: str | None = None,
    again: bool = False,
    store: Path | str | None = None,
    on_progress: OnProgress = no_progress,
    on_verify: OnProgress = no_progress,
) -> Promotion:
    """Confirm, judge, package, register, and move the alias `champion`.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep; if it was confirmed, the confirmed winner is promoted.
        model_name: Name in the registry; `champions.model_name` unless given, one for each metric.
        gate: What the gate asks for, see `load_gate`; without one, the shipped `superior`.
        force: Promote the winner against the gate; the reasons are written on the model.
        reason: Why it is forced, for those who read the model later: one line of at most
            `MAX_REASON` characters, without patient data. Needed with `force`, and only there.
        again: Open the hold-out once more, though a confirmation is there.
        store: Where the case store is now, if it moved.
        on_progress: Called after every case of the hold-out.
        on_verify: Called while the store is read through before the hold-out is opened.

    Raises:
        GateRefused: The gate refused it, or the sweep has no winner, or none yet, which cannot be
            forced; the champion stays.
        HoldoutUsed: The hold-out was opened for another trial, or in vain.
        UsageError: There is no such sweep, it has nothing to confirm, or it is forced without a
            reason.
        TrackingError: MLflow cannot be reached.
    """
    why = _reason(force, reason)
    if model_name is not None:
        registry.check_name(model_name)
    name = promoted_sweep(home.ledger_url, name)
    with Sweep.open(home, name) as sweep:
        registered = model_name or champions.model_name(sweep.header)
        projection = sweep.projection
        first = preliminary(projection)
        best = projection.best()
        is_open = projection.sweep_state is not SweepState.FINISHED
        if best is None or is_open or not (first.passed or force):
            raise GateRefused(first.reasons)
        run_id = _parent_run(home, sweep.ledger)
        with registry.reaching(home.tracking_uri):
            client = connect(home.tracking_uri, home.artifacts)
            present = (
                champions.in_force(client, sweep.header)
                if model_name is None
                else registry.champion_of(client, model_name)
            )
        confirmation, said = judge(
            sweep,
            best,
            present,
            gate=gate or load_gate(),
            force=force,
            again=again,
            store=store,
            on_progress=on_progress,
            on_verify=on_verify,
        )
        against = None if said.passed else why
        keep_verdict(sweep, said, confirmation, against)
        with registry.reaching(home.tracking_uri):
            _log_confirmation(client, run_id, confirmation, said, against)
            if not (said.passed or force):
                raise GateRefused(said.reasons, confirmation, said.cautions)
            facts = facts_of(name, projection, best, confirmation, said, against)
            card = make_card(sweep)
            build = _builder(home, name, best, confirmation, projection, facts, card)
            if present is not None and is_same(present.tags, name, sweep.header, best.number):
                registered = str(present.name)  # which may be an older one
            else:
                present = None
            version, previous, is_new = _made_champion(
                client,
                registered,
                present,
                run_id,
                facts,
                description_of(confirmation, said, sweep.header, against),
                build,
            )
        return Promotion(
            sweep=name,
            trial=best.number,
            model_name=registered,
            version=version,
            model_uri=f"models:/{registered}@{registry.CHAMPION}",
            run_id=run_id,
            previous_version=previous,
            is_new=is_new,
            forced=not said.passed,
            reason=against,
            verdict=said,
            confirmation=confirmation,
        )


def _made_champion(
    client: MlflowClient,
    name: str,
    present: ModelVersion | None,
    run_id: str,
    facts: Mapping[str, Any],
    description: str,
    build: Callable[[Path, Model], None],
) -> tuple[str, str | None, bool]:
    """The champion's version, the one before, and whether it was made now.

    `present` is the champion if it is this trial already, else None.
    """
    if present is not None and registry.is_intact(client, present):  # else this mends it
        return str(present.version), registry.aliases(client, name).get(registry.PREVIOUS), False
    version = registry.register(
        client, name, run_id=run_id, tags=tags_of(facts), description=description, build=build
    )
    return version, registry.set_champion(client, name, version), True


def _parent_run(home: Home, ledger: Ledger) -> str:
    """The sweep's run in MLflow, brought up to date first."""
    view = MlflowView.for_sweep(home, ledger.name)
    if not view.sync(ledger) or view.run_id is None:
        raise TrackingError(
            "MLflow cannot be reached (the log says why); nothing was promoted and the hold-out "
            "was not opened"
        )
    return view.run_id


def _reason(force: bool, reason: str | None) -> str | None:
    """The reason of a forced promotion in one line, None for one that is not forced."""
    given = one_line(reason)
    if force != bool(given):
        found = f"a reason of {len(given)} characters" if given else "no reason"
        raise UsageError(
            f"force: found {found}{'' if force else ' without --force'}, expected --force together "
            f"with --reason and 1 to {MAX_REASON} characters that say why the gate is overruled; "
            "the ledger, MLflow and the model keep them"
        )
    return given


def _log_confirmation(
    client: MlflowClient, run_id: str, found: Confirmation, said: Verdict, against: str | None
) -> None:
    """Hold-out metrics on the parent run; the step is the use of the hold-out."""
    values = {f"holdout/{key}": value for key, value in found.metrics.items()}
    values |= {f"holdout_default/{key}": value for key, value in (found.default or {}).items()}
    beside = None if found.champion is None else found.champion.metrics
    values |= {f"holdout_champion/{key}": value for key, value in (beside or {}).items()}
    differences = {
        "gain": found.gain,
        "difference": found.difference,
        "challenge": found.challenge,
    }
    values |= {f"holdout/{key}": value for key, value in differences.items() if value is not None}
    for key, (low, high) in found.printed.items():
        values |= {f"holdout/{key}_low": low, f"holdout/{key}_high": high}
    timestamp = milliseconds(found.timestamp)
    metrics = [
        Metric(key, value, timestamp, found.use) for key, value in values.items() if value == value
    ]
    word = "passed" if said.passed else "refused" if against is None else "forced"
    tags = {
        "verdict": word,
        "verdict_reasons": "; ".join(said.reasons)[:MAX_TAG],
        "force_reason": against or "",
        "gate": "" if said.gate is None else str(said.gate["name"]),
        "gate_eased": "; ".join(said.eased),
        "verdict_cautions": "; ".join(said.cautions)[:MAX_TAG],
        "holdout_uses": str(found.use),
        "holdout_uses_by_all_sweeps": str(found.num_uses),
    }
    labels = [RunTag(PREFIX + key, text) for key, text in tags.items()]
    client.log_batch(run_id, metrics=metrics, tags=labels)


def _builder(
    home: Home,
    name: str,
    best: Trial,
    found: Confirmation,
    projection: Projection,
    facts: Mapping[str, Any],
    card: ModelCard,
) -> Callable[[Path, Model], None]:
    """What writes the model's folder, and raises a UsageError if the weights are gone."""

    def build(target: Path, model: Model) -> None:
        folder = home.sweep_folder(name)
        files_of(home, name).bring_folds([best], weights=True)
        weights = weight_folders(best, folder)
        if weights is None:
            raise UsageError(f"the weights of trial {best.number} are gone from {folder}")
        save_model(
            target,
            weights,
            rule=found.rule,
            runtime=Runtime(**(projection.header.runtime or {})),
            inference=best.inference,
            facts=facts,
            model=model,
        )
        card.write(target)

    return build
