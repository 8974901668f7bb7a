"""A search, its best trials on fresh folds, and the hold-out once; killed on the way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import ptxsweep, start_ptxsweep
from tiny_sweep import home_at

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore
from sweep.analysis.confirmed import cross_selected
from sweep.confirm import confirm
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.ledger.evidence import Evidence
from sweep.mlflow.view import connect
from sweep.promotion.promote import promote
from sweep.report import publish_report
from sweep.storage.holdout_uses import noted_uses


@pytest.mark.slow
def test_confirm_is_killed_goes_on_and_is_promoted(
    tmp_path: Path, phantom_store: Path, space_file: Callable[..., Path]
) -> None:
    home, url = tmp_path / "home", f"sqlite:///{tmp_path / 'home' / 'ledger.db'}"
    here = home_at(home)
    words = ("--store", phantom_store, "--precision", "float32", "--holdout-fraction", "0.3")
    searched = ptxsweep("run", space_file("standard", 1), *words, home=home)
    assert searched["state"] == "finished"
    before = noted_uses(str(phantom_store)).keys()

    driver = start_ptxsweep("confirm", "tiny", "--top", "1", home=home, log=tmp_path / "log")
    # By the fold's file: opening the ledger takes so long on a busy machine that all is over then.
    while not any(home.glob("sweeps/tiny.confirm/trials/*/fold-*/attempt-*/result.json")):
        assert driver.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    with pytest.raises(UsageError, match="is being confirmed on fresh folds"):
        promote(here, "tiny")
    with pytest.raises(UsageError, match=r"--top: found 3, but tiny\.confirm was begun"):
        confirm(here, "tiny", top=3)
    assert noted_uses(str(phantom_store)).keys() == before

    found = ptxsweep("confirm", "tiny", home=home)
    assert found["summary"]["state"] == "finished"
    search, fresh = Ledger.open(url, "tiny"), Ledger.open(url, "tiny.confirm")
    assert fresh.header.confirms == "tiny"
    _check_folds(home, phantom_store)
    best = sorted(search.projection.trials, key=lambda trial: -trial.mean)[:1]
    wanted = [search.projection.trials[0], *(trial for trial in best if not trial.is_default)]
    trials = fresh.projection.trials
    assert [trial.settings for trial in trials] == [trial.settings for trial in wanted]
    assert {len(trial.folds) for trial in trials} == {3}
    score, holdout = found["score"], found["holdout"]
    rows = [[trial.folds[fold].score for fold in range(3)] for trial in trials]
    assert score["confirmed_score"] == pytest.approx(cross_selected(rows))
    assert score["search_score"] == pytest.approx(best[0].mean)
    assert (holdout["sweep"], holdout["use"]) == ("tiny.confirm", 1)
    assert Evidence(url, "tiny").uses() == []
    (use,) = Evidence(url, "tiny.confirm").uses()
    assert noted_uses(str(phantom_store)).keys() - before == {use.id}

    again = confirm(here, "tiny")
    assert again.score.confirmed_score == pytest.approx(score["confirmed_score"])
    assert again.holdout is not None
    assert again.holdout.timestamp == holdout["timestamp"]
    assert len(Evidence(url, "tiny.confirm").uses()) == 1  # opened once
    promoted = promote(here, "tiny", force=True, reason="of the test")
    assert (promoted.sweep, promoted.trial) == ("tiny.confirm", holdout["trial"])
    assert promoted.confirmation.use == 1
    client = connect(f"sqlite:///{home / 'mlflow.db'}")
    places = [place.experiment_id for place in client.search_experiments()]
    (run,) = client.search_runs(places, "tags.mlflow.runName = 'tiny'")
    assert run.data.metrics["confirmed/score"] == pytest.approx(score["confirmed_score"])
    assert "Confirmed score" in publish_report(here, "tiny").path.read_text(encoding="utf-8")


def _check_folds(home: Path, place: Path) -> None:
    """Same hold-out, other folds, and no patient of the one in the other."""
    plans = [
        FoldPlan.load(home / "sweeps" / name / "plan.json") for name in ("tiny", "tiny.confirm")
    ]
    search, fresh = plans
    assert fresh.holdout == search.holdout
    assert set(map(frozenset, fresh.search.folds)).isdisjoint(map(frozenset, search.search.folds))
    groups = {case.case_id: case.group for case in CaseStore.open(place).cases}
    trained = [name for fold in fresh.search.folds for name in fold]
    assert {groups[name] for name in trained}.isdisjoint(groups[name] for name in fresh.holdout)
    assert sorted(trained) == sorted(name for fold in search.search.folds for name in fold)
    of_fold = [{groups[name] for name in fold} for fold in fresh.search.folds]
    assert sum(map(len, of_fold)) == len(set().union(*of_fold))
    worker = (home / "sweeps" / "tiny.confirm" / "search_plan.json").read_text(encoding="utf-8")
    assert not any(name in worker for name in fresh.holdout)
