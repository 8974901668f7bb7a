"""What a sampler that learns is worth to greedy, and to a wave that shows it levels at the look.

    python tests/benchmarks/bench_proposals.py [NAME ...] [--seeds 10]

Trials are proposed and trained as the sweep goes, no table: data sets and learners of
`make_curves`, 40 trials of five folds of twelve epochs, one worker. TPE learns from first folds
under greedy, and from levels after four epochs under a wave of one look. Prints by how much the
winner's mean over all folds lies below that of greedy with TPE, in units of (best - median) of 40
random configurations, and the epochs in folds, without a pruner; means over names with 95%
intervals; the last line is one JSON object. A minute to three for a name and ten seeds.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from make_curves import LEARNERS, MONITOR_SHARE, NUM_EPOCHS, NUM_FOLDS, load, values_of
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from sweep.policies import Greedy, Policy, Wave, first_rung, pause_after
from sweep.records import Event, FoldFinished, FoldPaused, FoldStarted, NewTrial, TrialAdded
from sweep.search.samplers import make_sampler
from sweep.search.stop_rules import make_stop_rule

NAMES = ("breast_cancer_sgd", "iris_sgd", "wine_sgd", "wine_mlp", "iris_mlp")
NUM_TRIALS, NUM_COMPLETE, MIN_GAIN = 40, 10, 0.1
_LOG = {"log": True}
SPACES: dict[str, dict[str, BaseDistribution]] = {
    "mlp": {
        "hidden": IntDistribution(4, 48, **_LOG),
        "learning_rate_init": FloatDistribution(3e-4, 1e-1, **_LOG),
        "alpha": FloatDistribution(1e-6, 3, **_LOG),
        "batch_size": IntDistribution(8, 64, **_LOG),
        "solver": CategoricalDistribution(["adam", "sgd"]),
    },
    "sgd": {
        "alpha": FloatDistribution(1e-6, 1e-1, **_LOG),
        "eta0": FloatDistribution(1e-4, 1, **_LOG),
        "penalty": CategoricalDistribution(["l2", "l1", "elasticnet"]),
        "learning_rate": CategoricalDistribution(["constant", "invscaling", "optimal"]),
        "average": CategoricalDistribution([False, True]),
    },
}
ARMS = {
    "greedy:10, tpe": ("greedy", "tpe"),
    "greedy:10, random": ("greedy", "random"),
    "wave, tpe": ("wave", "tpe"),
    "wave, random": ("wave", "random"),
}

Params = Mapping[str, Any]
#: Score on the held fold, and the monitor's value after each epoch.
Fold = tuple[float, list[float]]


class Trainer:
    """Folds of one data set and learner, each trained once."""

    def __init__(self, name: str) -> None:
        data_set, self.learner = name.rsplit("_", 1)
        self.cases = load(data_set)
        self.classes = np.unique(np.concatenate(self.cases[1]))
        count = len(self.cases[0])
        splitter = KFold(NUM_FOLDS, shuffle=True, random_state=100)
        self.splits = list(splitter.split(np.arange(count)))
        self.known: dict[tuple[str, int], Fold] = {}

    def __call__(self, params: Params, fold: int) -> Fold:
        key = json.dumps(params, sort_keys=True), fold
        if key not in self.known:
            self.known[key] = self._train(dict(params), fold)
        return self.known[key]

    def _train(self, params: dict[str, Any], fold: int) -> Fold:
        if "hidden" in params:
            params["hidden_layer_sizes"] = [params.pop("hidden")]
        rest, test = self.splits[fold]
        order = np.random.default_rng(fold).permutation(rest)
        cut = int(MONITOR_SHARE * len(order))
        x, y = (np.concatenate([part[one] for one in order[cut:]]) for part in self.cases)
        scaler = StandardScaler().fit(x)
        watched, held = (
            ([self.cases[0][one] for one in part], [self.cases[1][one] for one in part])
            for part in (order[:cut], test)
        )
        levels: list[float] = []
        score = -np.inf
        predictors = LEARNERS[self.learner][1](
            params, scaler.transform(x), y, self.classes, NUM_EPOCHS
        )
        for predict in predictors:
            levels.append(float(values_of(predict, watched, scaler, self.classes).mean()))
            if levels[-1] > max(levels[:-1], default=-np.inf):
                score = float(values_of(predict, held, scaler, self.classes).mean())
        return score, levels


def search(train: Trainer, policy_name: str, sampler: str, seed: int) -> tuple[float, float]:
    """The winner's mean over all folds, and all epochs in folds."""
    policy: Policy
    if policy_name == "greedy":
        policy = Greedy(num_trials=NUM_TRIALS, num_folds=NUM_FOLDS)
        ends: dict[str, Any] = {"min_gain": None, "required": ()}
        rule = make_stop_rule(NUM_TRIALS, NUM_COMPLETE, NUM_FOLDS, policy=policy, **ends)
    else:
        # As `attention_unet` has it: a look after a third of the fold.
        policy = Wave(
            num_trials=NUM_TRIALS, num_folds=NUM_FOLDS, epochs=(NUM_EPOCHS // 3,), min_gain=MIN_GAIN
        )
        ends = {"min_gain": MIN_GAIN, "required": (0,)}
        rule = make_stop_rule(NUM_TRIALS, None, NUM_FOLDS, policy=policy, **ends)
    rung = first_rung(policy)
    study = optuna.create_study(direction="maximize", sampler=make_sampler(sampler, {}, seed, 0))
    params: list[Params] = []
    scores: list[dict[int, float]] = []
    done: dict[tuple[int, int], int] = {}

    def see(event: Event) -> None:
        policy.observe(event)
        rule.observe(event)

    while rule.reason() is None and (decisions := policy.decide(1)):
        decision = decisions[0]
        asked = None
        if isinstance(decision, NewTrial):
            asked = study.ask(SPACES[train.learner])
            number, fold = len(params), 0
            params.append(asked.params)
            scores.append({})
            see(TrialAdded(trial=number, parameters=dict(asked.params)))
        else:
            number, fold = decision.trial, decision.fold
        see(FoldStarted(trial=number, fold=fold))
        score, levels = train(params[number], fold)
        if asked is not None:
            study.tell(asked, score if rung is None else rung.level(levels[: rung.epoch]))
        pause = pause_after(policy, number)
        done[number, fold] = pause or NUM_EPOCHS
        if pause is not None:
            see(FoldPaused(trial=number, fold=fold, scores=tuple(levels[:pause])))
        else:
            scores[number][fold] = score
            see(FoldFinished(trial=number, fold=fold, score=score, seconds=1.0))
    complete = [sum(own.values()) / NUM_FOLDS for own in scores if len(own) == NUM_FOLDS]
    return max(complete), sum(done.values()) / NUM_EPOCHS


def unit_of(train: Trainer) -> float:
    """(best - median) of the means of random configurations."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = [study.ask(SPACES[train.learner]).params for _ in range(NUM_TRIALS)]
    means = [np.mean([train(one, fold)[0] for fold in range(NUM_FOLDS)]) for one in asked]
    return float(max(means) - np.median(means))


def bench(name: str, num_seeds: int) -> dict[str, tuple[float, float]]:
    """Regret over that of the first arm, and epochs in folds, by arm."""
    train = Trainer(name)
    unit = unit_of(train)
    found = {
        arm: np.array([search(train, *how, seed) for seed in range(num_seeds)])
        for arm, how in ARMS.items()
    }
    first = next(iter(found.values()))
    return {
        arm: (float((first - own)[:, 0].mean() / unit), float(own[:, 1].mean()))
        for arm, own in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # epochs are few on purpose
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    told = {}
    for name in given.names:
        told[name] = bench(name, given.seeds)
        print(
            name, {arm: [round(x, 3) for x in own] for arm, own in told[name].items()}, flush=True
        )
    means = {}
    for arm in ARMS:
        own = np.array([found[arm] for found in told.values()])
        width = 1.96 * own[:, 0].std(ddof=1) / np.sqrt(len(own)) if len(own) > 1 else None
        regret, folds = own.mean(axis=0)
        means[arm] = {
            "regret_more": round(float(regret), 4),
            "width": None if width is None else round(float(width), 4),
            "folds": round(float(folds), 1),
        }
        print(f"{arm:18} {means[arm]}")
    print(json.dumps({"seeds": given.seeds, "by_name": told, "means": means}))


if __name__ == "__main__":
    main()
