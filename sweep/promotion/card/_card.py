"""The card of a sweep's winner, or of a registered model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sweep.promotion.card._checklists import Answered, answer, checklists
from sweep.promotion.card._evidence import CardEvidence, gather
from sweep.promotion.card._facts import known
from sweep.promotion.card._markdown import render
from sweep.promotion.card._plan import Plan, make_plan
from sweep.storage.sweep import Sweep

#: Names of the card's files in a model's folder.
MARKDOWN, JSON = "card.md", "card.json"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """A card.

    Attributes:
        sweep: Name of the sweep.
        trial: Number of its winner; None without one.
        is_confirmed: Whether the winner was scored on the hold-out.
        intended_use: What it is for.
        origin: Identity of the model, in words by name.
        plan: What may be modified, by which protocol, with which impact.
        checklists: Reporting checklists with their answers.
    """

    sweep: str
    trial: int | None
    is_confirmed: bool
    intended_use: str
    origin: Mapping[str, str]
    plan: Plan
    checklists: tuple[Answered, ...]

    @property
    def markdown(self) -> str:
        """The card for people."""
        return render(self)

    def write(self, folder: Path) -> None:
        """Put it among a model's files, for people and for programs.

        Args:
            folder: Folder of the model.
        """
        (folder / MARKDOWN).write_text(self.markdown, encoding="utf-8")
        text = json.dumps(dataclasses.asdict(self), indent=2, allow_nan=False, default=str)
        (folder / JSON).write_text(text + "\n", encoding="utf-8")


def make_card(sweep: Sweep) -> ModelCard:
    """The card of a sweep's winner, from what is known now; the hold-out is not opened.

    Args:
        sweep: Open sweep, in whatever state it is.
    """
    return card_of(gather(sweep))


def card_of(evidence: CardEvidence) -> ModelCard:
    """A card, a pure function of the evidence.

    Args:
        evidence: What is known of the sweep.
    """
    facts = known(evidence)
    winner = evidence.winner
    return ModelCard(
        sweep=evidence.name,
        trial=None if winner is None else winner.number,
        is_confirmed=evidence.confirmation is not None,
        intended_use=facts["intended_use"],
        origin=_origin(evidence),
        plan=make_plan(evidence, facts),
        checklists=tuple(answer(checklist, facts) for checklist in checklists()),
    )


def _origin(evidence: CardEvidence) -> dict[str, str]:
    header, found = evidence.projection.header, evidence.confirmation
    values = {
        "objective": f"{header.metric}, {'higher' if header.maximize else 'lower'} is better",
        "data": header.data_hash,
        "fold plan": header.plan_digest,
        "code": f"ptxsweep {header.version}, {header.git_sha}" if header.version else None,
        "trained under": _versions(header.versions),
        "scored on the hold-out under": _versions(None if found is None else found.versions),
        "mask": None if found is None else found.rule.words,
        "begun": header.created_at,
        "hold-out opened": None if found is None else found.timestamp,
    }
    return {key: value for key, value in values.items() if value}


def _versions(versions: Mapping[str, str] | None) -> str | None:
    return ", ".join(f"{name} {version}" for name, version in (versions or {}).items()) or None
