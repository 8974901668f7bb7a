"""Uses of the same cases, counted over sweeps and homes, and what each of them may decide at."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from confirming import confirm_now, kept_confirmation
from tiny_sweep import NAME, home_at

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.errors import StoreError
from sweep.confirm import confirm
from sweep.errors import GateRefused, HoldoutUsed
from sweep.ledger import list_sweeps
from sweep.ledger.evidence import Evidence
from sweep.promotion.gate import verdict
from sweep.promotion.promote import promote
from sweep.promotion.spending import MAX_USES, TOTAL_ERROR, confidence_of
from sweep.storage.holdout_uses import PLACE, note_use, noted_uses
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep


@pytest.fixture
def store(tiny_home: Home, trained_home: Home) -> Path:
    """Of `tiny_home`; nothing of it was used."""
    return trained_home.folder.parent / "store"


def holdout(home: Home) -> tuple[str, ...]:
    return FoldPlan.load(home.sweep_folder(NAME) / "plan.json").holdout


def test_all_uses_together_spend_less_than_the_whole() -> None:
    """The lower end of a two-sided interval errs in half of what its confidence leaves."""
    errors = [(1 - confidence_of(use)) / 2 for use in range(1, 1001)]
    assert errors[0] == pytest.approx(0.025)
    assert errors == sorted(errors, reverse=True)
    assert sum(errors) == pytest.approx(TOTAL_ERROR, rel=0.001)
    assert sum(errors) < TOTAL_ERROR


def test_a_home_that_shares_the_store_uses_the_same_cases(
    tiny_home: Home, tmp_path: Path, store: Path
) -> None:
    other = home_at(tmp_path / "other")
    shutil.copytree(tiny_home.folder, other.folder)
    first = confirm_now(tiny_home, NAME)
    assert (first.num_uses, first.confidence) == (1, 0.95)
    assert first.span("dice").startswith("95% interval")
    second = confirm_now(other, NAME)
    assert (second.use, second.num_uses) == (1, 2)
    assert second.confidence == pytest.approx(1 - 0.1 / 6)
    assert second.span("dice").startswith("98.33% interval")
    for key in ("gain", "difference"):
        assert second.intervals[key][0] < first.intervals[key][0]
    assert second.metrics == first.metrics
    # What was decided at the first use stays so.
    again = kept_confirmation(tiny_home, NAME)
    assert again is not None
    assert (again.num_uses, again.confidence) == (1, 0.95)
    noted = noted_uses(str(store))
    assert set(map(len, noted.values())) == {first.num_cases}
    assert set.union(*map(set, noted.values())) == set(holdout(tiny_home))


def test_a_use_in_the_ledger_and_beside_the_store_counts_once(tiny_home: Home) -> None:
    digest = confirm_now(tiny_home, NAME).holdout_digest
    other = Evidence(tiny_home.ledger_url, "of-an-earlier-version")  # which noted nothing
    other.begin(purpose="its own winner", git_sha="", holdout_digest=digest, trials=[4])
    assert confirm_now(tiny_home, NAME, again=True).num_uses == 3


def test_another_plan_spends_the_cases_that_it_shares(tiny_home: Home, store: Path) -> None:
    """Counted case by case: two hold-outs with no case in common are one use, not two."""
    cases = holdout(tiny_home)
    note_use(str(store), "a", cases[:2])
    note_use(str(store), "b", [cases[1], "0" * 16])
    note_use(str(store), "c", [cases[-1]])
    assert confirm_now(tiny_home, NAME).num_uses == 3


def test_a_store_that_cannot_be_written_to_is_counted_in_the_ledger_alone(
    tiny_home: Home, store: Path
) -> None:
    (store / PLACE).write_text("a file in the folder's place")
    try:
        found = confirm_now(tiny_home, NAME)
        assert (found.num_uses, found.is_count_shared) == (1, False)
        assert confirm_now(tiny_home, NAME, again=True).num_uses == 2
    finally:
        (store / PLACE).unlink()
    with Sweep.open(tiny_home, NAME) as sweep:
        (caution,) = [
            text for text in verdict(found, sweep.projection).cautions if "ledger alone" in text
        ]
    assert caution.startswith("the case store cannot be written to")


def test_a_damaged_record_refuses_and_spends_nothing(tiny_home: Home, store: Path) -> None:
    (store / PLACE).mkdir()
    (store / PLACE / "a.json").write_text('{"cases":')
    with pytest.raises(StoreError, match="not known how often the hold-out was used; restore"):
        confirm_now(tiny_home, NAME)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []


def test_a_hold_out_that_is_used_up_is_not_opened(tiny_home: Home, store: Path) -> None:
    for number in range(MAX_USES):
        note_use(str(store), f"use-{number}", holdout(tiny_home))
    with pytest.raises(GateRefused, match="found 20 uses of the same cases, expected fewer than"):
        promote(tiny_home, NAME)
    with pytest.raises(GateRefused, match="found 20 uses of the same cases, expected fewer than"):
        confirm(tiny_home, NAME)  # nor is anything trained for it
    assert list_sweeps(tiny_home.ledger_url) == [NAME]
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []
    assert len(noted_uses(str(store))) == MAX_USES
    forced = promote(tiny_home, NAME, force=True, reason="no other cases")
    assert forced.confirmation.num_uses == MAX_USES + 1
    assert forced.confirmation.confidence == pytest.approx(1 - 0.1 / (21 * 22))
    with pytest.raises(HoldoutUsed, match="used 1 time"):
        confirm_now(tiny_home, NAME)


def test_the_record_holds_ids_of_cases_and_nothing_else(tiny_home: Home, store: Path) -> None:
    confirm_now(tiny_home, NAME)
    (path,) = (store / PLACE).iterdir()
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content == {"cases": sorted(holdout(tiny_home))}
    (use,) = Evidence(tiny_home.ledger_url, NAME).uses()
    assert path.stem == use.id
