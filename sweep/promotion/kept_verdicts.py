"""What the gate said of a sweep, and what was rolled back, as the evidence study keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.promotion.gate import Check, Verdict
from sweep.storage.sweep import Sweep


def kept_verdicts(sweep: Sweep) -> list[Verdict]:
    """All that the gate said, oldest first.

    Args:
        sweep: Sweep that was judged.
    """
    rollbacks = tuple(map(rollback_sentence, sweep.evidence.rollbacks()))
    return [_read(kept, rollbacks) for kept in sweep.evidence.verdicts()]


def last_verdict(sweep: Sweep) -> Verdict | None:
    """The gate's last word, None if it was never asked.

    Args:
        sweep: Sweep that was judged.
    """
    kept = kept_verdicts(sweep)
    return kept[-1] if kept else None


def rollback_sentence(record: Mapping[str, Any]) -> str:
    """A kept rollback in words.

    Args:
        record: From the evidence study.
    """
    why = record.get("reason")
    return (
        f"On {record['at']} {record['model']} went back from version {record['from']} to version "
        f"{record['to']} (by {record['by']}; {f'because: {why}' if why else 'no reason given'})."
    )


def _read(kept: Mapping[str, Any], rollbacks: tuple[str, ...]) -> Verdict:
    return Verdict(
        checks=tuple(Check(**check) for check in kept["checks"]),
        gate=kept.get("gate"),
        eased=tuple(kept.get("eased", ())),
        cautions=tuple(kept.get("cautions", ())),
        overruled=(kept.get("reason") or "unknown") if kept.get("forced") else None,
        rollbacks=rollbacks,
    )
