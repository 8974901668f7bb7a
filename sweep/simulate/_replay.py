"""Policies side by side over tables and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import UsageError
from sweep.policies import (
    MIN_GAIN,
    PolicySpec,
    first_rung,
    least_gain,
    make_policy,
    policy_named,
    policy_spec,
)
from sweep.pruners import NoPruner, PrunerSpec
from sweep.records import DEFAULT_TRIAL
from sweep.search.pruner_adapter import PrunerAdapter
from sweep.search.stop_rules import make_stop_rule
from sweep.simulate._engine import Simulation
from sweep.simulate._layout import Cluster, ReplayOrder, replay_order
from sweep.simulate._proposing import Proposer
from sweep.simulate._report import (
    Outcome,
    all_epochs,
    mean_outcome,
    outcome,
    regret,
    searched_means,
)
from sweep.simulate._run import Run
from sweep.simulate._table import Table
from sweep.util.yaml_lines import load_yaml

#: What `default` stands for, and the gain that ends it: one for five folds and ten.
OURS, OUR_GAIN = "expected_improvement", "0.8 errors"
#: Shares of the whole cost at which regret is told.
COSTS = np.linspace(0.005, 1.0, 200)

#: No table has more trials, so that none of its settings is refused for being above their number.
_ANY_NUMBER = 10**9


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A policy with its stop rule and pruner.

    Attributes:
        label: Label for reports.
        policy: Name of a policy.
        settings: Arguments of the policy, beside `num_trials`.
        num_completions: Complete trials that end the sweep; None for no such rule.
        min_gain: Expected gain of a fold that ends the sweep; None for no such rule.
        repeats: Partitions of the table that the search sees, at least 1.
        pruner: Which trials stop.
        sampler: "random" takes the configurations in random order; any other name is a sampler
            that proposes them, see `Proposer`.
    """

    label: str
    policy: str
    settings: Mapping[str, Any]
    num_completions: int | None = None
    min_gain: float | str | None = None
    repeats: int = 1
    pruner: PrunerSpec = field(default_factory=NoPruner)
    sampler: str = "random"


def parse_arm(text: str, *, pruner: PrunerSpec | None = None, sampler: str = "random") -> Arm:
    """A policy as the command line names it.

    `default` is `expected_improvement:0.8 errors`; `greedy:10` stops after ten completions,
    `expected_improvement:0.25` when no fold promises that gain, see `LeastGain`; halving and
    intensification stop when they have decided, standard order when everything is done.
    `default@2` searches over two partitions. `{name: wave, epochs: [10]}` is what a search space
    has under `policy`.

    Raises:
        UsageError: There is no such policy, the part behind the colon or @ is not a number that
            fits, or a setting is unknown or out of range.
    """
    settled, at, repeats = text.rpartition("@") if "@" in text else (text, "", "")
    name, _, detail = settled.partition(":")
    if at and (not repeats.isdecimal() or int(repeats) < 1):
        raise UsageError(f"--policy: found {text!r}, expected NAME@PARTITIONS, at least 1")
    spec = _spec_of(settled) if settled.startswith("{") else _spec_by_name(name, detail, text)
    usual: dict[str, Any] = {"pinned": None}  # a table has no default
    if "lookahead" not in spec.model_fields_set:
        # A table's configurations are all known, as a random sampler's; one that learns would
        # propose all of them before the first score.
        usual["lookahead"] = None if sampler == "random" else 0
    taken = signature(spec.policy).parameters
    settings = {
        **spec.settings(),
        **{key: value for key, value in usual.items() if key in taken},
    }
    del settings["num_trials"]  # is the table's
    return Arm(
        label=text,
        policy=spec.name,
        settings=settings,
        num_completions=spec.num_completions,
        min_gain=spec.min_gain,
        repeats=int(repeats or 1),
        pruner=pruner or NoPruner(),
        sampler=sampler,
    )


def _spec_by_name(name: str, detail: str, text: str) -> PolicySpec:
    """Usual settings, and the end that stands behind the colon."""
    model = policy_named(OURS if name == "default" else name)
    given: dict[str, Any] = {}
    try:
        if model.knows_gain():
            given["min_gain"] = _gain(detail or (OUR_GAIN if name == "default" else MIN_GAIN))
        elif detail:
            given["num_completions"] = int(detail)
    except (ValueError, UsageError) as error:
        raise UsageError(f"--policy: found {text!r}, expected NAME or NAME:NUMBER") from error
    return policy_spec({"name": model.kind(), **given, "num_trials": _ANY_NUMBER})


def _spec_of(text: str) -> PolicySpec:
    """Settings as a search space has them, for tables of any size."""
    given, _ = load_yaml(text, f"--policy {text}")
    if "name" not in given:
        raise UsageError(f"--policy: found {text!r}, expected {{name: NAME, KEY: VALUE, ...}}")
    if "num_trials" in given:
        raise UsageError(f"--policy: found num_trials in {text!r}, which is the table's: leave it")
    return policy_spec({**given, "num_trials": _ANY_NUMBER})


def _gain(given: float | str) -> float | str:
    least = least_gain(given)
    return least.value if least.unit == "spread" else str(least)


def replay(
    table: Table, arm: Arm, cluster: Cluster, seed: int, layout: ReplayOrder | None = None
) -> tuple[ReplayOrder, Run]:
    """One simulated sweep; in the layout of the seed unless another is given."""
    layout = layout or replay_order(table, seed, repeats=arm.repeats)
    num_trials, num_folds = table.num_trials, len(layout.folds)
    policy = make_policy(arm.policy, {"num_trials": num_trials, **arm.settings}, num_folds)
    rule = make_stop_rule(
        num_trials,
        arm.num_completions,
        num_folds,
        policy=policy,
        min_gain=arm.min_gain,
        required=() if arm.settings.get("pinned", DEFAULT_TRIAL) is None else (DEFAULT_TRIAL,),
    )
    is_random = arm.sampler == "random"
    simulation = Simulation(
        table,
        layout,
        policy,
        rule,
        pruner=PrunerAdapter(arm.pruner.build()),
        proposer=None
        if is_random
        else Proposer(table, layout, arm.sampler, seed, first_rung(policy)),
        cluster=cluster,
        seed=seed,
    )
    return layout, simulation.run()


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """One arm on one table.

    Attributes:
        outcome: Mean over the seeds.
        outcomes: One for each seed.
        costs: [G] grid of costs.
        regrets: [seeds, G] regret if the sweep had ended at each cost; NaN before the first score.
        epoch_regrets: Likewise at each share of all epochs.
    """

    outcome: Outcome
    outcomes: tuple[Outcome, ...]
    costs: NDArray[np.float64]
    regrets: NDArray[np.float64]
    epoch_regrets: NDArray[np.float64]


def replay_seeds(table: Table, arm: Arm, cluster: Cluster, seeds: Sequence[int]) -> ReplayResult:
    """Replay an arm with every seed."""
    return gathered([replay_seed(table, arm, cluster, seed) for seed in seeds])


def replay_seed(
    table: Table, arm: Arm, cluster: Cluster, seed: int
) -> tuple[Outcome, NDArray[np.float64]]:
    """Outcome and regret at each of `COSTS`, [2, G], of one seed: by folds, and by epochs."""
    layout, run = replay(table, arm, cluster, seed)
    return outcome(table, layout, run, cluster), anytime(table, layout, run, COSTS)


def gathered(found: Sequence[tuple[Outcome, NDArray[np.float64]]]) -> ReplayResult:
    """What the seeds of one arm on one table give together."""
    outcomes = tuple(one for one, _ in found)
    return ReplayResult(
        outcome=mean_outcome(outcomes),
        outcomes=outcomes,
        costs=COSTS,
        regrets=np.array([regrets[0] for _, regrets in found]),
        epoch_regrets=np.array([regrets[1] for _, regrets in found]),
    )


def anytime(
    table: Table, layout: ReplayOrder, run: Run, costs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[2, G] regret of the leader at each share of the folds and of the epochs.

    The last one is kept after the end.

    A run that ended without a score has a regret from its end on, as in its outcome.
    """
    means = searched_means(table, layout)
    sizes = (table.num_trials * table.num_folds, all_epochs(table, layout.partitions[0]))
    changes = run.anytime or [(run.num_folds, run.num_epochs, run.chosen)]
    values = np.array([np.nan] + [regret(means, chosen) for *_, chosen in changes])
    times = np.array([paid for *paid, _ in changes]).T / np.array(sizes)[:, None]
    return np.stack([values[np.searchsorted(part, costs, side="right")] for part in times])
