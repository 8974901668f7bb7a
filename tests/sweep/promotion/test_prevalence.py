"""A rule for the user's own prevalence, fixed before the hold-out is opened."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confirming import confirm_now, kept_confirmation
from projections import projection
from tiny_sweep import NAME

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.metrics import choose_rule, concatenate, load_table, per_case_dice
from sweep.analysis.expected_dice import promised_dice
from sweep.cli import main
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.ledger.evidence import Evidence
from sweep.mlflow.view import connect
from sweep.promotion.judge import require_prevalence
from sweep.promotion.promise import promise, require_both_kinds
from sweep.storage.home import Home

P = 0.05


def call(home: Home, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    where = ["--home", home.folder, "--ledger", home.ledger_url, "--storage", home.storage]
    where += ["--tracking-uri", home.tracking_uri]
    capfd.readouterr()
    code = main([*words, *map(str, where), "--json"])
    shown = capfd.readouterr()
    return code, json.loads(shown.out) if shown.out else None, shown.err


def test_the_rule_comes_from_the_folds_alone_and_what_it_promises_too(tiny_home: Home) -> None:
    found = confirm_now(tiny_home, NAME, prevalence=P)
    folder = tiny_home.sweep_folder(NAME)
    ledger = Ledger.open(tiny_home.ledger_url, NAME)
    plan, store = FoldPlan.load(folder / "plan.json"), CaseStore.open(Path(ledger.header.store))
    best = ledger.projection.trials[found.trial]
    ledger.close()
    tables = [load_table(folder / str(best.folds[fold].cases)) for fold in range(2)]
    assert not set(plan.holdout) & set(concatenate(tables).case_ids.tolist())
    assert found.rule == choose_rule(concatenate(tables), P)
    groups = {case.case_id: case.group for case in store.cases}
    assert found.promised == promised_dice(tables, groups, P) == promise(tiny_home, NAME, P)
    locked = load_table(folder / "confirmation" / "use-1" / f"{found.trial:04d}.npz")
    dice, positive = per_case_dice(locked, found.rule), locked.truth.sum(1) > 0
    assert found.expected is not None
    by_hand = P * dice[positive].mean() + (1 - P) * dice[~positive].mean()
    assert found.expected.dice[0] == pytest.approx(by_hand)
    assert found.expected.all_empty == 1 - P
    assert found.metrics["dice"] == pytest.approx(dice.mean())  # the gate's are those of the cases
    assert found.prevalence == P
    (said,) = found.cautions
    assert said.startswith("the rule is chosen for a prevalence of 5.0%, and the gate decides on")
    again = kept_confirmation(tiny_home, NAME)
    assert again is not None
    for key in ("promised", "expected", "rule", "at_prevalence", "cautions"):
        np.testing.assert_equal(getattr(again, key), getattr(found, key))


def test_without_one_nothing_is_said_of_a_prevalence(tiny_home: Home) -> None:
    found = confirm_now(tiny_home, NAME)
    assert (found.prevalence, found.at_prevalence, found.cautions) == (None, (), ())
    require_prevalence(found, None)
    with pytest.raises(UsageError, match="opened with a rule for the cases' own prevalence; leave"):
        require_prevalence(found, P)


def test_positive_cases_alone_are_refused_before_anything_is_trained() -> None:
    made = projection()
    header = dataclasses.replace(made.header, cohort={"num_cases": 9, "num_positive": 9})
    with pytest.raises(UsageError, match=r"--prevalence: found 0\.05 for a sweep over positive"):
        require_both_kinds(dataclasses.replace(made, header=header), P)
    require_both_kinds(made, P)  # where it is not known, the cases tell


def test_from_a_promise_to_a_model(tiny_home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    code, shown, _ = call(tiny_home, capfd, "show", NAME, "--prevalence", f"{P}")
    assert code == 0
    promised = shown["promised"]
    assert (promised["prevalence"], promised["all_empty"]) == (P, 1 - P)
    assert len(promised["dice"]) == len(promised["gain"]) == 3
    assert not Evidence(tiny_home.ledger_url, NAME).uses()  # a look that spends nothing
    words = ("promote", NAME, "--max-loss", "1", "--prevalence")
    code, promoted, said = call(tiny_home, capfd, *words, f"{P}")
    assert code == 0
    kept = promoted["confirmation"]
    assert kept["promised"] == promised
    assert kept["expected"]["prevalence"] == P
    assert "the rule is chosen for a prevalence of 5.0%" in said
    run = connect(tiny_home.tracking_uri, tiny_home.artifacts).get_run(promoted["run_id"]).data
    assert run.tags["ptxsweep.prevalence"] == "0.05"
    assert run.metrics["holdout/promised_dice"] == pytest.approx(promised["dice"][0])
    assert run.metrics["holdout/expected_dice"] == pytest.approx(kept["expected"]["dice"][0])
    model = f"models:/{promoted['model_name']}@champion"
    ledger = Ledger.open(tiny_home.ledger_url, NAME)
    store = str(ledger.header.store)
    ledger.close()
    evaluate = ("evaluate", model, "--store", store, "--allow-seen")
    code, scored, _ = call(tiny_home, capfd, *evaluate)
    assert code == 0
    assert scored["facts"]["promised_dice"] == promised
    assert scored["expected"]["prevalence"] == P  # what the model was tuned for
    assert scored["rule"] == kept["rule"]
    code, card, _ = call(tiny_home, capfd, "card", NAME)
    assert code == 0
    assert "On the hold-out, under the rule of all folds: at a prevalence of 5.0%" in json.dumps(
        card
    )
    code, _, said = call(tiny_home, capfd, *words, "0.3")
    assert code == 2
    assert "--prevalence: found 0.3, where the hold-out was opened with a rule for a" in said
    assert len(Evidence(tiny_home.ledger_url, NAME).uses()) == 1
