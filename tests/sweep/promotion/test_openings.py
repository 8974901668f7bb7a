"""How often the database is opened, and a sweep's ledger read, by those who read it whole."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from confirming import confirm_now
from tiny_sweep import NAME

from sweep.ledger import Ledger, evidence, ledger
from sweep.promotion.promote import promote
from sweep.report import publish_report
from sweep.storage.home import Home


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts openings and readings; both are done as ever."""
    found: Counter[str] = Counter()

    def counted(owner: Any, name: str, what: str) -> None:
        real = getattr(owner, name)

        def done(*args: Any) -> Any:
            found[what] += 1
            return real(*args)

        monkeypatch.setattr(owner, name, done)

    counted(ledger, "open_storage", "opened")
    counted(evidence, "open_storage", "opened")
    counted(Ledger, "_load", "loaded")
    return found


def test_a_promotion_with_nothing_to_do_opens_and_reads_once(
    tiny_home: Home, counts: Counter[str]
) -> None:
    promote(tiny_home, NAME)
    counts.clear()
    assert not promote(tiny_home, NAME).is_new
    assert counts == {"opened": 2, "loaded": 1}  # once to see whether it was confirmed


def test_a_report_opens_and_reads_once(tiny_home: Home, counts: Counter[str]) -> None:
    confirm_now(tiny_home, NAME)
    counts.clear()
    publish_report(tiny_home, NAME)
    assert counts == {"opened": 1, "loaded": 1}
