"""What the report is told about confirmation and the gate: plain values, no work of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class ChampionBeside(Protocol):
    """The champion of then on the winner's locked cases."""

    @property
    def name(self) -> str:
        """Name of the registered model."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def metrics(self) -> Mapping[str, float] | None:
        """Those of the winner, None if it could not be scored."""

    @property
    def problem(self) -> str | None:
        """Why it could not."""


class Confirmation(Protocol):
    """The winner on a locked hold-out; `sweep.promotion.confirmation.Confirmation` is one."""

    @property
    def trial(self) -> int:
        """Number of the trial that was scored."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Scores by name, "dice_all_empty" among them, under the rule that will be deployed."""

    @property
    def default(self) -> Mapping[str, float] | None:
        """Scores of the default trial likewise, None where it is the winner or cannot be scored."""

    @property
    def champion(self) -> ChampionBeside | None:
        """The champion of then; None if there was none."""

    @property
    def printed(self) -> Mapping[str, tuple[float, float]]:
        """Intervals over patients, for metrics, "gain" (Dice above the all-empty baseline),
        "difference" (Dice above the default's) and "challenge" (Dice above the champion's).
        """

    def printed_confidence(self, key: str) -> str:
        """The confidence of an interval in words, "95%"."""

    @property
    def at_prevalence(self) -> tuple[str, ...]:
        """What is promised and found at the prevalence that the rule is for, in sentences."""

    @property
    def num_cases(self) -> int:
        """Cases of the hold-out."""

    @property
    def num_positive(self) -> int:
        """Cases of the hold-out with a pneumothorax."""

    @property
    def num_groups(self) -> int:
        """Patients."""

    @property
    def num_uses(self) -> int:
        """How often these cases were used to judge a winner, this time included."""


class Check(Protocol):
    """One question of the promotion gate."""

    @property
    def name(self) -> str:
        """What it asks about."""

    @property
    def passed(self) -> bool:
        """Whether the answer was good enough."""

    @property
    def found(self) -> str:
        """The answer."""

    @property
    def expected(self) -> str:
        """What it had to be."""


class Verdict(Protocol):
    """What the promotion gate said; `sweep.promotion.gate.Verdict` is one."""

    @property
    def passed(self) -> bool:
        """Whether the winner may become champion."""

    @property
    def checks(self) -> Sequence[Check]:
        """Every question it asked."""

    @property
    def cautions(self) -> Sequence[str]:
        """What to know of the evidence besides, without a capital and a stop."""

    @property
    def eased(self) -> Sequence[str]:
        """Margins that asked for less than usual, in words."""

    @property
    def overruled(self) -> str | None:
        """Why the winner became champion all the same; None where it did not."""

    @property
    def rollbacks(self) -> Sequence[str]:
        """What became of the champion since, in sentences."""
