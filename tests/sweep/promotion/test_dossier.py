"""What a reviewer is shown, and a decision about what was seen and nothing newer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from confirming import confirm_now
from tiny_sweep import NAME, copy_sweep

from ptxcore.errors import StoreError
from ptxcore.metrics import per_case_dice
from sweep.errors import ChampionMoved, UnknownSweep, UsageError
from sweep.ledger.evidence import Evidence
from sweep.promotion.approval import approve, ask_for_more, reject
from sweep.promotion.dossier import gather
from sweep.promotion.move import happened
from sweep.promotion.opened_cases import OpenedCases, opened_table
from sweep.promotion.promote import promote
from sweep.storage.home import Home

MODEL = "ptxsweep-phantom-average_precision"


def as_user(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable in ("LOGNAME", "USER"):
        monkeypatch.setenv(variable, name)


def test_evidence_is_gathered_and_nothing_is_opened(
    tiny_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nothing", "no' name", MODEL):
        with pytest.raises(UnknownSweep, match="found"):
            gather(tiny_home, name)
    before = gather(tiny_home, NAME)
    assert before.evidence is not None
    assert (before.model.name, before.evidence.trial, before.evidence.confirmation) == (
        MODEL,
        1,
        None,
    )
    assert before.hindrances == (
        "nothing waits for a decision; `ptxsweep promote NAME --request` asks for one",
    )
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []
    as_user(monkeypatch, "alice")
    asked = promote(tiny_home, NAME, request=True)
    seen = gather(tiny_home, MODEL)
    assert seen == gather(tiny_home, NAME)
    assert (seen.hindrances, seen.verdict, seen.champion) == ((), asked.verdict, None)
    assert seen.challenger is not None
    assert (seen.challenger.number, seen.challenger.sweep) == ("1", NAME)
    assert seen.evidence is not None
    assert seen.evidence.confirmation == asked.confirmation
    table = opened_table(tiny_home, asked.confirmation)
    assert per_case_dice(table, asked.confirmation.rule).mean() == pytest.approx(
        asked.confirmation.metrics["dice"]
    )
    case = str(table.case_ids[0])
    shown = OpenedCases(tiny_home).segment(asked.confirmation, case)
    assert shown.image.shape == shown.truth.shape == shown.prediction.shape == (32, 32)
    with pytest.raises(StoreError, match="found no case nothing"):
        OpenedCases(tiny_home).segment(asked.confirmation, "nothing")
    assert len(Evidence(tiny_home.ledger_url, NAME).uses()) == 1
    # A later use of the hold-out is not what this challenger was judged on.
    confirm_now(tiny_home, NAME, again=True)
    assert gather(tiny_home, NAME) == dataclasses.replace(
        seen,
        challenger=dataclasses.replace(seen.challenger, holdout_uses=2),
        model=gather(tiny_home, MODEL).model,
    )


def test_a_decision_is_about_what_was_seen(
    tiny_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_sweep(tiny_home, "weak", [0])
    as_user(monkeypatch, "alice")
    promote(tiny_home, NAME, request=True)
    first = gather(tiny_home, MODEL).model.revision
    as_user(monkeypatch, "bob")
    with pytest.raises(UsageError, match="ask for more: found no reason"):
        ask_for_more(tiny_home, MODEL, sweep=NAME, reason=" ", reviewer="Bob")
    ask_for_more(tiny_home, MODEL, sweep=NAME, reason="lateral\nviews?", reviewer="Bob")
    seen = gather(tiny_home, MODEL)
    assert seen.evidence is not None
    (question,) = seen.evidence.questions
    assert (question["reason"], question["reviewer"]) == ("lateral views?", "Bob")
    assert seen.model.revision == first  # nothing was decided
    reject(tiny_home, MODEL, reason="too soon", reviewer="Bob B.", revision=first)
    late = r"since model .* was looked at: .*rejection.*by bob@.*\(Bob B\.\); too soon"
    with pytest.raises(ChampionMoved, match=late):
        approve(tiny_home, MODEL, reviewer="Carol", revision=first)
    as_user(monkeypatch, "alice")
    promote(tiny_home, NAME, request=True)  # the same version once more
    as_user(monkeypatch, "carol")
    with pytest.raises(ChampionMoved, match=r"looked at: .*request.*nothing was decided"):
        approve(tiny_home, MODEL, reviewer="Carol", revision=first)
    now = gather(tiny_home, MODEL).model.revision
    done = approve(tiny_home, MODEL, reviewer="Carol", reason="seen", revision=now)
    assert done.decision == "approved"
    last = gather(tiny_home, MODEL)
    assert last.challenger is None
    assert last.champion is not None
    assert " (Carol); seen" in "; ".join(happened(last.model.history[-1]))
    as_user(monkeypatch, "alice")
    promote(tiny_home, "weak", request=True, force=True, reason="of the test")
    other = gather(tiny_home, NAME)
    assert other.challenger is None
    assert other.hindrances[0].startswith(f"version 2 of {MODEL}, from weak, waits for a decision")
    forced = gather(tiny_home, "weak")
    assert "the gate refused it, and it was asked for with `--force`" in forced.hindrances[0]


def test_without_mlflow_the_ledger_speaks(tiny_home: Home) -> None:
    promote(tiny_home, NAME, request=True)
    Path(tiny_home.tracking_uri.removeprefix("sqlite:///")).unlink()
    seen = gather(tiny_home, MODEL)
    assert (seen.challenger, seen.model.challenger) == (None, "1")
    assert seen.evidence is not None
    assert seen.evidence.confirmation is not None
    assert seen.verdict is not None
    assert "mlflow.db is not there; what is shown is what the ledger knows" in seen.hindrances[0]
