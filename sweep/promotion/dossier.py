"""What a person needs to decide about a challenger, gathered without opening anything.

The hold-out's numbers are those that were kept when it was opened for the gate; a sweep that was
never promoted has none, and reading this gives it none. What stands against an approval is said
beforehand, in the words that `approve` would refuse with.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sweep.analysis.confirmed import promoted_sweep
from sweep.errors import TrackingError, UnknownSweep, UsageError
from sweep.ledger.header import SweepHeader
from sweep.mlflow.registry import check_name
from sweep.promotion.champions import model_name
from sweep.promotion.confirmation import Confirmation, read_confirmation
from sweep.promotion.gate import Verdict
from sweep.promotion.kept_verdicts import kept_verdicts
from sweep.promotion.overview import (
    RegisteredModel,
    RegisteredVersion,
    models_of_ledger,
    registered_model,
)
from sweep.promotion.request import verdict_digest
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep
from sweep.util.sqlite import missing_file


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a ledger keeps of a sweep's winner.

    Attributes:
        sweep: Name of the sweep.
        trial: Number of the trial; None where the sweep has no winner.
        header: Header of the sweep.
        confirmation: Trial on the hold-out; None where that was not opened for it.
        verdicts: All that the gate said of the sweep, oldest first.
        questions: What was asked for before, oldest first; see `approval.ask_for_more`.
    """

    sweep: str
    trial: int | None
    header: SweepHeader
    confirmation: Confirmation | None
    verdicts: tuple[Verdict, ...]
    questions: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """A registered model, its challenger, and the evidence for it.

    Attributes:
        model: As the registry has it; as the ledger has it where MLflow is away.
        challenger: Version that waits for a decision; None if none of this evidence does.
        champion: Version in force; None if there is none, or MLflow is away.
        evidence: Evidence for the challenger, else for the winner that was asked about; None where
            its sweep is not in this ledger.
        verdict: Verdict of the gate, the one that the challenger was registered with; None where
            none is kept.
        hindrances: Why it cannot be approved here, in sentences; empty if it can.
    """

    model: RegisteredModel
    challenger: RegisteredVersion | None
    champion: RegisteredVersion | None
    evidence: Evidence | None
    verdict: Verdict | None
    hindrances: tuple[str, ...]


def gather(home: Home, name: str) -> Dossier:
    """The evidence for a registered model's challenger, or for a sweep's winner.

    Args:
        home: Home with the addresses of ledger and MLflow.
        name: Name of a sweep, for the model that its winner would be, or of a registered model.

    Raises:
        UnknownSweep: There is neither.
        LedgerError: The ledger cannot be reached, or cannot be read.
    """
    if missing_file(home.ledger_url) is not None:
        raise UnknownSweep(f"found no ledger, so nothing of the name {name!r}")
    asked = _asked(home, name)
    model, problem = _model(home, name if asked is None else model_name(asked.header))
    versions = {one.number: one for one in model.versions}
    waiting = versions.get(str(model.challenger))
    evidence = asked or _behind(home, model, waiting)
    if evidence is None and not (model.versions or model.history):
        raise UnknownSweep(f"found no sweep and no registered model of the name {name!r}")
    challenger = waiting
    if waiting is not None and asked is not None:
        if waiting.sweep == asked.sweep:
            evidence = _behind(home, model, waiting) or asked
        else:
            challenger = None
    kept = () if evidence is None else evidence.verdicts
    digest = None if challenger is None else challenger.verdict_sha256
    verdict = next((one for one in reversed(kept) if digest in (None, _digest(one))), None)
    reasons = [] if problem is None else [problem]
    if problem is None and challenger is None:
        reasons.append(_nothing_waits(model, waiting))
    if challenger is not None:
        reasons += _hindrances(model, challenger, evidence, verdict)
    return Dossier(
        model=model,
        challenger=challenger,
        champion=versions.get(str(model.champion)),
        evidence=evidence,
        verdict=verdict,
        hindrances=tuple(reasons),
    )


def _asked(home: Home, name: str) -> Evidence | None:
    """What the ledger keeps of a sweep's winner; None where there is no such sweep."""
    try:
        with contextlib.suppress(UsageError):  # else it is being confirmed: the search's winner
            name = promoted_sweep(home.ledger_url, name)
        return _evidence(home, name)
    except UsageError:  # unknown, or no name of a sweep
        return None


def _evidence(home: Home, name: str, trial: int | None = None, use: int | None = None) -> Evidence:
    """What is kept of a trial, else of the winner, as of a use of the hold-out, else the last."""
    with Sweep.open(home, name) as sweep:
        best = sweep.projection.best()
        number = best.number if trial is None and best is not None else trial
        ended = [one for one in sweep.evidence.uses() if one.result is not None]
        chosen = [one for one in ended if use in (None, one.number)]
        confirmation = read_confirmation(sweep, chosen[-1]) if chosen else None
        if confirmation is not None and confirmation.trial != number:
            confirmation = None
        return Evidence(
            sweep=name,
            trial=number,
            header=sweep.header,
            confirmation=confirmation,
            verdicts=tuple(kept_verdicts(sweep)),
            questions=tuple(sweep.evidence.questions()),
        )


def _model(home: Home, name: str) -> tuple[RegisteredModel, str | None]:
    """The registered model, from the ledger alone where MLflow is away, and then why."""
    try:
        check_name(name)
    except UsageError as error:
        raise UnknownSweep(str(error)) from error
    try:
        return registered_model(home, name), None
    except TrackingError as error:
        known = {one.name: one for one in models_of_ledger(home)}
        unknown = RegisteredModel(
            name=name,
            champion=None,
            challenger=None,
            previous=None,
            versions=(),
            history=(),
            unfinished=None,
        )
        return known.get(name, unknown), f"{error}; what is shown is what the ledger knows"


def _behind(
    home: Home, model: RegisteredModel, waiting: RegisteredVersion | None
) -> Evidence | None:
    """The evidence for the challenger, else for the last one that anything happened to."""
    use = None
    if waiting is not None:
        sweep, trial, use = waiting.sweep, waiting.trial, waiting.holdout_use
    else:
        events = [one for one in reversed(model.history) if one.get("sweep") is not None]
        sweep, trial = (events[0]["sweep"], events[0]["trial"]) if events else (None, None)
    if sweep is None:
        return None
    try:
        return _evidence(home, sweep, trial, use)
    except UsageError:  # of another ledger
        return None


def _digest(said: Verdict) -> str:
    return verdict_digest(said, said.overruled)


def _nothing_waits(model: RegisteredModel, waiting: RegisteredVersion | None) -> str:
    if waiting is not None:
        return (
            f"version {waiting.number} of {model.name}, from {waiting.sweep}, waits for a "
            "decision, and one challenger waits at a time"
        )
    return "nothing waits for a decision; `ptxsweep promote NAME --request` asks for one"


def _hindrances(
    model: RegisteredModel,
    challenger: RegisteredVersion,
    evidence: Evidence | None,
    verdict: Verdict | None,
) -> Iterator[str]:
    """What stands against an approval of the challenger that this page could give."""
    if model.unfinished is not None:
        kind = model.unfinished["kind"]
        yield f"a {kind} was cut off; the next `promote`, `approve` or `reject` ends it"
    if evidence is None:
        yield f"its sweep {challenger.sweep} is not in this ledger, so there is no evidence to see"
    elif evidence.confirmation is None:
        yield "no result on the hold-out is kept for it"
    if verdict is None:
        yield "the verdict that it was registered with is not the one that the ledger keeps"
    elif not verdict.passed:
        yield (
            "the gate refused it, and it was asked for with `--force`; only `ptxsweep approve "
            f"{model.name}` can approve it"
        )
    against = None if model.request is None else model.request["against"]
    if model.request is None:
        yield "nobody asked for it with `ptxsweep promote --request`"
    elif against != model.champion:
        was = "no champion" if against is None else f"champion version {against}"
        yield (
            f"it was judged against {was}, and that is not in force any more; `ptxsweep promote "
            "--request` judges it again"
        )
