"""Choices for inference: one for all folds, no training spent, the same after a kill."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confirming import confirm_now
from hypothesis import given
from hypothesis import strategies as st
from in_process import make_controller
from projections import add, projection, start
from tiny_store import drawn_store
from tiny_sweep import home_at, make_header

from dashboards.report.sections import choices_table
from ptxcore.data.splits.fold_plan import FoldPlan, make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.inference import Ensemble
from ptxcore.inference.ensemble_folder import load_ensemble, write_ensemble
from ptxcore.metrics import load_table
from ptxcore.types import Runtime
from sweep.analysis.summary import summarise
from sweep.ledger import Ledger
from sweep.ledger.inference_choice import at_common, common_choice, values_by_choice
from sweep.mlflow.view._metrics import trial_metrics
from sweep.mlflow.view._tables import metrics_table
from sweep.policies import make_policy
from sweep.promotion.confirm import weight_folders
from sweep.ray.trainable import FoldTrainable, Job
from sweep.records import ChoiceScore, FoldFinished, FoldScore, RunFold
from sweep.search.optuna_views import fold_view
from sweep.space import SearchSpace, parse_space

SCORES = st.lists(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]), min_size=3, max_size=3),
    min_size=1,
    max_size=5,
)


@given(SCORES)
def test_the_common_choice_has_the_best_mean_and_comes_first_on_a_tie(
    scores: list[list[float]],
) -> None:
    means = np.array(scores).mean(axis=0)
    means[np.isnan(means)] = -np.inf
    assert common_choice(scores) == int(np.argmax(means))


def scored(fold: int, scores: tuple[float, ...]) -> FoldScore:
    choices = tuple(
        ChoiceScore(
            inference={"overlap": 0.25 * n},
            value=score,
            score=score,
            metrics={"dice": score},
            cases=f"{n}",
            seconds_per_image=0.1 * n,
        )
        for n, score in enumerate(scores, start=1)
    )
    return FoldScore(
        trial=0,
        fold=fold,
        attempt=1,
        value=scores[0],
        score=scores[0],
        seconds=1.0,
        num_epochs=1,
        best_epoch=1,
        choices=choices,
    )


def test_a_fold_that_changes_the_choice_moves_the_earlier_ones_for_everybody() -> None:
    made = projection()
    add(made)
    policy = make_policy("greedy", {"num_trials": 1}, 3)
    for fold, scores in enumerate([(0.5, 0.4), (0.2, 0.6), (0.3, 0.3)]):
        start(made, 0, fold)
        made.finish(scored(fold, scores), "then")
    first, second, third = (e for e in made.history if isinstance(e, FoldFinished))
    assert (first.score, first.revised) == (0.5, {})
    assert (second.score, second.revised) == (0.6, {0: 0.4})
    assert (third.score, third.revised) == (0.3, {})
    one = made.trials[0]
    assert one.inference == {"overlap": 0.5}
    assert {fold.cases for fold in one.folds.values()} == {"2"}
    assert {fold.usage["seconds_per_image"] for fold in one.folds.values()} == {0.2}
    assert one.mean == pytest.approx(1.3 / 3)
    steps = fold_view(made, raw=True, parked_count=True).trial(0).intermediate_values
    assert steps == {0: 0.4, 1: 0.6, 2: 0.3}
    for event in made.history:
        policy.observe(event)
    assert policy._trials[0].scores == steps  # type: ignore[attr-defined]
    html = choices_table(made, one)
    assert html is not None
    assert html.count('class="winner"') == 1
    assert "overlap 0.25" in html
    assert "overlap 0.5" in html
    assert at_common({0: one.folds[0]})[0].score == 0.5  # alone it would stand at the other


SPACE = """
name: choices
objective: {{metric: average_precision}}
folds: 2
policy: {{name: greedy, num_trials: 2, num_completions: 2}}
sampler: {{name: random}}
{section}
parameters:
  learning_rate: {{type: float, low: 1.0e-3, high: 3.0e-2, log: true, default: 2.0e-2}}
fixed:
  network: unet
  channels: 4
  levels: 3
  image_size: 48
  patch_size: 32
  batch_size: 4
  max_epochs: 2
  warmup_epochs: 1
  dropout: 0.0
  steps_per_epoch: 2
{fixed}
"""
CHOICES = tuple(
    {"overlap": overlap, "tta": tta, "whole_image": whole}
    for overlap, tta, whole in (
        (0.25, False, False), (0.25, False, True), (0.25, True, False), (0.25, True, True),
        (0.75, False, False), (0.75, True, False),
    )
)  # fmt: skip
#: Of those, which a sweep of its own is trained with, to compare.
TRAINED_ALONE = (0, 1, 5)


def space_of(choice: Mapping[str, Any] | None) -> SearchSpace:
    switches = "tta: [false, true], whole_image: [false, true]"
    section, fixed = f"inference: {{overlap: [0.25, 0.75], {switches}}}", ""
    if choice is not None:
        section = ""
        fixed = "".join(f"  {name}: {json.dumps(value)}\n" for name, value in choice.items())
    return parse_space(SPACE.format(section=section, fixed=fixed), "choices")


class Bench:
    """A store and a plan, and sweeps on them: everything real but Ray."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.num_epochs = folder, 0
        self.store: CaseStore = drawn_store(
            folder / "store", num_cases=24, num_positive=12, side_px=48
        )
        self.plan: FoldPlan = make_plan(self.store, num_folds=2, holdout_fraction=0.3)
        self.home = home_at(folder / "home")
        self.home.folder.mkdir()

    def place(self, name: str) -> Path:
        return self.home.sweep_folder(name)

    def lay_out(self, name: str, space: SearchSpace) -> None:
        place = self.place(name)
        place.mkdir(parents=True)
        self.plan.save(place / "plan.json")
        self.plan.search_part().save(place / "search.json")
        header = dataclasses.replace(make_header(self.store, self.plan), space_text=space.text)
        Ledger.create(self.home.ledger_url, name, header=header).close()

    def run(self, name: str, space: SearchSpace, max_steps: int = 1000) -> Ledger:
        """Drive until the end or for some steps; then the driver is simply gone."""
        import importlib.metadata

        ledger = Ledger.open(self.home.ledger_url, name)
        ledger.acquire("test", wait=True)
        controller = make_controller(ledger, space)
        job = Job(
            store=str(self.store.folder),
            data_hash=self.store.data_hash,
            plan=str(self.place(name) / "search.json"),
            plan_digest=self.plan.search_part().digest,
            folder=str(self.place(name)),
            seed=0,
            metric="average_precision",
            maximize=True,
            runtime=dataclasses.asdict(Runtime()),
            version=importlib.metadata.version("ptxsweep"),
            inference=space.inference,
        )
        while max_steps > 0 and (wanted := controller.wanted(1)):
            is_old = isinstance(wanted[0], RunFold)
            what = controller.start(wanted[0].trial) if is_old else controller.add_trial()
            trial = FoldTrainable.__new__(FoldTrainable)  # Ray's constructor makes a log folder
            trial.setup({"job": job, "assignment": what})
            result: dict[str, Any] = {}
            while "score" not in result and max_steps > 0:
                result = trial.step()
                assert "failed" not in result, result
                self.num_epochs += 1
                max_steps -= 1
                if "score" not in result:
                    controller.on_epoch(result["epoch"])
            if "score" in result:
                controller.on_fold(result["score"], result["epoch"])
        if max_steps > 0:
            controller.close("done")
        ledger.release()
        return ledger


def scores_of(ledger: Ledger) -> list[list[dict[int, float]]]:
    return [values_by_choice(one.folds) for one in ledger.projection.trials]


def test_a_sweep_with_choices_is_all_the_fixed_sweeps_for_one_training(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    whole = space_of(None)
    assert whole.inference == CHOICES
    bench.lay_out("whole", whole)
    ledger = bench.run("whole", whole)
    trials = ledger.projection.trials
    assert len(trials) == 2  # no siblings
    assert all(set(one.parameters) == {"learning_rate"} for one in trials)
    assert bench.num_epochs == 2 * 2 * 2  # trials, folds, epochs: those of one choice
    for place, choice in enumerate(CHOICES):
        if place not in TRAINED_ALONE:
            continue
        name, space = f"fixed-{place}", space_of(choice)
        bench.lay_out(name, space)
        alone = bench.run(name, space)
        for one, other in zip(trials, alone.projection.trials, strict=True):
            for fold in range(2):
                ours, theirs = one.folds[fold].choices[place], other.folds[fold]
                assert ours.inference == choice
                assert (ours.score, ours.metrics) == (theirs.score, theirs.metrics)
                tables = [
                    load_table(bench.place(sweep) / str(cases))
                    for sweep, cases in (("whole", ours.cases), (name, theirs.cases))
                ]
                np.testing.assert_array_equal(tables[0].truth, tables[1].truth)
                np.testing.assert_array_equal(tables[0].background, tables[1].background)
        alone.close()
    again = Ledger.open(bench.home.ledger_url, "whole")
    assert again.projection.history == ledger.projection.history
    assert scores_of(again) == scores_of(ledger)
    for one, summary in zip(trials, summarise(again).trials, strict=True):
        means = [choice["mean"] for choice in summary.choices]
        assert one.mean == max(means)
        assert one.inference == CHOICES[int(np.argmax(means))] == summary.inference
        sent = {metric.key: metric.value for metric in trial_metrics(one, again.projection)}
        assert sent["score"] == pytest.approx(one.mean)
        rows = {row[0]: row for row in json.loads(metrics_table(one))["data"]}
        row = rows["score at overlap 0.75, tta True, whole_image False"]
        assert row[2] == pytest.approx(means[5], abs=5e-5)  # four digits
    best = again.projection.best()
    assert best is not None
    confirmed = confirm_now(bench.home, "whole")
    assert confirmed.trial == best.number
    weights = weight_folders(best, bench.place("whole"))
    assert weights is not None
    for choice in CHOICES:
        target = tmp_path / "-".join(map(str, choice.values()))
        write_ensemble(target, weights, rule=confirmed.rule, runtime=Runtime(), inference=choice)
        deployed = load_ensemble(target)
        assert {(s.overlap, s.tta, s.whole_image) for _, s in deployed.members} == {
            tuple(choice.values())
        }
        image = bench.store.image(0)
        live = Ensemble.load(weights, rule=confirmed.rule, inference=choice)
        np.testing.assert_array_equal(deployed.logits(image), live.logits(image))
    again.close()
    ledger.close()


def test_a_sweep_that_was_cut_off_ends_with_the_same_scores(tmp_path: Path) -> None:
    bench, space = Bench(tmp_path), space_of(None)
    for name in ("whole", "cut"):
        bench.lay_out(name, space)
    whole = bench.run("whole", space)
    bench.run("cut", space, max_steps=3).close()
    cut = bench.run("cut", space)
    assert scores_of(cut) == scores_of(whole)
    for one, other in zip(cut.projection.trials, whole.projection.trials, strict=True):
        assert (one.inference, one.mean) == (other.inference, other.mean)
    whole.close()
    cut.close()
