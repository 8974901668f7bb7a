"""Numbers with their nouns."""

from __future__ import annotations

from sweep.util.words import count


def test_one_and_many() -> None:
    assert [count(number, "sweep") for number in (0, 1, 2)] == ["0 sweeps", "1 sweep", "2 sweeps"]
    assert count(1519, "fold") == "1,519 folds"
    assert count(2, "trial is", "trials are") == "2 trials are"
