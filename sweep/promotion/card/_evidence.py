"""What a card is written from: a sweep's ledger and its evidence study, as they are now.

Both may be of an earlier version, so every key may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sweep.analysis.confirmed import ConfirmedScore, confirmed_score
from sweep.analysis.operating_point import fill
from sweep.analysis.verdict import SweepVerdict, verdict
from sweep.errors import UnknownSweep
from sweep.ledger.evidence import HoldoutUse
from sweep.ledger.projection import Projection, Trial
from sweep.promotion.confirmation import TRIAL_KEY, Confirmation, last_confirmation
from sweep.promotion.kept_verdicts import rollback_sentence
from sweep.promotion.patients import ask_patients
from sweep.storage.sweep import Sweep


@dataclass(frozen=True, kw_only=True)
class CardEvidence:
    """What is known of a sweep.

    Attributes:
        name: Name of the sweep.
        projection: What its ledger holds.
        verdict: Where it stands.
        winner: Winner of the sweep; None without one.
        confirmation: The winner on the hold-out; None if it was not scored there.
        judged: What the gate said of the winner last, as the evidence study keeps it; None if it
            was not asked.
        uses: Uses of the hold-out by this sweep.
        rollbacks: What became of champions of this sweep since, in sentences.
        space: Search space, as its file has it; empty where it is not known.
        search: Verdict of the search, where this sweep trained its best trials on fresh folds; None
            of any other.
        confirmed: Scores of that search and of the fresh folds; None likewise.
    """

    name: str
    projection: Projection
    verdict: SweepVerdict
    winner: Trial | None
    confirmation: Confirmation | None
    judged: Mapping[str, Any] | None
    uses: Sequence[HoldoutUse]
    rollbacks: tuple[str, ...]
    space: Mapping[str, Any]
    search: SweepVerdict | None = None
    confirmed: ConfirmedScore | None = None

    @property
    def cohort(self) -> Mapping[str, Any]:
        """Which cases took part; empty where that is not known."""
        return self.projection.header.cohort or {}


def gather(sweep: Sweep) -> CardEvidence:
    """What is known of a sweep now; the hold-out is not opened.

    Args:
        sweep: Open sweep.
    """
    projection = sweep.projection
    fill(projection, sweep.folder)
    ask_patients(projection, sweep.folder, sweep.home.folder, ranks=False)
    said = verdict(projection)
    number = said.standing.winner
    found = last_confirmation(sweep)
    judged = [kept for kept in sweep.evidence.verdicts() if kept.get(TRIAL_KEY) == number]
    search = _search(sweep)
    return CardEvidence(
        name=sweep.name,
        projection=projection,
        verdict=said,
        winner=None if number is None else projection.trials[number],
        confirmation=found if found is not None and found.trial == number else None,
        judged=judged[-1] if judged and number is not None else None,
        uses=tuple(sweep.evidence.uses()),
        rollbacks=tuple(map(rollback_sentence, sweep.evidence.rollbacks())),
        space=_space((search or projection).header.space_text),
        search=None if search is None else verdict(search),
        confirmed=None if search is None else confirmed_score(sweep.name, search, projection),
    )


def _search(sweep: Sweep) -> Projection | None:
    """The search whose best trials this sweep trained again; None of any other, or once gone."""
    if (name := sweep.header.confirms) is None:
        return None
    try:
        with Sweep.open(sweep.home, name) as search:
            fill(search.projection, search.folder)
            return search.projection
    except UnknownSweep:
        return None


def _space(text: str | None) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(text or "")
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, Mapping) else {}
