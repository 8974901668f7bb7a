"""The card of a model: every item of every checklist is answered, by what the evidence holds."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from synthetic_sweeps import SPACE, run_sweep
from tiny_sweep import home_at

from ptxcore.pretrained import PACKAGE, SHA256
from sweep.cli import main
from sweep.errors import UsageError
from sweep.promotion.card import StoredCard, make_card, stored_card
from sweep.promotion.card._card import card_of
from sweep.promotion.card._checklists import Status, checklists
from sweep.promotion.card._evidence import CardEvidence, gather
from sweep.promotion.card._facts import known
from sweep.promotion.card._stored import since
from sweep.promotion.promote import Gate, promote
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep

MODEL = "models:/ptxsweep-phantom-average_precision@champion"
#: What every sweep's header has that begins today; the tiny one's is shorter.
HEADER: dict[str, Any] = {
    "space_text": SPACE,
    "space_digest": "e" * 64,
    "version": "1.0",
    "git_sha": "a" * 40,
    "created_at": "2027-01-15T08:00:00+00:00",
    "versions": {"torch": "2.13.0", "monai": "1.6.1"},
    "environment": ["torch==2.13.0", "monai==1.6.1"],
    "cohort": {
        "cases": "all", "num_cases": 48, "num_positive": 24, "num_groups": 48, "groups": "image",
        "num_store_cases": 50, "num_store_positive": 24, "holdout_fraction": 0.3,
        "num_holdout": 14, "num_holdout_positive": 7, "num_holdout_groups": 14,
        "monitor_fraction": 0.15, "num_monitor": 6,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def promoted(
    trained_home: Home, mlflow_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Home:
    """A champion with its card; read it only."""
    # Other files of tests may have opened the same cases before, in the same process.
    shutil.rmtree(trained_home.folder.parent / "store" / "holdout_uses", ignore_errors=True)
    folder = tmp_path_factory.mktemp("promoted") / "home"
    shutil.copytree(trained_home.folder, folder)
    shutil.copy(mlflow_template, folder / "mlflow.db")
    home = home_at(folder)
    promote(home, "tiny", gate=Gate(max_loss=1.0))
    return home


@pytest.fixture(scope="module")
def evidence(promoted: Home) -> CardEvidence:
    """What is known of it, and a header that is whole."""
    with Sweep.open(promoted, "tiny") as sweep:
        found = gather(sweep)
    found.projection.header = dataclasses.replace(found.projection.header, **HEADER)
    return dataclasses.replace(found, space={"parameters": {"learning_rate": {}}})


def judged(evidence: CardEvidence, **kept: Any) -> str:
    """The card where the gate said something else."""
    return card_of(dataclasses.replace(evidence, judged=kept)).markdown


def test_checklists_have_the_items_that_were_published() -> None:
    claim, tripod, metrics = checklists()
    assert [item.number for item in claim.items] == [str(number) for number in range(1, 45)]
    assert {int(re.sub("[a-g]$", "", item.number)) for item in tripod.items} == set(range(1, 28))
    assert len(tripod.items) == 52
    assert len({item.number for item in metrics.items}) == len(metrics.items) == 31
    for item in (*claim.items, *tripod.items, *metrics.items):
        assert bool(item.because) != bool(item.facts or item.author), item


def test_every_item_that_the_evidence_can_fill_is_filled(evidence: CardEvidence) -> None:
    card = card_of(evidence)
    for checklist, answered in zip(checklists(), card.checklists, strict=True):
        for item, found in zip(checklist.items, answered.items, strict=True):
            expected = Status.FILLED if item.facts else Status.OPEN
            assert found.status is (Status.NOT_APPLICABLE if item.because else expected), item
            assert found.text or found.author
    assert [found.count(Status.OPEN) for found in card.checklists] == [7, 12, 1]


def test_every_fact_is_used_and_every_key_is_a_fact(evidence: CardEvidence) -> None:
    asked = {key for found in checklists() for item in found.items for key in item.facts}
    assert asked == set(known(evidence))


def test_the_registered_model_has_the_card(
    promoted: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = stored_card(promoted, MODEL)
    with Sweep.open(promoted, "tiny") as sweep:
        now = make_card(sweep)
    assert kept.text == kept.markdown == now.markdown
    assert kept.values == json.loads(json.dumps(dataclasses.asdict(now)))

    where = ("--home", str(promoted.folder), "--tracking-uri", promoted.tracking_uri)
    where += ("--storage", str(promoted.storage))
    assert main(["card", MODEL, *where]) == 0
    assert capfd.readouterr().out == kept.text
    out = tmp_path / "card.md"
    assert main(["card", "tiny", *where, "--out", str(out), "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert out.read_text(encoding="utf-8") == kept.text
    assert shown == kept.values


def test_it_says_what_was_found(evidence: CardEvidence) -> None:
    text = card_of(evidence).markdown
    assert evidence.judged
    assert evidence.confirmation
    assert all(sentence in text for sentence in evidence.verdict.sentences)
    assert all(check["found"] in text for check in evidence.judged["checks"])
    assert f"Gate {evidence.judged['gate']['name']}" in text
    assert evidence.confirmation.holdout_digest in text
    assert evidence.confirmation.stated_span("gain") in text
    for words in (
        "## 1. Description of modifications",
        "| learning_rate |",
        "## 2. Modification protocol",
        "## 3. Impact assessment",
        "The gate asked for less than usual: max_loss 1 (usually 0.02).",
        "## 4. Limits",
        "Each image was taken as a patient of its own",
        "drawn by a program, not taken from patients",
        "Not for clinical use",
        "torch 2.13.0, monai 1.6.1",
        "Dice above predicting nothing",
    ):
        assert words in text, words
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5, 6)


def test_a_forced_model_says_so(evidence: CardEvidence) -> None:
    check = {"name": "dice", "passed": False, "found": "0.1 | 0.2", "expected": "more"}
    text = judged(evidence, passed=False, forced=True, reason="a test", checks=[check])
    assert "The gate refused this model." in text
    assert "It was promoted against the gate: a test." in text
    assert "| **FAILED** | dice | 0.1 \\| 0.2 | more |" in text


def test_it_says_what_the_network_had_learned_before(evidence: CardEvidence) -> None:
    winner = evidence.winner
    assert winner is not None
    assert "no pretrained weights" in card_of(evidence).markdown
    assert "coarsest level" not in card_of(evidence).markdown
    settings = {**winner.settings, "encoder": "efficientnet_lite0", "case_head": True}
    encoded = dataclasses.replace(winner, settings=settings)
    text = card_of(dataclasses.replace(evidence, winner=encoded)).markdown
    assert f"package {PACKAGE}, SHA-256 {SHA256}" in text
    assert "no pretrained weights" not in text
    assert "encoder efficientnet_lite0" in text
    assert "one logit an image from its coarsest level" in text


def test_a_sweep_without_a_winner_or_a_hold_out_has_a_card(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    run_sweep(url, num_trials=1, num_completions=1, header={"space_text": None}).close()
    home = Home.from_environment(tmp_path)
    with Sweep.open(home, "synthetic") as sweep:
        card = make_card(sweep)
    assert not card.is_confirmed
    assert "Not scored there yet." in card.markdown
    assert "The search space is not in the ledger." in card.markdown
    assert "Groups of cases, of the folds" in card.markdown
    claim = {answer.number: answer for answer in card.checklists[0].items}
    assert claim["32"].status is Status.OPEN
    assert claim["32"].author == "the evidence of this sweep does not hold it"
    assert not re.search(r"\bnan\b", card.markdown)


def test_what_an_older_version_kept_of_a_verdict_is_enough(evidence: CardEvidence) -> None:
    text = judged(evidence, checks=[], passed=True)
    assert "Asked at an unknown time by an unknown person." in text


def test_a_model_without_a_card_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"found no card\.md and no card\.json, expected the card"):
        stored_card(Home.from_environment(tmp_path), str(tmp_path))


def test_what_became_of_a_model_stands_at_the_end() -> None:
    decided = {"decision": "approved", "at": "today", "by": "b@c", "signature": "s"}
    back = {"at": "then", "model": "m", "from": "2", "to": "1", "by": "a@b", "reason": "worse"}
    tags = {"ptxsweep.decision": json.dumps(decided), "ptxsweep.rollback": json.dumps(back)}
    card = StoredCard(markdown="# Card\n", values={}, since=since(tags))
    assert card.text == (
        "# Card\n\n# Since it was registered\n\n"
        "- On today it was approved (by b@c, signed; no reason given).\n"
        "- On then m went back from version 2 to version 1 (by a@b; because: worse).\n"
    )
    assert since({"ptxsweep.decision": "[1]", "ptxsweep.rollback": "no JSON"}) == ()


def test_a_confirmed_sweep_shows_the_search_and_the_fresh_folds(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    run_sweep(url, num_trials=4, num_completions=2).close()
    fresh = {"confirms": "synthetic", "space_text": None}
    run_sweep(
        url, "synthetic.confirm", num_trials=2, num_completions=2, seed=2, header=fresh
    ).close()
    assert main(["card", "synthetic", "--home", str(tmp_path)]) == 0
    text = capfd.readouterr().out
    assert text.startswith("# Model card: sweep synthetic.confirm, ")
    searched, _, own = text.partition("### On fresh folds")
    assert "| learning_rate | 0.0001 to 0.01, logarithmic | 0.001 |" in searched
    assert "won with an average precision of" in searched.partition("### In the search")[2]
    assert own.lstrip("\n- ").startswith("Confirmed score: ")
