"""Whether the evidence arose under the versions of what changes pixels that the folds had.

Another OpenCV or torch makes other pixels and other masks of the same image and the same weights.
It is no reason to refuse, since a security update must not cost a champion, but it is said with the
verdict.
"""

from __future__ import annotations

from collections.abc import Mapping

from sweep.analysis.selection_bias import mixed_versions
from sweep.ledger.projection import Projection
from sweep.promotion.confirmation import Confirmation
from sweep.util.provenance import differences


def version_cautions(found: Confirmation, projection: Projection) -> tuple[str, ...]:
    """Each without its capital and its stop; empty where all was scored under the same versions.

    Args:
        found: The winner on the hold-out, the champion beside it.
        projection: Projection of its sweep.
    """
    known, beside = projection.versions, found.champion
    said = [
        mixed_versions(projection),
        _others(
            "the hold-out was scored", "the folds", known[-1] if known else None, found.versions
        ),
    ]
    if beside is not None and beside.metrics is not None:
        said += [
            _others(
                "the champion was scored", "its folds", beside.trained_versions, beside.versions
            ),
            _others("the champion was scored", "the winner", found.versions, beside.versions),
        ]
    return tuple(dict.fromkeys(sentence for sentence in said if sentence is not None))


def _others(
    what: str, than: str, expected: Mapping[str, str] | None, found: Mapping[str, str] | None
) -> str | None:
    if not expected or not found:
        return f"it is not known whether {what} under the versions of {than}"
    listed = [f"{name} {there}, not {ours}" for name, ours, there in differences(expected, found)]
    if not listed:
        return None
    return (
        f"{what} under other versions than {than} ({', '.join(listed)}): the same image may give "
        "other pixels and another mask"
    )
