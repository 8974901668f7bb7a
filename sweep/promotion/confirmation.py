"""What the hold-out said about a winner, as the evidence study keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ptxcore.types import Rule
from sweep.analysis.expected_dice import ExpectedDice
from sweep.analysis.intervals import TOO_FEW
from sweep.ledger.evidence import Evidence, HoldoutUse
from sweep.ledger.header import SweepHeader
from sweep.promotion.costs import Costs, read_costs
from sweep.promotion.subgroups import PartDifference, read_parts
from sweep.storage.holdout_uses import UNSHARED

#: Number of the trial in what the evidence study keeps; older than the word.
TRIAL_KEY = "candidate"
_UNKNOWN = (float("nan"), float("nan"))
#: Metrics that are means over cases, so that they have an interval over patients.
METRICS_WITH_INTERVAL = (
    *("dice", "dice_positive", "iou", "iou_positive", "pixel_sensitivity", "precision"),
    *("case_sensitivity", "case_specificity", "case_precision"),
    *("surface_dice", "surface_dice_positive", "hausdorff95_mm", "hausdorff95_positive_mm"),
)


@dataclass(frozen=True, kw_only=True)
class ChampionBeside:
    """The champion on the winner's locked cases.

    Attributes:
        name: Name of the registered model.
        version: Version of the model.
        exposure: What is known of its training and these cases; empty if it never saw them.
        metrics: Those of the winner, None if it could not be scored.
        problem: Why it could not; None if it could.
        versions: Versions of what changes pixels or scores, under which it was scored; None if they
            are not known.
        trained_versions: Those under which it was trained.
        package: SHA-256 of its files, since another registry, or a model that was deleted and
            registered anew, gives the same version once more; None in what earlier versions kept.
    """

    name: str
    version: str
    exposure: str
    metrics: Mapping[str, float] | None
    problem: str | None
    versions: Mapping[str, str] | None = None
    trained_versions: Mapping[str, str] | None = None
    package: str | None = None


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The winner on the locked hold-out.

    Attributes:
        sweep: Its name.
        trial: Number of the winner.
        metrics: Scores of the winner's ensemble under `rule`, by name: those of a held fold,
            distances and groups of cases among them.
        rule: Chosen on the winner's out-of-fold cases, never on the hold-out.
        default: The same metrics of the default trial's ensemble under a rule of its own;
            None where it is the winner, is not complete, or its weights are gone.
        intervals: Over patients: those of `METRICS_WITH_INTERVAL` (of distances NaN without pixel
            spacing; earlier versions kept some of them), "gain" (dice above predicting nothing),
            with a default "difference" (dice above the default's), with a champion "challenge"
            (dice above the champion's). NaN where there are too few patients.
        num_cases: Number of cases in the hold-out.
        num_positive: Number of them with a mask.
        num_groups: Patients.
        confidence: Confidence of the intervals, the one that is decided at: 95% at the first use of
            these cases, more at later ones (`sweep.promotion.spending`).
        data_hash: Hash of the case store.
        plan_digest: Digest of the fold plan.
        holdout_digest: SHA-256 of the hold-out's cases.
        use: Number of this use of the hold-out by this sweep, 1 for the first.
        num_uses: Uses of these cases by all sweeps that share the store, this one included, when
            it was used; in what earlier versions kept, by all sweeps of the ledger so far.
        timestamp: ISO 8601 time in UTC.
        git_sha: Commit of the code that scored.
        phantom: Whether the cases are drawn, not real.
        champion: The champion of that time on the same cases; None if there was none.
        num_positive_groups: Patients with a positive case; None in what earlier versions kept, with
            intervals that are too short.
        versions: Versions of what changes pixels or scores, under which the winner was scored; None
            in what earlier versions kept.
        challenge_confidence: Confidence of the interval "challenge", which may be of a later use;
            None where it is `confidence`.
        is_count_shared: Whether the use is kept beside the store too, where other homes see it;
            None in what earlier versions kept.
        subgroups: Dice on parts of the cases above that of the "default" and of the "champion", by
            which of them was scored; None in what earlier versions kept.
        stated: 95% intervals to print, by the keys of `intervals`, which are decided on and wider;
            empty in what earlier versions kept.
        costs: What the "winner" and the "champion" cost, measured side by side, by which of them
            was at hand; None in what earlier versions kept.
        pictures: What most cases are, see `ptxcore.data.formats.subject.main_subject`; None where
            it is not known.
        images: What the images of the search range over, see
            `ptxcore.data.formats.image_range.ImageRange`; None in what earlier versions kept.
        weights: What tells the weights that were scored apart, fold by fold; None in what earlier
            versions kept.
        promised: Dice at the prevalence that `rule` was chosen for, out of fold, each fold under
            the rule of the others; None where it was chosen for the cases' own prevalence.
        expected: Dice on the hold-out as it is expected at that prevalence; None likewise. The gate
            does not ask for it.
        agreement: How far two case heads agree on cases that neither has trained on, as
            `ptxcore.metrics.Agreement` is stored; None where that is not known.
        case_rule: How the ensemble calls cases, as `sweep.analysis.detection.CaseRule` is stored;
            None where it is not known how far its networks agree.
    """

    sweep: str
    trial: int
    metrics: Mapping[str, float]
    rule: Rule
    default: Mapping[str, float] | None
    intervals: Mapping[str, tuple[float, float]]
    num_cases: int
    num_positive: int
    num_groups: int
    confidence: float
    data_hash: str
    plan_digest: str
    holdout_digest: str
    use: int
    num_uses: int
    timestamp: str
    git_sha: str
    phantom: bool
    champion: ChampionBeside | None = None
    num_positive_groups: int | None = None
    versions: Mapping[str, str] | None = None
    challenge_confidence: float | None = None
    is_count_shared: bool | None = None
    subgroups: Mapping[str, tuple[PartDifference, ...]] | None = None
    stated: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    costs: Mapping[str, Costs] | None = None
    pictures: str | None = None
    images: Mapping[str, Any] | None = None
    weights: tuple[str, ...] | None = None
    promised: ExpectedDice | None = None
    expected: ExpectedDice | None = None
    case_rule: Mapping[str, Any] | None = None
    agreement: Mapping[str, Any] | None = None

    @property
    def prevalence(self) -> float | None:
        """What the rule was chosen for; None for the prevalence of the out-of-fold cases."""
        return None if self.expected is None else self.expected.prevalence

    @property
    def at_prevalence(self) -> tuple[str, ...]:
        """What is promised and found at that prevalence, in sentences; empty without one."""
        if self.promised is None or self.expected is None:
            return ()
        return (
            "The rule is chosen for another prevalence than the cases have. Out of fold, each fold "
            f"under the rule of the others: {self.promised.sentence}.",
            f"On the hold-out, under the rule of all folds: {self.expected.sentence}.",
        )

    @property
    def agreed(self) -> str | None:
        """How far the networks agree, in a sentence; None where that is not known."""
        if self.agreement is None:
            return None
        known = self.agreement["correlations"]
        shown = [
            f"{known[name]:.2f} on {self.agreement[number]} pairs of {kind}"
            for name, number, kind in (
                ("ill case", "num_ill", "positive cases"),
                ("healthy case", "num_healthy", "healthy cases"),
            )
            if known.get(name) is not None
        ]
        return (
            "How cases are called is chosen for the mean of the networks, by how far the logits "
            "of two case heads correlate on cases that neither has trained on: "
            f"{', '.join(shown)}."
        )

    @property
    def baseline(self) -> float:
        """Dice of predicting nothing: the share of cases without a mask."""
        return self.metrics["dice_all_empty"]

    @property
    def gain(self) -> float:
        """Dice above the baseline."""
        return self.metrics["dice"] - self.baseline

    @property
    def difference(self) -> float | None:
        """Dice above the default trial's."""
        return None if self.default is None else self.metrics["dice"] - self.default["dice"]

    @property
    def challenge(self) -> float | None:
        """Dice above the champion's."""
        if self.champion is None or self.champion.metrics is None:
            return None
        return self.metrics["dice"] - self.champion.metrics["dice"]

    @property
    def cautions(self) -> tuple[str, ...]:
        """What to know of the use itself, without a capital and a stop."""
        said = [UNSHARED] if self.is_count_shared is False else []
        if self.expected is not None:
            said.append(
                f"the rule is chosen for a prevalence of {self.expected.prevalence:.1%}, and the "
                f"gate decides on the hold-out as it is ({self.expected.own_prevalence:.1%})"
            )
        return tuple(said)

    def confidence_in(self, key: str) -> str:
        """The confidence of an interval in words, "95%".

        Args:
            key: A key of `intervals`.
        """
        of_challenge = self.challenge_confidence if key == "challenge" else None
        return f"{100 * (of_challenge or self.confidence):.4g}%"

    @property
    def printed(self) -> Mapping[str, tuple[float, float]]:
        """The intervals to print; those that are decided on where there are no others."""
        return self.stated or self.intervals

    def printed_confidence(self, key: str) -> str:
        """The confidence of an interval to print in words, "95%".

        Args:
            key: A key of `printed`.
        """
        return "95%" if self.stated else self.confidence_in(key)

    def span(self, key: str, form: str = "+.4f") -> str:
        """An interval to decide on in words, or that there are too few patients for one.

        Args:
            key: A key of `intervals`.
            form: Format of its ends.
        """
        low, high = self.intervals.get(key, _UNKNOWN)
        if not low <= high:
            return TOO_FEW
        note = ", too short, of an earlier version" if self.num_positive_groups is None else ""
        note += ", on the safe side" if self.stated else ""
        return f"{self.confidence_in(key)} interval {low:{form}} to {high:{form}}{note}"

    def stated_span(self, key: str, form: str = "+.4f") -> str:
        """An interval to print in words, or that there are too few patients for one.

        Args:
            key: A key of `intervals`.
            form: Format of its ends.
        """
        if not self.stated:
            return self.span(key, form)
        low, high = self.stated.get(key, _UNKNOWN)
        if not low <= high:
            return TOO_FEW
        return f"{self.printed_confidence(key)} interval {low:{form}} to {high:{form}}"


class Opened(Protocol):
    """As much of a sweep as a confirmation is read from; `Sweep` is one."""

    @property
    def name(self) -> str:
        """Name of the sweep."""

    @property
    def header(self) -> SweepHeader:
        """What was fixed when the sweep was created."""

    @property
    def evidence(self) -> Evidence:
        """Every use of its hold-out."""


def last_confirmation(sweep: Opened) -> Confirmation | None:
    """The last confirmation that came to an end, None if there is none."""
    ended = [use for use in sweep.evidence.uses() if use.result is not None]
    return read_confirmation(sweep, ended[-1]) if ended else None


def read_confirmation(sweep: Opened, use: HoldoutUse) -> Confirmation:
    """A use of the hold-out that came to an end, as a confirmation.

    Args:
        sweep: Sweep with the hold-out that was used.
        use: Use with a result.
    """
    assert use.result is not None, "only a use that ended has a result"
    result = use.result
    metrics = _floats(result["metrics"])
    default = result["default"]
    return Confirmation(
        sweep=sweep.name,
        trial=int(result[TRIAL_KEY]),
        metrics=metrics,
        rule=Rule(**result["rule"]),
        default=None if default is None else _floats(default),
        intervals=_ends(result["intervals"]),
        stated=_ends(result.get("stated") or {}),
        num_cases=int(metrics["num_cases"]),
        num_positive=int(metrics["num_positive"]),
        num_groups=int(result["num_groups"]),
        num_positive_groups=result.get("num_positive_groups"),
        confidence=float(result["confidence"]),
        data_hash=str(result["data_hash"]),
        plan_digest=str(result["plan_digest"]),
        holdout_digest=use.holdout_digest,
        use=use.number,
        num_uses=_num_uses(sweep, use),
        timestamp=use.timestamp,
        git_sha=use.git_sha,
        phantom=sweep.header.is_phantom,
        champion=_champion(result.get("champion")),
        versions=result.get("versions"),
        challenge_confidence=result.get("challenge_confidence"),
        is_count_shared=result.get("is_count_shared"),
        subgroups=read_parts(result.get("subgroups")),
        costs=read_costs(result.get("costs")),
        pictures=result.get("pictures"),
        weights=None if result.get("weights") is None else tuple(result["weights"]),
        images=result.get("images"),
        promised=_expected(result.get("promised")),
        expected=_expected(result.get("expected")),
        case_rule=result.get("case_rule"),
        agreement=result.get("agreement"),
    )


def _num_uses(sweep: Opened, use: HoldoutUse) -> int:
    assert use.result is not None
    kept = use.result.get("num_uses")
    return len(sweep.evidence.ids_of_uses(use.holdout_digest)) if kept is None else int(kept)


def _champion(kept: Mapping[str, Any] | None) -> ChampionBeside | None:
    if kept is None:
        return None
    metrics = kept["metrics"]
    return ChampionBeside(**{**kept, "metrics": None if metrics is None else _floats(metrics)})


def _expected(kept: Mapping[str, Any] | None) -> ExpectedDice | None:
    return None if kept is None else ExpectedDice.from_stored(kept)


def _ends(kept: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {key: (_float(low), _float(high)) for key, (low, high) in kept.items()}


def _floats(values: Mapping[str, Any]) -> dict[str, float]:
    return {key: _float(value) for key, value in values.items()}


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)
