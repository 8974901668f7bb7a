"""Metrics of masks stand at the threshold from the other folds, everywhere the same."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from tiny_sweep import NAME, home_at

from dashboards.report.findings import find
from ptxcore.metrics import build_table, leave_one_fold_out, save_table, summarize
from ptxcore.types import NUM_LOGIT_BINS, CaseTable
from sweep.analysis.compare import compare
from sweep.analysis.operating_point import NOTE, fill, keeper, known_point, rule_of
from sweep.cli import main
from sweep.ledger import Ledger
from sweep.ledger.header import SweepHeader
from sweep.mlflow.view import MlflowView, connect
from sweep.policies import make_policy
from sweep.records import Epoch, FoldScore, State
from sweep.report import operating_points, publish_report
from sweep.search.controller import Controller
from sweep.search.stop_rules import make_stop_rule
from sweep.space import parse_space
from sweep.storage.home import Home

SPACE = """
name: tables
objective: {metric: average_precision}
folds: 3
policy: {name: standard, num_trials: 1}
pruner: {name: none}
parameters:
  x: {type: float, low: 0.0, high: 1.0, default: 0.5}
"""


def test_every_view_has_the_same_dice_and_names_its_rule(
    tiny_home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    """Report, show, compare and MLflow of a sweep that was trained; its ledger is an older one."""
    words = ["--home", str(tiny_home.folder), "--json"]
    assert main(["show", NAME, *words]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert main(["compare", NAME, *words]) == 0
    compared = json.loads(capfd.readouterr().out)["comparisons"]
    ledger = Ledger.open(tiny_home.ledger_url, NAME)
    assert not any(one.notes for one in ledger.projection.trials)
    published = publish_report(tiny_home, NAME)
    found = find(
        ledger.projection, operating_points(ledger.projection, tiny_home.sweep_folder(NAME))
    )
    best = shown["trials"][shown["best"]]
    dice = best["metrics"]["dice"]["mean"]
    fixed = best["fixed_metrics"]["dice"]["mean"]
    assert dice != pytest.approx(fixed)
    assert (best["metrics"]["dice"]["threshold"], best["fixed_metrics"]["dice"]["threshold"]) == (
        "other folds",
        "fixed",
    )
    assert best["metrics"]["average_precision"]["threshold"] == "none"

    (table,) = (one for one in compared if one["metric"] == "dice")
    assert table["threshold"] == "other folds"
    (row,) = (one for one in table["trials"] if one["number"] == shown["best"])
    assert row["interval"]["mean"] == pytest.approx(dice)

    reported = found.row("dice")
    assert reported is not None
    assert (reported.winner.mean, reported.threshold) == (pytest.approx(dice), "other folds")
    text = published.path.read_text(encoding="utf-8")
    assert f"{dice:.3f}" in text
    assert "threshold from the other folds" in text
    assert published.tuned_metrics is not None
    assert published.tuned_metrics["dice"]["mean"] == pytest.approx(dice)

    view = MlflowView.for_sweep(tiny_home, NAME)
    view.sync(ledger, final=True)
    client = connect(tiny_home.tracking_uri)
    parent = client.get_run(str(view.run_id))
    child = client.get_run(parent.data.tags["ptxsweep.winner_run_id"])
    for run in (parent, child):
        assert run.data.metrics["dice_both_empty_1"] == pytest.approx(dice)
        assert run.data.tags["ptxsweep.threshold"] == "threshold from the other folds"
        file = client.download_artifacts(run.info.run_id, "metrics.json")
        rows = json.loads(Path(file).read_text(encoding="utf-8"))["data"]
        means = {row[1]: row[2] for row in rows if row[0] == "dice"}
        assert means == {
            "threshold from the other folds": pytest.approx(dice, rel=1e-4),
            "fixed threshold 0.5": pytest.approx(fixed, rel=1e-4),
        }
    ledger.close()


def test_show_names_the_rule_beside_each_number(
    tiny_home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", NAME, "--home", str(tiny_home.folder)]) == 0
    lines = capfd.readouterr().out.splitlines()
    (dice,) = (line for line in lines if line.startswith("  dice "))
    assert dice.endswith("(threshold from the other folds)")
    (distance,) = (line for line in lines if line.startswith("  hausdorff95_mm "))
    assert distance.endswith("(lower is better, fixed threshold 0.5)")
    (score,) = (line for line in lines if line.startswith("  average_precision "))
    assert "threshold" not in score


def table(fold: int, *, shift: int = 0) -> CaseTable:
    """Ten cases, four of them positive and found with too many pixels, some more than others.

    A `shift` makes all logits smaller, so that another threshold gives the very same masks.
    """
    rows = []
    for case in range(10):
        truth, background = (np.zeros(NUM_LOGIT_BINS, dtype=np.int64) for _ in range(2))
        background[60 - shift] = 900
        if case < 4:
            truth[150 - shift] = 60
            background[150 - shift] = 10 * (case + fold + 1)
        rows.append((truth, background))
    return build_table([f"{fold}-{case}" for case in range(10)], rows)


def score(folder: Path, number: int, fold: int, cases: CaseTable) -> FoldScore:
    name = f"trials/{number:04d}/fold-{fold}/cases.npz"
    (folder / name).parent.mkdir(parents=True)
    save_table(folder / name, cases)
    metrics = summarize(cases)
    return FoldScore(
        trial=number, fold=fold, attempt=1, seconds=1.0,
        value=metrics["average_precision"], score=metrics["average_precision"],
        num_epochs=1, best_epoch=1, metrics=metrics, cases=name,
    )  # fmt: skip


def epoch(fold: int) -> Epoch:
    return Epoch(trial=0, fold=fold, attempt=1, epoch=1, value=0.5, seconds=1.0)


def laid_out(home: Home, metric: str = "average_precision") -> Ledger:
    space = parse_space(SPACE, "tables.yaml")
    header = SweepHeader(
        metric=metric, maximize=True, num_folds=3, seed=0,
        space_text=space.text,
    )  # fmt: skip
    ledger = Ledger.create(home.ledger_url, "tables", header=header)
    ledger.acquire("test")
    return ledger


def make_controller(ledger: Ledger, folder: Path) -> Controller:
    policy = make_policy("standard", {"num_trials": 1}, 3)
    return Controller(
        ledger, parse_space(SPACE, "tables.yaml"), policy, make_stop_rule(1, None, 3), seed=0,
        final_notes=keeper(folder, lambda one: None),
    )  # fmt: skip


def run(controller: Controller, folder: Path, folds: Sequence[int]) -> State:
    for fold in folds:
        if fold == 0:
            controller.add_trial()
        else:
            controller.start(0)
        state = controller.on_fold(score(folder, 0, fold, table(fold)), epoch(fold))
    return state


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_at(tmp_path)


def test_the_ledger_keeps_it_when_a_trial_is_complete(home: Home, tmp_path: Path) -> None:
    """No table is needed afterwards."""
    ledger = laid_out(home)
    assert (
        run(make_controller(ledger, tmp_path / "sweep"), tmp_path / "sweep", range(3))
        == State.COMPLETE
    )
    ledger.close()
    again = Ledger.open(home.ledger_url, "tables")
    (one,) = again.projection.trials
    point = known_point(one)
    assert point is not None
    _, metrics = leave_one_fold_out([table(fold) for fold in range(3)])
    assert point.to_stored() == one.notes[NOTE]
    assert set(one.notes[NOTE]["rule"]) == {"top", "min_area", "bottom"}
    assert [fold["dice"] for fold in point.folds] == [fold["dice"] for fold in metrics]
    assert (rule_of(one, "dice"), rule_of(one, "average_precision")) == ("other folds", "none")
    assert rule_of(one, "hausdorff95_mm") == "fixed"  # measured under that rule alone
    again.close()


def test_a_driver_that_died_before_the_end_costs_nothing(home: Home, tmp_path: Path) -> None:
    """The last score was committed, the end was not."""
    ledger, folder = laid_out(home), tmp_path / "sweep"
    controller = make_controller(ledger, folder)
    run(controller, folder, range(2))
    controller.start(0)
    ledger.finish_fold(score(folder, 0, 2, table(2)), epoch(2))
    make_controller(ledger, folder)
    (one,) = ledger.projection.trials
    assert one.state is State.COMPLETE
    assert known_point(one) is not None
    ledger.close()


def test_a_damaged_table_is_said_and_the_rule_is_the_fixed_one(
    home: Home, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger, folder = laid_out(home), tmp_path / "sweep"
    controller = make_controller(ledger, folder)
    run(controller, folder, range(2))
    (folder / "trials/0000/fold-0/cases.npz").write_bytes(b"no table")
    with caplog.at_level(logging.WARNING, logger="sweep"):
        assert run(controller, folder, [2]) == State.COMPLETE
    (one,) = ledger.projection.trials
    assert NOTE not in one.notes
    assert rule_of(one, "dice") == "fixed"
    assert "trial 0 stays at the fixed threshold" in caplog.text
    ledger.close()


def test_a_difference_that_is_only_the_thresholds_is_none(home: Home, tmp_path: Path) -> None:
    """The same masks at another threshold: at the fixed one, trial 1 finds nothing at all."""
    ledger, folder = laid_out(home), tmp_path / "sweep"
    rates = {"x": FloatDistribution(0.0, 1.0)}
    for number in range(2):
        ledger.add_trial({"x": number / 2}, rates)
        for fold in range(3):
            ledger.start_fold(number, fold)
            ledger.finish_fold(score(folder, number, fold, table(fold, shift=50 * number)))
        ledger.end(number, State.COMPLETE)
    fixed = compare(ledger.projection, metric="dice")
    assert fixed.threshold == "fixed"
    assert fixed.trials[1].p_adjusted < 0.05
    fill(ledger.projection, folder)
    deployed = compare(ledger.projection, metric="dice")
    assert deployed.threshold == "other folds"
    assert deployed.trials[1].difference is not None
    assert deployed.trials[1].difference.mean == 0.0
    assert deployed.trials[1].p_adjusted == 1.0
    assert math.isnan(deployed.trials[0].p_adjusted)
    assert compare(ledger.projection).threshold == "none"  # average precision
    del ledger.projection.trials[1].notes[NOTE]
    assert compare(ledger.projection, metric="dice").threshold == "fixed"  # one rule for all
    ledger.close()


def test_an_objective_of_masks_stands_as_ranked_and_as_deployed(
    home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    """The search has nothing but the fixed threshold to rank by; both are shown, and named."""
    ledger, folder = laid_out(home, "dice"), home.sweep_folder("tables")
    run(make_controller(ledger, folder), folder, [0, 1])
    ledger.start_fold(0, 2)
    ledger.finish_fold(score(folder, 0, 2, table(2, shift=50)))
    make_controller(ledger, folder).close("done")
    found = find(ledger.projection, operating_points(ledger.projection, folder))
    ledger.close()
    assert found.objective is not None
    ranked, deployed = found.objective, found.row("dice")
    assert deployed is not None
    assert (ranked.threshold, deployed.threshold) == ("fixed", "other folds")
    assert ranked.winner.mean != pytest.approx(deployed.winner.mean)

    words = ["tables", "--home", str(home.folder)]
    assert main(["compare", *words, "--json"]) == 0
    tables = json.loads(capfd.readouterr().out)["comparisons"]
    means = {
        (one["metric"], one["threshold"]): one["trials"][0]["interval"]["mean"] for one in tables
    }
    assert means["dice", "fixed"] == pytest.approx(ranked.winner.mean)
    assert means["dice", "other folds"] == pytest.approx(deployed.winner.mean)
    assert main(["show", *words]) == 0
    shown = capfd.readouterr().out
    assert "dice (fixed threshold)" in shown
    assert f"objective            {ranked.winner.mean:.4f} (dice, fixed threshold 0.5)" in shown
    assert f"dice                 {deployed.winner.mean:.4f} +- " in shown
