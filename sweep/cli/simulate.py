"""`ptxsweep simulate`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import (
    OUTPUT_FILE,
    console,
    counter,
    emit,
    home_options,
    json_option,
    open_home,
    parse_settings,
    say,
)
from sweep.cli._help import command
from sweep.util.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sweep.simulate import Arm, Missing, ReplayResult, Table
    from sweep.storage.home import Home

Row = dict[str, Any]

_DEFAULT_POLICIES = "default,greedy:3,greedy:10,greedy:20,halving,greedy_halving,intensify,standard"

#: Commas, but those within the braces of a policy's settings.
_BETWEEN_POLICIES = re.compile(r",(?![^{]*\})")

_EPILOG = """\b
Policies: default (ours, expected_improvement:0.8 errors), greedy, halving, greedy_halving,
intensify, standard, wave (for tables with curves).
  NAME:NUMBER      greedy:10 stops after ten complete trials, default:0.25 when no fold
                   promises that gain: expected improvement of the best mean per missing fold, times
                   the number of all folds of all trials, in units of the trials' standard
                   deviation; "default:0.5 errors" of the error of a mean over all folds.
  {name: ...}      what a search space has under `policy`, all but num_trials:
                   '{name: wave, epochs: [2, 5], keep: [0.5, 0.3]}'; epochs are the table's.
  NAME@PARTITIONS  default@2 searches over two partitions of a table, so that a trial is scored
                   on twice as many folds; cost stays a share of one partition's folds.
--sampler tpe: each new trial is the unused configuration with params nearest to what TPE
proposes from the scores so far; default looks ahead only with random. Takes longer.
--leave-one-out: a row "leave-one-out" in which each table has the policy that costs the
fewest epochs on the others at a mean regret of 0.02 or less there (else of the lowest regret).
--json gives a list of objects; with several tables their mean comes first, as table "mean".
Keys of each: table, policy, cost (share of all folds), cost_epochs, cost_seconds (shares likewise),
regret ((best - chosen) / (best - median), same folds), regret_fresh (likewise, other partitions),
hit (chosen = best), makespan_seconds, idle: means over the seeds."""


@command("simulate", epilog=_EPILOG)
@click.argument("tables", nargs=-1, required=True, metavar="TABLE|SWEEP...")
@click.option(
    "--policy",
    "policies",
    default=_DEFAULT_POLICIES,
    help="Names, or {name: ...} as in a space, separated by commas.",
)
@click.option("--pruner", default="none", show_default=True, help="Of every policy.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Argument of the pruner.")
@click.option(
    "--sampler",
    default="random",
    show_default=True,
    help="What proposes trials: random (the configurations in random order) or tpe.",
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1))
@click.option("--seeds", default=20, show_default=True, type=click.IntRange(1), help="How many.")
@click.option(
    "--missing",
    type=click.Choice(["refuse", "drop", "worst"]),
    default="refuse",
    show_default=True,
    help="What to do about missing scores: drop the configuration, or count them as the worst.",
)
@click.option("--losses", default=0.0, show_default=True, help="Share of folds lost half way.")
@click.option(
    "--stragglers", default=0.0, show_default=True, help="Share of folds that take 4 times as long."
)
@click.option(
    "--leave-one-out",
    is_flag=True,
    help="Also the policy that the other tables would have chosen, for each table.",
)
@click.option("--figure", type=OUTPUT_FILE, help="Write regret against cost as an HTML figure.")
@click.option(
    "--over",
    type=click.Choice(["folds", "epochs"]),
    default="folds",
    show_default=True,
    help="What the figure counts as cost.",
)
@home_options
@json_option
def simulate_command(
    tables: tuple[str, ...],
    policies: str,
    pruner: str,
    pairs: tuple[str, ...],
    sampler: str,
    workers: int,
    seeds: int,
    missing: Missing,
    losses: float,
    stragglers: float,
    leave_one_out: bool,
    figure: Path | None,
    over: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Replay fold policies over tables of scores (.npz) or finished sweeps, in simulated time."""
    from sweep.pruners import pruner_spec
    from sweep.simulate import Cluster, mean_outcome, parse_arm, replay_all

    home = open_home(options)
    spec = pruner_spec(pruner, parse_settings(pairs))
    named = [name.strip() for name in _BETWEEN_POLICIES.split(policies)]
    arms = [parse_arm(name, pruner=spec, sampler=sampler) for name in named]
    cluster = Cluster(num_workers=workers, loss_rate=losses, straggler_rate=stragglers)
    loaded = [_load(name, home, missing) for name in tables]
    asks_epochs = spec.build().epoch is not None
    for table in loaded:
        for note in table.notes:
            say(f"{table.name}: {note}")
        if asks_epochs and table.curves is None:
            say(f"{table.name}: has no curves, so the pruner {pruner} sees no epoch")
    progress = counter("replayed", quiet_seconds=10.0)
    by_arm = replay_all(loaded, arms, cluster, range(seeds), on_progress=progress)
    found: list[tuple[str, list[ReplayResult]]] = [
        (arm.label, results) for arm, results in zip(arms, by_arm, strict=True)
    ]
    results: list[dict[str, Any]] = [
        {"table": "mean", "policy": label, **_row(mean_outcome([c.outcome for c in comparisons]))}
        for label, comparisons in found
    ]
    apart: list[dict[str, Any]] = [
        {"table": table.name, "policy": label, **_row(comparisons[index].outcome)}
        for index, table in enumerate(loaded)
        for label, comparisons in found
    ]
    if leave_one_out:
        results += _left_out(by_arm, arms)
    if figure is not None:
        _draw(figure, found, over)
    if as_json:
        emit([*results, *apart] if len(loaded) > 1 else apart)
        return
    _print([*results, *apart] if len(loaded) > 1 else apart)


def _left_out(by_arm: Sequence[Sequence[ReplayResult]], arms: Sequence[Arm]) -> list[Row]:
    """The mean over tables of what the others chose, and how often they chose what."""
    from collections import Counter

    from sweep.simulate import leave_one_out, mean_outcome

    chosen = leave_one_out(by_arm)
    mean = mean_outcome([by_arm[arm][place].outcome for place, arm in enumerate(chosen)])
    for arm, number in Counter(chosen).most_common():
        say(f"leave-one-out: {arms[arm].label} for {count(number, 'table')}")
    return [{"table": "mean", "policy": "leave-one-out", **_row(mean)}]


def _load(name: str, home: Home, missing: Missing) -> Table:
    from sweep.errors import UsageError
    from sweep.simulate import load_table, replayable, table_of

    path = Path(name)
    if path.suffix == ".npz" or path.is_file():  # a folder may have the name of a sweep
        if not path.is_file():
            raise UsageError(f"{name}: no such table")
        return load_table(path, missing=missing)
    from sweep.ledger import Ledger

    ledger = Ledger.open(home.ledger_url, name)
    table = replayable(table_of(name, ledger.projection))
    ledger.close()
    return table


def _row(outcome: Any) -> dict[str, float]:
    from dataclasses import asdict

    return asdict(outcome)


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table as Grid

    grid = Grid()
    for key in rows[0]:
        grid.add_column(key, justify="left" if key in ("policy", "table") else "right")
    for row in rows:
        grid.add_row(*(v if isinstance(v, str) else f"{v:.3f}" for v in row.values()))
    console().print(grid)


def _draw(path: Path, found: list[tuple[str, list[ReplayResult]]], over: str) -> None:
    from dashboards.figures.anytime import anytime_figure, anytime_info
    from dashboards.report.page import figure_page
    from ptxcore.atomic_file import whole_file

    curves = {
        label: (
            comparisons[0].costs,
            [one.regrets if over == "folds" else one.epoch_regrets for one in comparisons],
        )
        for label, comparisons in found
    }
    with whole_file(path) as draft:
        figure = anytime_figure(anytime_info(curves), over)
        draft.write_text(figure_page("Regret against cost", figure), encoding="utf-8")
