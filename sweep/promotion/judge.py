"""The evidence about a winner, gathered once, and what the gate says of it.

What can refuse it without the hold-out comes first: too many uses of its cases, too few patients
of a kind, a default or a champion that cannot be scored. The champion is scored when the hold-out
is opened; a winner that was confirmed before there was this champion gets it beside it on the cases
that are open already, which is a use of them and is counted.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from ptxcore.data.store.case_store import OnProgress
from sweep.errors import GateRefused, UsageError
from sweep.ledger.projection import Trial
from sweep.mlflow.package_digest import DIGEST_TAG
from sweep.promotion.confirm import challenge, confirm, default_without_weights
from sweep.promotion.confirmation import TRIAL_KEY, Confirmation, last_confirmation
from sweep.promotion.cost_checks import measurable
from sweep.promotion.gate import (
    Champion,
    Gate,
    Verdict,
    comparable,
    loadable,
    population,
    unfinished_default,
    verdict,
)
from sweep.promotion.holdout import count_patients, place_of, read_plan
from sweep.promotion.model_card import is_same
from sweep.promotion.rival import load_rival
from sweep.promotion.spending import count_uses, unspent
from sweep.storage.sweep import Sweep
from sweep.util.provenance import login


def judge(
    sweep: Sweep,
    best: Trial,
    present: ModelVersion | None,
    *,
    gate: Gate,
    force: bool,
    again: bool,
    prevalence: float | None,
    store: Path | str | None,
    on_progress: OnProgress,
    on_verify: OnProgress,
    on_compare: OnProgress,
) -> tuple[Confirmation, Verdict]:
    """The winner's confirmation, the one that is there or a new one, and the gate's verdict.

    Args:
        sweep: Sweep that is promoted.
        best: Its winner.
        present: The champion, None if there is none.
        gate: What to ask for.
        force: Whether the hold-out is opened though it is known that the gate will refuse.
        again: Open the hold-out once more, though a confirmation is there.
        prevalence: What the rule is chosen for; None for what it was chosen for when the hold-out
            was opened, at first for the prevalence of the out-of-fold cases.
        store: Where the case store is now, if it moved.
        on_progress: Called after every case of the hold-out.
        on_verify: Called while the store is read through before the hold-out is opened.
        on_compare: Called after every case that a model's networks are compared on, likewise.

    Raises:
        GateRefused: It is refused before the hold-out is opened.
        HoldoutUsed: The hold-out was opened for another trial, or in vain.
        UsageError: There is nothing to confirm, or the hold-out was opened for another prevalence.
    """
    home, name, header = sweep.home, sweep.name, sweep.header
    champion = rival = None
    if present is not None:
        champion = Champion(
            name=str(present.name),
            version=str(present.version),
            is_winner=is_same(present.tags, name, header, best.number),
            package=present.tags.get(DIGEST_TAG),
        )
    known = last_confirmation(sweep)
    if known is not None and known.trial != best.number:
        known = None
    if again:
        prevalence = prevalence or (None if known is None else known.prevalence)
        known = None
    require_prevalence(known, prevalence)
    if known is None or not _is_beside(known, champion):
        cases, plan = read_plan(home, name, header, store, on_verify)
        if present is not None and champion is not None and not champion.is_winner:
            rival = load_rival(home, present, plan, cases)
            champion = rival.champion
        spent = unspent(count_uses(sweep, plan, place_of(sweep, store)))
        if known is None:
            problem = unfinished_default(sweep.projection) or default_without_weights(sweep)
            first = Verdict(
                checks=(
                    *spent,
                    *population(*count_patients(plan, cases), gate),
                    *comparable(problem),
                    *loadable(champion),
                    *measurable(gate, None if rival is None else rival.unloaded),
                )
            )
            if not (first.passed or force):
                raise GateRefused(first.reasons)
            known = confirm(
                sweep,
                store=store,
                again=again,
                prevalence=prevalence,
                rival=rival,
                purpose="promotion",
                on_progress=on_progress,
                on_verify=on_verify,
                on_compare=on_compare,
            )
        elif (
            rival is not None
            and rival.champion.problem is None
            and (force or verdict(known, sweep.projection, gate=gate).passed)  # else in vain
        ):
            if spent and not force:
                raise GateRefused(Verdict(checks=tuple(spent)).reasons)
            known = challenge(
                sweep, known, rival, store=store, on_progress=on_progress, on_verify=on_verify
            )
    return known, verdict(known, sweep.projection, champion=champion, gate=gate)


def require_prevalence(known: Confirmation | None, asked: float | None) -> None:
    """Refuse another rule than the one that the hold-out was opened with.

    Args:
        known: What is kept of the hold-out; None where it will be opened.
        asked: Prevalence that is asked for; None for whichever it was.

    Raises:
        UsageError: It is another one: a rule for it would be chosen with the hold-out in sight.
    """
    if known is None or asked is None or asked == known.prevalence:
        return
    was = (
        "the cases' own prevalence"
        if known.prevalence is None
        else f"a prevalence of {known.prevalence:g}"
    )
    raise UsageError(
        f"--prevalence: found {asked:g}, where the hold-out was opened with a rule for {was}; "
        "leave the option out, or `ptxsweep promote NAME --again` opens it with the other "
        "rule, which is one more use of it"
    )


def _is_beside(known: Confirmation, champion: Champion | None) -> bool:
    """Whether a confirmation says of the champion what there is to say."""
    return champion is None or champion.is_winner or champion.is_beside(known)


def keep_verdict(
    sweep: Sweep, said: Verdict, confirmation: Confirmation, against: str | None
) -> None:
    """Write into the evidence study what the gate said, and why it was overruled.

    Args:
        sweep: Sweep that was judged.
        said: Verdict of the gate.
        confirmation: Confirmation that it judged.
        against: Why the winner is promoted all the same; None where it is not.
    """
    sweep.evidence.add_verdict(
        {
            TRIAL_KEY: confirmation.trial,
            "use": confirmation.use,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "by": login(),
            "passed": said.passed,
            "forced": against is not None,
            "reason": against,
            "gate": said.gate,
            "eased": list(said.eased),
            "cautions": list(said.cautions),
            "checks": [dataclasses.asdict(check) for check in said.checks],
        },
        confirmation.metrics["dice"],
    )
