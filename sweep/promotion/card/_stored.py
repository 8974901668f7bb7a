"""The card that was registered with a model, and what became of the model since."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.mlflow.open_model import registered_files
from sweep.promotion.card._card import JSON, MARKDOWN
from sweep.promotion.kept_verdicts import rollback_sentence
from sweep.promotion.rollback import TAG as ROLLBACK
from sweep.storage.home import Home

#: Tag with what a person decided about a version.
DECISION = "ptxsweep.decision"


@dataclass(frozen=True, kw_only=True)
class StoredCard:
    """A card as it was registered.

    Attributes:
        markdown: Content of `MARKDOWN`.
        values: Content of `JSON`.
        since: What the registry says became of the model, in sentences.
    """

    markdown: str
    values: Mapping[str, Any]
    since: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The card for people, with what became of the model at its end."""
        if not self.since:
            return self.markdown
        listed = "\n".join(f"- {sentence}" for sentence in self.since)
        return f"{self.markdown}\n# Since it was registered\n\n{listed}\n"


def stored_card(home: Home, uri: str) -> StoredCard:
    """The card of a model.

    Args:
        home: Home with the address of the registry.
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or the folder of a model on this machine,
            which has no digest to be compared with.

    Raises:
        UsageError: There is no such model, or it has no card.
        CheckpointError: The files are damaged or were exchanged.
        TrackingError: MLflow cannot be reached.
    """
    if Path(uri).is_dir():
        return _read(Path(uri), uri, {})
    with registered_files(home, uri, "no card was read") as (folder, version):
        return _read(folder, uri, version.tags)


def _read(folder: Path, uri: str, tags: Mapping[str, str]) -> StoredCard:
    names = (MARKDOWN, JSON)
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise UsageError(
            f"model {uri}: found no {' and no '.join(missing)}, expected the card that promotion "
            "writes; an older ptxsweep registered it: `ptxsweep card NAME` writes that of its sweep"
        )
    markdown, values = ((folder / name).read_text(encoding="utf-8") for name in names)
    return StoredCard(markdown=markdown, values=json.loads(values), since=since(tags))


def since(tags: Mapping[str, str]) -> tuple[str, ...]:
    """What tags of a version say became of it, in sentences.

    Args:
        tags: Tags of the version; what cannot be read is left out.
    """
    say: dict[str, Callable[[Mapping[str, Any]], str]] = {
        DECISION: _decision,
        ROLLBACK: rollback_sentence,
    }
    said = []
    for key, sentence in say.items():
        try:
            said.append(sentence(json.loads(tags[key])))
        except (KeyError, ValueError, TypeError, AttributeError):
            continue
    return tuple(said)


def _decision(kept: Mapping[str, Any]) -> str:
    why = kept.get("reason")
    signed = "signed" if kept.get("signature") else "not signed"
    return (
        f"On {kept['at']} it was {kept['decision']} (by {kept.get('by') or 'an unknown person'}, "
        f"{signed}; {f'because: {why}' if why else 'no reason given'})."
    )
