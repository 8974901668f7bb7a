"""A sampler over a table: it learns as in a live sweep, and takes every configuration once."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweep.cli import main
from sweep.errors import UsageError
from sweep.policies import PolicySpec
from sweep.policies._fold_model import distances
from sweep.pruners import pruner_spec
from sweep.search.optuna_views import SamplerView
from sweep.simulate import (
    Cluster,
    Table,
    parse_arm,
    replay,
    replay_order,
    replay_seeds,
    save_table,
)
from sweep.simulate import _proposing as proposing


def smooth(num_rows: int = 150, num_folds: int = 2) -> Table:
    """A hill over a rate, a share and a network; 3% of the rows are within 0.1 of the top."""
    generator = np.random.default_rng(5)
    rates = 10 ** generator.uniform(-4, -1, num_rows)
    shares = generator.uniform(0, 1, num_rows)
    nets = generator.integers(0, 2, num_rows)
    hill = -((np.log10(rates) + 2) ** 2) - 4 * (shares - 0.3) ** 2 - 0.5 * nets
    scores = hill[None, :, None] + generator.normal(0, 0.02, (1, num_rows, num_folds))
    return Table(
        name="hill",
        scores=scores,
        seconds=np.ones_like(scores),
        curves=None,
        params=tuple(
            {"rate": float(rate), "share": float(share), "net": "ab"[net]}
            for rate, share, net in zip(rates, shares, nets, strict=True)
        ),
    )


@pytest.mark.parametrize("policy", sorted(PolicySpec.known))
def test_every_row_is_used_once_and_a_seed_repeats(policy: str) -> None:
    table = smooth(num_rows=25)
    table.scores[:, 3, 1], table.scores[:, 4, 0] = np.nan, np.inf
    cluster = Cluster(num_workers=3, loss_rate=0.1)
    arm = parse_arm(policy, sampler="tpe")
    runs = [replay(table, arm, cluster, seed)[1] for seed in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert runs[0].rows != runs[2].rows
    for run in runs:
        assert len(run.rows) == len(set(run.rows))
        assert set(run.rows) <= set(range(25))
        assert run.chosen in run.rows


def test_tpe_finds_better_ones_earlier() -> None:
    table = smooth()
    early = {}
    for sampler in ("random", "tpe"):
        arm = parse_arm("standard", sampler=sampler)
        found = replay_seeds(table, arm, Cluster(), range(6))
        early[sampler] = found.regrets[:, np.searchsorted(found.costs, 0.3)].mean()
        assert found.outcome.hit == 1  # in the end everybody was asked
    assert early["tpe"] < 0.5 * early["random"]


@pytest.mark.parametrize("pruner", ["none", "same_epoch"])
def test_tpe_learns_from_the_first_look_of_a_wave(pruner: str) -> None:
    plain = smooth(num_rows=60)
    curves = plain.scores[..., None] * np.array([4.0, 2.0, 1.5, 1.0])  # rising to the score
    table = dataclasses.replace(plain, curves=curves)
    means = {}
    for sampler in ("random", "tpe"):
        arm = parse_arm("wave", sampler=sampler, pruner=pruner_spec(pruner, {}))
        runs = [replay(table, arm, Cluster(), seed)[1] for seed in range(6)]
        means[sampler] = np.mean([plain.scores[0, run.rows[10:30], 0] for run in runs])
    assert means["tpe"] > means["random"] + 0.55


def test_the_sampler_sees_estimates_of_who_is_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    table = smooth(num_rows=12)
    table.scores[:, 7] = np.nan
    seen: list[list[FrozenTrial]] = []

    class Spied(SamplerView):
        def study(self, sampler: BaseSampler) -> Study:
            study = super().study(sampler)
            seen.append(study.get_trials())
            return study

    monkeypatch.setattr(proposing, "SamplerView", Spied)
    layout, run = replay(table, parse_arm("greedy", sampler="tpe"), Cluster(), 0)
    assert [len(trials) for trials in seen] == list(range(12))
    partition, column = layout.folds[0]
    for row, trial in zip(run.rows, seen[-1], strict=False):
        rate = table.params[row]["rate"]
        assert trial.params["rate"] == rate
        if row == 7:
            assert trial.state is TrialState.PRUNED
        else:
            assert trial.state is TrialState.COMPLETE
            assert trial.value == table.scores[partition, row, column]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, 20], FloatDistribution(1, 20, log=True)),
        ([1, 2.5, 19], FloatDistribution(1, 19)),
        ([0, 2.5, 20], FloatDistribution(0, 20)),
        ([True, False, True], CategoricalDistribution(["False", "True"])),
        ([1, None, 2], CategoricalDistribution(["1", "2", "None"])),
        ([1, math.nan, 2], CategoricalDistribution(["1", "2", "nan"])),
        (["b", "a", [1]], CategoricalDistribution(["'a'", "'b'", "[1]"])),
        ([3, 3, 3], None),
        ([3, 3.0, 3], None),
    ],
)
def test_a_space_from_params(values: list[Any], expected: Any) -> None:
    column = proposing._column(values)
    assert (column.distribution if column else None) == expected


def test_near_is_what_the_policies_call_near() -> None:
    table = smooth(num_rows=10)
    params = [*table.params[:-1], {"rate": 1e-3, "share": 0.5}]  # one has no network
    columns = {name: proposing._column([one.get(name) for one in params]) for name in params[0]}
    for row in range(10):
        squares = sum(
            column.squares(column.values[row]) for column in columns.values() if column is not None
        )
        np.testing.assert_allclose(np.sqrt(squares), distances(params)[row])


def test_what_a_sampler_cannot_do_is_refused() -> None:
    table = smooth(num_rows=3)
    bare = Table(
        name="bare",
        scores=table.scores,
        seconds=table.seconds,
        curves=None,
        params=({"x": 1, "unrecorded": "a"}, {"x": 1, "unrecorded": "b"}, {"x": 1}),
    )
    with pytest.raises(UsageError, match="bare: sampler tpe: found no params that differ"):
        proposing.Proposer(bare, replay_order(bare, 0), "tpe", 0)
    with pytest.raises(UsageError, match="sampler: found 'tbe', expected one of"):
        replay(table, parse_arm("greedy", sampler="tbe"), Cluster(), 0)


def test_the_command_takes_a_sampler(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_table(smooth(num_rows=200), tmp_path / "hill.npz")
    words = ["simulate", str(tmp_path / "hill.npz"), "--policy=standard:30", "--seeds=2"]
    rows = []
    for more in ([], ["--sampler=random"], ["--sampler=tpe"]):
        assert main([*words, "--json", *more]) == 0
        rows.append(json.loads(capfd.readouterr().out))
    assert rows[0] == rows[1]
    assert rows[2][0]["regret"] != rows[1][0]["regret"]  # other trials came first
