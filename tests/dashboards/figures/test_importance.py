from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator
from synthetic_sweeps import projection_of

from dashboards.figures.importance import MIN_TRIALS, importance, importance_info, sentence
from dashboards.figures.ped_anova import ped_anova
from sweep.ledger.projection import Projection

SPACE = {name: FloatDistribution(0.0, 1.0) for name in ("loud", "mute", "idle")}


def projection(num: int, *, maximize: bool = True, noise: float = 0.01) -> Projection:
    """Trials whose score on fold 0 depends on `loud` alone."""
    draw = np.random.default_rng(3)
    points = [{name: float(draw.random()) for name in SPACE} for _ in range(num)]
    sign = 1 if maximize else -1
    scores = [[sign * (point["loud"] + float(draw.normal(0, noise)))] for point in points]
    return projection_of(scores, parameters=points, distributions=SPACE, maximize=maximize)


@pytest.mark.parametrize("maximize", [True, False])
def test_the_parameter_that_makes_the_score_stands_out(maximize: bool) -> None:
    info = importance_info(projection(40, maximize=maximize))
    assert info.reason is None
    assert info.importances[0].parameter == "loud"
    assert info.importances[0].stands_out
    assert info.importances[0].share > 0.5
    assert sum(one.share for one in info.importances) == pytest.approx(1)
    assert "loud" in sentence(info)
    importance(info)


def test_noise_seldom_stands_out() -> None:
    alarms = 0
    for seed in range(6):  # expected 5% each; three or more of six would come by chance in 0.2%
        draw = np.random.default_rng(seed)
        points = [{name: float(draw.random()) for name in SPACE} for _ in range(MIN_TRIALS)]
        scores = [[float(draw.random())] for _ in points]
        info = importance_info(projection_of(scores, parameters=points, distributions=SPACE))
        loud = any(one.stands_out for one in info.importances)
        assert ("cannot tell" in sentence(info)) != loud
        alarms += loud
    assert alarms <= 2


def test_too_few_trials_are_said_not_drawn() -> None:
    info = importance_info(projection(MIN_TRIALS - 1))
    assert info.importances == ()
    assert info.reason is not None
    assert "19 trials finished fold 0; below 20" in info.reason
    assert sentence(info) == info.reason
    importance(info)


def test_equal_scores_are_said_not_drawn() -> None:
    points = [{"loud": n / 30} for n in range(30)]
    info = importance_info(projection_of([[0.5]] * 30, parameters=points, distributions=SPACE))
    assert info.reason is not None
    assert "same score" in info.reason


def test_the_same_ledger_gives_the_same_picture() -> None:
    assert importance_info(projection(30)) == importance_info(projection(30))


MIXED: dict[str, BaseDistribution] = {
    "log": FloatDistribution(1e-5, 1e-1, log=True),
    "step": FloatDistribution(0.0, 1.0, step=0.25),
    "int": IntDistribution(1, 40),
    "int_log": IntDistribution(1, 64, log=True),
    "kind": CategoricalDistribution(("a", "b", "c")),
    "inner": FloatDistribution(0.0, 1.0),  # of kind a
}


@pytest.mark.filterwarnings("ignore:.*low `target` values:UserWarning")
@pytest.mark.filterwarnings("ignore:Some regimes:UserWarning")
@pytest.mark.parametrize("num_trials", [20, 61, 300])
def test_it_is_what_optuna_has(num_trials: int) -> None:
    draw = np.random.default_rng(num_trials)
    sampler = optuna.samplers.RandomSampler(seed=num_trials)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(num_trials):
        trial = study.ask({name: MIXED[name] for name in MIXED if name != "inner"})
        if trial.params["kind"] == "a":
            trial.suggest_float("inner", 0.0, 1.0)
        value = trial.params["step"] + trial.params.get("inner", 0.5) + float(draw.normal(0, 0.2))
        study.tell(trial, round(value, 1))  # some scores are equal
    trials = study.trials
    own = np.array([trial.value for trial in trials])
    scores = np.stack([own, draw.permutation(own), draw.permutation(own)])
    found = ped_anova(
        [trial.params for trial in trials],
        [trial.distributions for trial in trials],
        scores,
        list(MIXED),
        top=0.25,
    )
    evaluator = PedAnovaImportanceEvaluator(target_quantile=0.25)
    for row, values in enumerate(scores):
        wanted = evaluator.evaluate(
            study, list(MIXED), target=lambda trial, values=values: -values[trial.number]
        )
        assert {name: found[name][row] for name in MIXED} == pytest.approx(wanted, abs=1e-9)
