"""The gate before a promotion: a pure verdict, each refusal with what was found and expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ptxcore.metrics import better
from sweep.analysis.intervals import MIN_PATIENTS, TOO_FEW
from sweep.ledger.projection import Projection
from sweep.promotion.checks import NOTHING, Check, bound, check
from sweep.promotion.confirmation import Confirmation
from sweep.promotion.cost_checks import caps, cheaper
from sweep.promotion.gate_file import Gate
from sweep.promotion.subgroups import KINDS
from sweep.promotion.versions import version_cautions
from sweep.records import DEFAULT_TRIAL, State, SweepState

__all__ = ["Champion", "Check", "Gate", "Verdict", "preliminary", "verdict"]

#: How the name of the check against the champion begins.
AGAINST_CHAMPION = "dice against the champion"
_SAME_CASES = "both scored on the same cases"
_DEFAULT = "dice against the default trial"


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The model that a new one must be better than.

    Attributes:
        name: Name of the registered model.
        version: Version of the model.
        problem: Why it cannot be loaded here; None if it can, or was not tried.
        is_winner: Whether it is the winner itself.
        package: SHA-256 of its files; None if it is not known.
    """

    name: str
    version: str
    problem: str | None = None
    is_winner: bool = False
    package: str | None = None

    def __str__(self) -> str:
        return f"champion {self.name} version {self.version}"

    def is_beside(self, confirmation: Confirmation) -> bool:
        """Whether it is the champion that stands beside the winner, by its files if both are known.

        Args:
            confirmation: Confirmation of the winner.
        """
        beside = confirmation.champion
        if beside is None or (beside.name, beside.version) != (self.name, self.version):
            return False
        return None in (beside.package, self.package) or beside.package == self.package


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the gate says.

    Attributes:
        checks: Every question asked.
        gate: Name, digest and content of the gate, see `Gate.facts`; None where it is not known.
        eased: See `Gate.eased`.
        cautions: What to know of the evidence besides, see `sweep.promotion.versions`.
        overruled: Why the winner was promoted all the same; None where it was not.
        rollbacks: What became of the champion since, in sentences.
    """

    checks: tuple[Check, ...]
    gate: Mapping[str, Any] | None = None
    eased: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    overruled: str | None = None
    rollbacks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(one.passed for one in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The failed checks as sentences; empty for a verdict that passed."""
        return tuple(str(one) for one in self.checks if not one.passed)


def preliminary(projection: Projection) -> Verdict:
    """What can be refused before the hold-out is opened.

    Args:
        projection: Projection of the sweep.
    """
    is_over = projection.sweep_state is SweepState.FINISHED
    no_winner = (
        " (so it has no winner yet, and --force makes none; `ptxsweep resume` goes on with it, and "
        "with `--hours 0.001` it ends as it stands)"
    )
    checks = [
        check(
            "sweep", is_over, f"{projection.sweep_state}{'' if is_over else no_winner}", "finished"
        )
    ]
    best = projection.best()
    if best is None:
        num_folds = max((len(trial.folds) for trial in projection.trials), default=0)
        found = f"none; the furthest has {num_folds} of {projection.num_folds} folds"
        return Verdict(
            checks=(*checks, check("winner", False, found, "a trial with all its folds"))
        )
    selection = str(best.settings.get("selection", "monitor"))
    return Verdict(
        checks=(
            *checks,
            check(
                "winner",
                set(best.folds) == set(range(projection.num_folds)),
                f"{len(best.folds)} folds",
                f"all {projection.num_folds}",
            ),
            check(
                "selection",
                selection == "monitor",
                f"{selection!r} (checkpoints chosen on the scored cases)"
                if selection != "monitor"
                else "'monitor'",
                "'monitor'",
            ),
        )
    )


def verdict(
    confirmation: Confirmation,
    projection: Projection,
    *,
    champion: Champion | None = None,
    gate: Gate | None = None,
) -> Verdict:
    """Whether the confirmed winner may become champion.

    Args:
        confirmation: Confirmation of the winner.
        projection: Projection of its sweep.
        champion: The present one, None if there is none.
        gate: What to ask for.
    """
    gate = gate or Gate()
    return Verdict(
        checks=(
            *preliminary(projection).checks,
            *_identity(confirmation, projection),
            *_population(confirmation, gate),
            *_quality(confirmation, gate),
            *_floors(confirmation, gate),
            *caps(confirmation, gate),
            *cheaper(confirmation, gate, is_against_champion=_is_another(champion)),
            *_subgroups(confirmation, champion, gate),
            _default(confirmation, projection, gate),
            _challenge(confirmation, champion, gate),
        ),
        gate=gate.facts,
        eased=gate.eased,
        cautions=(*version_cautions(confirmation, projection), *confirmation.cautions),
    )


def population(num_positive: int, num_negative: int, gate: Gate | None = None) -> list[Check]:
    """Whether the hold-out has enough patients of both kinds. Known before it is opened.

    Args:
        num_positive: Patients with a positive case.
        num_negative: Patients without one.
        gate: What to ask for.
    """
    asked = (gate or Gate()).min_patients
    # Without an interval nothing passes; on positive patients alone, which may be asked for, it has
    # no other kind.
    least = max(asked, MIN_PATIENTS)
    empty = " (so predicting nothing scores 0 by construction, and is beaten by anything)"
    return [
        check(
            f"patients {kind} a pneumothorax in the hold-out",
            number >= least or (number == asked == 0 and bool(note)),
            f"{number}{note if number == 0 else ''}",
            f"at least {least}: fewer are {TOO_FEW}",
        )
        for kind, number, note in (("with", num_positive, ""), ("without", num_negative, empty))
    ]


def unfinished_default(projection: Projection) -> str | None:
    """Why a sweep's default has no ensemble, by the ledger; None if it has one, or is the winner.

    No pruner stops the default and every stop rule waits for it, but it may fail, and a budget may
    end the sweep before it is complete.
    """
    best, default = projection.best(), projection.default
    if default is None or default is best or default.state is State.COMPLETE:
        return None
    return (
        f"{default.state} with {len(default.folds)} of {projection.num_folds} folds "
        f"({default.reason or 'nobody knows why'}; a sweep with a default that completes can tell)"
    )


def comparable(problem: str | None) -> list[Check]:
    """Whether the default can stand beside the winner. Known before the hold-out is opened.

    Args:
        problem: What is the matter with the default; None if nothing, or if it is the winner.
    """
    return [] if problem is None else [check(_DEFAULT, False, f"one {problem}", _SAME_CASES)]


def loadable(champion: Champion | None) -> list[Check]:
    """Whether the champion can be scored at all. Known before the hold-out is opened.

    Args:
        champion: None if there is none.
    """
    if champion is None or champion.problem is None:
        return []
    return [check(_against(champion), False, f"one that {champion.problem}", _SAME_CASES)]


def _identity(confirmation: Confirmation, projection: Projection) -> list[Check]:
    """That the confirmed one is the winner, on the data and the plan of its sweep."""
    best, header = projection.best(), projection.header
    return [
        check(
            "confirmed trial",
            best is not None and best.number == confirmation.trial,
            str(confirmation.trial),
            f"the winner, {None if best is None else best.number}",
        ),
        *(
            check(what, found == expected, found[:12], f"{str(expected)[:12]} (ledger)")
            for what, expected, found in (
                ("plan digest", header.plan_digest, confirmation.plan_digest),
                ("data hash", header.data_hash, confirmation.data_hash),
            )
        ),
    ]


def _population(confirmation: Confirmation, gate: Gate) -> list[Check]:
    num_positive = confirmation.num_positive_groups
    if num_positive is None:
        return [
            check(
                "intervals",
                False,
                "those of an earlier version, which are too short",
                "of this version (`--again` opens the hold-out once more, and counts it)",
            )
        ]
    return population(num_positive, confirmation.num_groups - num_positive, gate)


def _quality(confirmation: Confirmation, gate: Gate) -> list[Check]:
    metrics = confirmation.metrics
    return [
        bound(
            confirmation,
            "dice above the all-empty baseline",
            "gain",
            f"{confirmation.gain:+.4f} ({metrics['dice']:.4f} against {confirmation.baseline:.4f}",
            gate.min_gain,
        ),
        bound(
            confirmation,
            "dice over positives",
            "dice_positive",
            f"{metrics['dice_positive']:.4f} (",
            gate.min_dice_positive,
        ),
    ]


def _floors(confirmation: Confirmation, gate: Gate) -> list[Check]:
    return [
        bound(
            confirmation,
            f"{name} above its floor" if better(name) == "higher" else f"{name} below its limit",
            name,
            f"{confirmation.metrics.get(name, math.nan):.4f} (",
            value,
            below=better(name) == "lower",
        )
        for name, value in gate.floors.items()
    ]


def _subgroups(confirmation: Confirmation, champion: Champion | None, gate: Gate) -> list[Check]:
    """Each part of the cases against the champion, or the default where there is none."""
    if gate.subgroups is None:
        return []
    if confirmation.subgroups is None:
        again = "those that are measured since (`--again` opens the hold-out once more)"
        return [check("subgroups", False, "none, in what an earlier version kept", again)]
    than = "champion" if _is_another(champion) else "default"
    starts = tuple(KINDS[kind] for kind in gate.subgroups.by)
    least = 0.0 - gate.subgroups.max_loss
    return [
        check(
            f"dice against the {than}, {part.words}",
            part.high is None or part.high >= least,
            part.span,
            NOTHING if part.high is None else f"an upper end of at least {least:+.4f}",
        )
        for part in confirmation.subgroups.get(than, ())
        if part.name.startswith(starts)
    ]


def _default(confirmation: Confirmation, projection: Projection, gate: Gate) -> Check:
    if confirmation.trial == DEFAULT_TRIAL:
        return check(_DEFAULT, True, "nothing to compare with: the winner is the default", NOTHING)
    if confirmation.difference is None:
        problem = unfinished_default(projection) or (
            "whose weights were gone or damaged when the hold-out was opened (where they are back, "
            "`--again` scores it, which is one more use)"
        )
        return comparable(problem)[0]
    found = f"{confirmation.difference:+.4f} ("
    return bound(confirmation, _DEFAULT, "difference", found, -gate.max_loss)


def _challenge(confirmation: Confirmation, champion: Champion | None, gate: Gate) -> Check:
    if champion is None:
        return check(AGAINST_CHAMPION, True, "no champion to compare with", NOTHING)
    name = _against(champion)
    if champion.is_winner:
        return check(name, True, "it is this trial", NOTHING)
    if champion.problem is not None:
        return loadable(champion)[0]
    beside = confirmation.champion
    if beside is None or not champion.is_beside(confirmation):
        return check(name, False, "one that was not scored on them", _SAME_CASES)
    if confirmation.challenge is None:
        return check(name, False, f"one that {beside.problem}", _SAME_CASES)
    note = f"; {beside.exposure}" if beside.exposure else ""
    found = f"{confirmation.challenge:+.4f} on the same cases ("
    return bound(confirmation, name, "challenge", found, gate.min_lead, note)


def _is_another(champion: Champion | None) -> bool:
    return champion is not None and not champion.is_winner


def _against(champion: Champion) -> str:
    return f"{AGAINST_CHAMPION} ({champion.name} version {champion.version})"
