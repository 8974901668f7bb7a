"""What the gate asks of costs: caps, and of a gate that lets equals pass, that one is cheaper."""

from __future__ import annotations

from sweep.promotion.checks import NOTHING, Check, check
from sweep.promotion.confirmation import Confirmation
from sweep.promotion.costs import CHAMPION, WINNER, WORDS
from sweep.promotion.gate_file import Gate

_NOISY = ("seconds_per_image", "memory_bytes")
_CHEAPER = "cheaper than the champion"
_NOT_MEASURED = "none measured"
_AGAIN = "`--again` opens the hold-out once more and measures them, if it can be loaded"


def caps(confirmation: Confirmation, gate: Gate) -> list[Check]:
    """Whether the winner stays below the gate's caps.

    Args:
        confirmation: Confirmation with costs.
        gate: What to ask for.
    """
    costs = (confirmation.costs or {}).get(WINNER)
    checks = []
    for name, most in (
        ("seconds_per_image", gate.max_seconds_per_image),
        ("memory_bytes", gate.max_memory_bytes),
        ("size_bytes", gate.max_size_bytes),
    ):
        if most is None:
            continue
        form = seconds if name == "seconds_per_image" else mebibytes
        end = "an upper end of at most" if name == "seconds_per_image" else "at most"
        value = None if costs is None else getattr(costs, name)
        if costs is None or value is None:
            checks.append(check(WORDS[name], False, _NOT_MEASURED, f"{end} {form(most)}; {_AGAIN}"))
            continue
        decided = value
        found = form(value)
        if name == "seconds_per_image":
            decided = costs.most_seconds(confirmation.confidence)
            found += f" (upper end of its interval {form(decided)}; {costs.where})"
        checks.append(check(WORDS[name], decided <= most, found, f"{end} {form(most)}"))
    return checks


def measurable(gate: Gate, unloaded: str | None) -> list[Check]:
    """Whether a gate's question about costs can be answered. Known before the hold-out is opened.

    Args:
        gate: What to ask for.
        unloaded: Why the champion cannot be loaded; None if it can, or there is none.
    """
    if gate.cheaper is None or unloaded is None:
        return []
    return [check(_CHEAPER, False, f"one that {unloaded}", "both measured side by side")]


def cheaper(confirmation: Confirmation, gate: Gate, *, is_against_champion: bool) -> list[Check]:
    """Whether the winner costs less of anything that the gate names than the champion.

    Args:
        confirmation: Confirmation with the costs of both.
        gate: What to ask for.
        is_against_champion: Whether there is a champion that is not the winner itself.
    """
    if gate.cheaper is None:
        return []
    if not is_against_champion:
        return [check(_CHEAPER, True, "no other champion to compare with", NOTHING)]
    costs = confirmation.costs or {}
    most = 1 - gate.cheaper.by
    expected = f"{' or '.join(WORDS[one] for one in gate.cheaper.any_of)} at most {most:.2f} of its"
    if not {WINNER, CHAMPION} <= costs.keys():
        return [check(_CHEAPER, False, _NOT_MEASURED, f"{expected}; {_AGAIN}")]
    told, passed = [], False
    for one in gate.cheaper.any_of:
        shares = costs[WINNER].share(one, costs[CHAMPION], confirmation.confidence)
        if shares is None:
            told.append(f"{WORDS[one]} not told by this system")
            continue
        share, decided = shares
        note = f" (upper end {decided:.2f})" if one in _NOISY else ""
        told.append(f"{WORDS[one]} {share:.2f}{note}")
        passed = passed or decided <= most
    return [check(_CHEAPER, passed, ", ".join(told), expected)]


def seconds(value: float) -> str:
    """A time for people."""
    return f"{value:.3g} s"


def mebibytes(value: float) -> str:
    """Bytes for people."""
    return f"{value / 2**20:.1f} MiB"
