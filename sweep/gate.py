"""The gate before a promotion: a pure verdict, each refusal with what was found and expected."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.confirmation import Confirmation
from sweep.projection import Projection


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a champion must show on the hold-out.

    Attributes:
        min_gain: Dice (both empty = 1) must lie above predicting nothing by more than this.
        min_dice_positive: Least mean Dice over cases with a mask. Far below what is useful; it
            stops a network that finds nothing.
        max_loss: How far Dice may fall below the default candidate's. Above 0, because on a small
            hold-out two equal models differ by a little either way.
    """

    min_gain: float = 0.0
    min_dice_positive: float = 0.1
    max_loss: float = 0.02


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The model that a new one must not be worse than.

    Attributes:
        version: In the registry.
        sweep: It came from.
        candidate: Of that sweep.
        holdout_digest: Of the cases that confirmed it.
        dice: On those cases.
    """

    version: str
    sweep: str
    candidate: int
    holdout_digest: str
    dice: float


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question of the gate."""

    name: str
    passed: bool
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.name}: found {self.found}, expected {self.expected}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the gate says.

    Attributes:
        checks: Every question asked.
    """

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The failed checks as sentences; empty for a verdict that passed."""
        return tuple(str(check) for check in self.checks if not check.passed)


def preliminary(projection: Projection) -> Verdict:
    """What can be refused before the hold-out is opened.

    Args:
        projection: Of the sweep.
    """
    checks = [
        Check(
            name="sweep",
            passed=projection.sweep_state == "finished",
            found=projection.sweep_state,
            expected="finished (`ptxsweep resume` goes on with it)",
        )
    ]
    best = projection.best()
    if best is None:
        num_folds = max((len(one.folds) for one in projection.candidates), default=0)
        found = f"none; the furthest has {num_folds} of {projection.num_folds} folds"
        return Verdict(
            checks=(*checks, _check("winner", False, found, "a candidate with all its folds"))
        )
    selection = str(best.settings.get("selection", "monitor"))
    return Verdict(
        checks=(
            *checks,
            _check(
                "winner",
                set(best.folds) == set(range(projection.num_folds)),
                f"{len(best.folds)} folds",
                f"all {projection.num_folds}",
            ),
            _check(
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
        confirmation: Of the winner.
        projection: Of its sweep.
        champion: The present one, None if there is none.
        gate: What to ask for.
    """
    gate = gate or Gate()
    checks = [
        *preliminary(projection).checks,
        *_identity(confirmation, projection),
        *_quality(confirmation, gate),
    ]
    checks.append(_challenge(confirmation, champion))
    return Verdict(checks=tuple(checks))


def _identity(confirmation: Confirmation, projection: Projection) -> list[Check]:
    """That the confirmed one is the winner, on the data and the plan of its sweep."""
    best, header = projection.best(), projection.header
    return [
        _check(
            "confirmed candidate",
            best is not None and best.number == confirmation.candidate,
            str(confirmation.candidate),
            f"the winner, {None if best is None else best.number}",
        ),
        *(
            _check(
                what, found == header.get(key), found[:12], f"{str(header.get(key))[:12]} (ledger)"
            )
            for what, key, found in (
                ("plan digest", "plan_digest", confirmation.plan_digest),
                ("data hash", "data_hash", confirmation.data_hash),
            )
        ),
    ]


def _quality(confirmation: Confirmation, gate: Gate) -> list[Check]:
    # Comparisons are written so that NaN fails them.
    metrics = confirmation.metrics
    checks = [
        _check(
            "dice above the all-empty baseline",
            confirmation.gain > gate.min_gain,
            f"{confirmation.gain:+.4f} ({metrics['dice']:.4f} against "
            f"{confirmation.baseline:.4f}, {_span(confirmation, 'gain')})",
            f"more than {gate.min_gain:+.4f}",
        ),
        _check(
            "dice over positives",
            metrics["dice_positive"] >= gate.min_dice_positive,
            f"{metrics['dice_positive']:.4f} ({_span(confirmation, 'dice_positive')})",
            f"at least {gate.min_dice_positive:.4f}",
        ),
    ]
    difference = confirmation.difference
    if difference is not None:
        high = confirmation.intervals["difference"][1]
        checks.append(
            _check(
                "dice against the default candidate",
                difference >= -gate.max_loss and high >= 0,
                f"{difference:+.4f} ({_span(confirmation, 'difference')})",
                f"at least {-gate.max_loss:+.4f}, and an interval not wholly below 0",
            )
        )
    return checks


def _challenge(confirmation: Confirmation, champion: Champion | None) -> Check:
    if champion is None:
        return _check(
            "dice against the champion",
            True,
            "no champion to compare with",
            "at least the champion's, where there is one",
        )
    name = f"dice against the champion (version {champion.version})"
    if champion.holdout_digest != confirmation.holdout_digest:
        return _check(
            name,
            False,
            f"a champion confirmed on another hold-out ({champion.holdout_digest[:12]})",
            f"the same hold-out ({confirmation.holdout_digest[:12]}), since scores on different "
            "cases cannot be compared; register under another name, or force it",
        )
    return _check(
        name,
        confirmation.metrics["dice"] >= champion.dice,
        f"{confirmation.metrics['dice']:.4f}",
        f"at least {champion.dice:.4f}",
    )


def _span(confirmation: Confirmation, key: str) -> str:
    low, high = confirmation.intervals[key]
    return f"{confirmation.confidence:.0%} interval {low:+.4f} to {high:+.4f}"


def _check(name: str, passed: bool, found: str, expected: str) -> Check:
    return Check(name=name, passed=passed, found=found, expected=expected)
