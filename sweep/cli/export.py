"""`ptxsweep export-table` and `ptxsweep export-optuna`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import (
    OUTPUT_FILE,
    emit,
    home_options,
    json_option,
    open_home,
)
from sweep.cli._help import command
from sweep.util.words import count

if TYPE_CHECKING:
    from sweep.ledger.projection import Projection

#: Rows and pixels that Optuna Dashboard 0.21 has room for in a figure.
_NUM_ROWS, _HEIGHT, _TITLE = 12, 440, 90


@command("export-table")
@click.argument("name")
@click.option("--out", type=OUTPUT_FILE, help="A new .npz file [NAME.npz].")
@click.option("--cases", is_flag=True, help="Also what each case scored, in no order of the store.")
@home_options
@json_option
def export_table_command(
    name: str, out: Path | None, cases: bool, as_json: bool, **options: Any
) -> int:
    """Write the complete trials of the sweep NAME as a table for `ptxsweep simulate`.

    It holds fold scores, epoch values, seconds and parameters: nothing about a case, but for
    the scores of each under --cases, without its id.
    """
    home = open_home(options)

    from sweep.cli._app import OK
    from sweep.ledger import Ledger
    from sweep.simulate import cases_of, save_table, table_of

    ledger = Ledger.open(home.ledger_url, name)
    table = table_of(name, ledger.projection)
    if cases:
        values, folds = cases_of(ledger.projection, home.sweep_folder(name))
        table = dataclasses.replace(table, cases=values, case_folds=folds)
    ledger.close()
    out = out or Path(f"{name}.npz")
    save_table(table, out)
    found = {
        "table": str(out),
        "num_trials": table.num_trials,
        "num_folds": table.num_folds,
        "num_cases": 0 if table.cases is None else table.cases.shape[2],
        "num_epochs": 0 if table.curves is None else table.curves.shape[3],
        "notes": list(table.notes),
    }
    if as_json:
        emit(found)
    else:
        click.echo(
            f"{out}: {count(table.num_trials, 'trial')} x "
            f"{count(table.num_folds, 'fold')}, up to {found['num_epochs']} epochs"
        )
        for note in table.notes:
            click.echo(note)
    return OK


@command("export-optuna")
@click.argument("name")
@click.option("--out", type=OUTPUT_FILE, help="A new SQLite file [NAME.db].")
@home_options
@json_option
def export_optuna_command(name: str, out: Path | None, as_json: bool, **options: Any) -> None:
    """Write the sweep NAME as a clean Optuna study, for Optuna Dashboard.

    A copy: what is changed or deleted there changes nothing in the sweep. Opened on the ledger
    itself, Optuna Dashboard misleads, and can delete.
    """
    home = open_home(options)

    from sweep.export_optuna import export_optuna
    from sweep.ledger import Ledger

    ledger = Ledger.open(home.ledger_url, name)
    figures = _figures(ledger.projection)
    found = export_optuna(ledger, out or Path(f"{name}.db"), figures)
    ledger.close()
    if as_json:
        emit(found)
        return
    click.echo(f"{found.path}: study {found.study!r} with {_states(found.num_trials)}")
    if not found.has_note:
        click.echo("without verdict and figures: pip install 'ptxsweep[optuna-dashboard]'")
    click.echo(f"next: optuna-dashboard sqlite:///{found.path}")


def _figures(projection: Projection) -> dict[str, Any]:
    """Those of the report that say what Optuna's own do not, cut to the height it has for them."""
    from dashboards.figures.fold_heatmap import fold_heatmap, fold_heatmap_info
    from dashboards.figures.importance import importance, importance_info
    from dashboards.figures.leaderboard import leaderboard, leaderboard_info

    info = leaderboard_info(projection, limit=_NUM_ROWS)
    found = {
        "leaderboard": leaderboard(info).figure().update_layout(title="Leaderboard with intervals")
    }
    rows = fold_heatmap_info(projection, limit=_NUM_ROWS)
    found["fold-scores"] = fold_heatmap(rows).figure().update_layout(title="Scores by fold")
    matters = importance_info(projection)
    if matters.importances:
        picture = importance(matters).figure()
        found["importance"] = picture.update_layout(title="What matters, and what chance gives")
    for figure in found.values():
        figure.update_layout(height=_HEIGHT, margin_t=_TITLE)
    return found


def _states(num_trials: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in num_trials.items()) or "no trial"
