"""Make a sweep's winner the champion, if the evidence holds.

In this order, so that nothing is spent or moved in vain: what can be refused without the hold-out,
whether MLflow answers, the hold-out (once; a confirmation that is there is used again), the gate,
the model, a trial run of it, and last the alias. The alias moves only if the champion is still the
one that the gate judged against; else the winner is judged again.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from ptxcore.data.store.case_store import OnProgress, no_progress
from sweep.analysis.confirmed import promoted_sweep
from sweep.errors import ChampionMoved, GateRefused, TrackingError, UsageError
from sweep.ledger import Ledger
from sweep.ledger.model_record import ModelRecord
from sweep.ledger.projection import Trial
from sweep.mlflow import registry
from sweep.mlflow.registry import CHALLENGER, CHAMPION, PREVIOUS
from sweep.mlflow.view import MlflowView, connect
from sweep.promotion import champions
from sweep.promotion.confirmation import Confirmation
from sweep.promotion.gate import Gate, Verdict, preliminary, verdict
from sweep.promotion.gate_file import load_gate
from sweep.promotion.judge import judge, keep_verdict
from sweep.promotion.model_card import (
    MAX_REASON,
    description_of,
    facts_of,
    has_rule,
    is_same,
    one_line,
)
from sweep.promotion.move import Position, move, new_event, position, record_of
from sweep.promotion.patients import ask_patients
from sweep.promotion.register import registered_version
from sweep.promotion.request import keep_request, refuse_waiting, requester_of, verdict_digest
from sweep.promotion.tracking import log_confirmation
from sweep.records import SweepState
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep

__all__ = ["Gate", "Promotion", "Verdict", "load_gate", "promote", "verdict"]

#: Times that a winner is judged again because others were faster.
_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A champion, or a challenger, and what made it one.

    Attributes:
        sweep: It came from.
        trial: Trial of the sweep.
        model_name: Name in the registry.
        version: Version of the model.
        model_uri: Loads the champion (the challenger), whichever version that is.
        run_id: The sweep's parent run in MLflow.
        previous_version: The champion before, of a challenger the present one; None if there was
            none.
        is_new: False where this trial was champion already, under the same rule, and nothing was
            done.
        forced: Whether the gate had refused it.
        reason: Why it was forced; None where it was not.
        verdict: Verdict of the gate.
        confirmation: Confirmation on the hold-out.
        requested: Whether it is a challenger, which waits for somebody's decision.
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
    requested: bool = False


def promote(
    home: Home,
    name: str,
    *,
    model_name: str | None = None,
    gate: Gate | None = None,
    force: bool = False,
    reason: str | None = None,
    again: bool = False,
    prevalence: float | None = None,
    request: bool = False,
    key: Path | None = None,
    store: Path | str | None = None,
    on_progress: OnProgress = no_progress,
    on_verify: OnProgress = no_progress,
    on_compare: OnProgress = no_progress,
) -> Promotion:
    """Confirm, judge, package, register, try out, and move the alias `champion`.

    Of two promoters one wins; the other is judged again against the new champion, which is a use of
    the hold-out.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep; if it was confirmed, the confirmed winner is promoted.
        model_name: Name in the registry; `champions.model_name` unless given, one for each metric.
        gate: What the gate asks for, see `load_gate`; without one, the shipped `superior`.
        force: Promote the winner against the gate; the reasons are written on the model.
        reason: Why it is forced, for those who read the model later: one line of at most
            `MAX_REASON` characters, without patient data. Needed with `force`, and only there.
        again: Open the hold-out once more, though a confirmation is there.
        prevalence: Share of positive cases in (0, 1) that rules are chosen for; that of the
            out-of-fold cases if None, or what the hold-out was opened for.
        request: Make it `challenger`, for `sweep.promotion.approval.approve` by somebody else; the
            champion stays.
        key: File of the requester's private key, so that no one can approve what that key asked
            for; only with `request`.
        store: Where the case store is now, if it moved.
        on_progress: Called after every case of the hold-out.
        on_verify: Called while the store is read through before the hold-out is opened.
        on_compare: Called after every case that a model's networks are compared on, likewise.

    Raises:
        GateRefused: The gate refused it, or the sweep has no winner, or none yet, which cannot be
            forced; the champion stays.
        HoldoutUsed: The hold-out was opened for another trial, or in vain.
        UsageError: There is no such sweep, it has nothing to confirm, it is forced without a
            reason, the home asks for a request, or the hold-out was opened for another prevalence.
        CheckpointError: The registered model cannot be run here; the champion stays.
        ChampionMoved: Others were faster each time.
        TrackingError: MLflow cannot be reached.
    """
    why = _reason(force, reason)
    requester = requester_of(home, request=request, key=key)
    if model_name is not None:
        registry.check_name(model_name)
    name = promoted_sweep(home.ledger_url, name)
    with Sweep.open(home, name) as sweep:
        best = _winner(sweep, force)
        registered = model_name or champions.model_name(sweep.header)
        run_id = _parent_run(home, sweep.ledger)
        with record_of(home, registered) as record:
            with registry.reaching(home.tracking_uri):
                client = connect(home.tracking_uri, home.artifacts)
            promoter = _Promoter(
                sweep=sweep,
                best=best,
                run_id=run_id,
                client=client,
                record=record,
                knows_older=model_name is None,
                gate=gate or load_gate(),
                prevalence=prevalence,
                why=why,
                requester=requester,
                store=store,
                on_progress=on_progress,
                on_verify=on_verify,
                on_compare=on_compare,
            )
            for attempt in range(1, _TRIES + 1):
                try:
                    return promoter.promote(again=again and attempt == 1)
                except ChampionMoved:
                    if attempt == _TRIES:
                        raise
    raise AssertionError("the last try raises")


def _winner(sweep: Sweep, force: bool) -> Trial:
    """The trial to promote, if nothing but the hold-out can refuse it."""
    first = preliminary(sweep.projection)
    best = sweep.projection.best()
    is_open = sweep.projection.sweep_state is not SweepState.FINISHED
    if best is None or is_open or not (first.passed or force):
        raise GateRefused(first.reasons, verdict=first)
    return best


@dataclass(frozen=True, kw_only=True)
class _Promoter:
    """One command's promotion, which may be judged more than once."""

    sweep: Sweep
    best: Trial
    run_id: str
    client: MlflowClient
    record: ModelRecord
    knows_older: bool
    gate: Gate
    prevalence: float | None
    why: str | None
    requester: dict[str, Any] | None
    store: Path | str | None
    on_progress: OnProgress
    on_verify: OnProgress
    on_compare: OnProgress

    def promote(self, *, again: bool) -> Promotion:
        with registry.reaching(self.sweep.home.tracking_uri):
            seen = position(self.client, self.record)
            present = self._present(seen)
            waiting = self._version(seen.aliases.get(CHALLENGER))
            if self.requester is not None and waiting is not None and not self._is_it(waiting):
                refuse_waiting(waiting)
        confirmation, said = self._judged(present, again)
        against = None if said.passed else self.why
        keep_verdict(self.sweep, said, confirmation, against)
        with registry.reaching(self.sweep.home.tracking_uri):
            log_confirmation(self.client, self.run_id, confirmation, said, against)
            if not said.passed and self.why is None:
                self._refused(said.reasons, present)
                raise GateRefused(said.reasons, confirmation, said.cautions, said)
            is_twin = False
            done = Promotion(
                sweep=self.sweep.name,
                trial=self.best.number,
                model_name=self.record.model,
                version="",
                model_uri=f"models:/{self.record.model}@{CHAMPION}",
                run_id=self.run_id,
                previous_version=seen.aliases.get(PREVIOUS),
                is_new=False,
                forced=not said.passed,
                reason=against,
                verdict=said,
                confirmation=confirmation,
            )
            if present is not None and self._is_it(present):
                is_twin = not registry.is_intact(self.client, present)  # which mends it
                if not is_twin and has_rule(present.tags, confirmation.rule):
                    name, uri = str(present.name), f"models:/{present.name}@{CHAMPION}"
                    version = str(present.version)
                    return dataclasses.replace(
                        done, model_name=name, version=version, model_uri=uri
                    )
            version = self._registered(done, present)
            return self._moved(done, version, seen, waiting, is_twin=is_twin)

    def _moved(
        self,
        done: Promotion,
        version: str,
        seen: Position,
        waiting: ModelVersion | None,
        *,
        is_twin: bool,
    ) -> Promotion:
        """The aliases moved; `is_twin` if the champion is this trial, with other files."""
        what = {
            "version": version,
            "before": seen.champion,
            "sweep": done.sweep,
            "trial": done.trial,
            "forced": done.forced,
            "reason": done.reason,
        }
        if self.requester is not None:
            asked = keep_request(self.client, self.record.model, version, seen, self.requester)
            event = new_event("request", **what)
            move(self.client, self.record, seen, {CHALLENGER: version}, event, request=asked)
            return dataclasses.replace(
                done,
                version=version,
                model_uri=f"models:/{done.model_name}@{CHALLENGER}",
                previous_version=seen.champion,
                is_new=True,
                requested=True,
            )
        after: dict[str, str | None] = {CHAMPION: version}
        if seen.champion is not None and not is_twin:
            after[PREVIOUS] = seen.champion
        if waiting is not None and self._is_it(waiting):
            after[CHALLENGER] = None
        move(self.client, self.record, seen, after, new_event("promotion", **what))
        return dataclasses.replace(
            done, version=version, previous_version=seen.champion, is_new=True
        )

    def _judged(self, present: ModelVersion | None, again: bool) -> tuple[Confirmation, Verdict]:
        try:
            return judge(
                self.sweep,
                self.best,
                present,
                gate=self.gate,
                force=self.why is not None,
                again=again,
                prevalence=self.prevalence,
                store=self.store,
                on_progress=self.on_progress,
                on_verify=self.on_verify,
                on_compare=self.on_compare,
            )
        except GateRefused as refusal:
            self._refused(refusal.reasons, present)
            raise

    def _refused(self, reasons: tuple[str, ...], present: ModelVersion | None) -> None:
        self.record.add_event(
            new_event(
                "refusal",
                sweep=self.sweep.name,
                trial=self.best.number,
                before=None if present is None else str(present.version),
                reasons=list(reasons),
            )
        )

    def _registered(self, done: Promotion, present: ModelVersion | None) -> str:
        projection, against = self.sweep.projection, done.reason
        confirmation, said = done.confirmation, done.verdict
        ask_patients(projection, self.sweep.folder, self.sweep.home.folder, self.store, ranks=False)
        judged = "none" if present is None else f"{present.name} version {present.version}"
        facts = {
            **facts_of(done.sweep, projection, self.best, confirmation, said, against),
            "judged_against": judged,
            "verdict_sha256": verdict_digest(said, against),
        }
        return registered_version(
            self.client,
            self.record.model,
            self.sweep,
            self.best,
            run_id=self.run_id,
            rule=confirmation.rule,
            scored=confirmation.weights,
            facts=facts,
            description=description_of(confirmation, said, projection.header, against),
            store=self.store,
        )

    def _present(self, seen: Position) -> ModelVersion | None:
        """The champion to be judged against."""
        if seen.champion is None and self.knows_older:
            return champions.older_in_force(self.client, self.sweep.header)
        return self._version(seen.champion)

    def _version(self, number: str | None) -> ModelVersion | None:
        return None if number is None else self.client.get_model_version(self.record.model, number)

    def _is_it(self, version: ModelVersion) -> bool:
        return is_same(version.tags, self.sweep.name, self.sweep.header, self.best.number)


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
