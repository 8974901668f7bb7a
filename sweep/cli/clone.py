"""`ptxsweep clone`."""

from __future__ import annotations

from typing import Any

import click

from sweep.cli._common import emit, home_options, json_option, open_home, parse_settings, say
from sweep.cli._help import command
from sweep.util.words import count


@command("clone")
@click.argument("name")
@click.argument("new")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Hold a setting at a value; may be given many times.",
)
@click.option("--num-trials", type=click.IntRange(1), help="Configurations to try.")
@click.option(
    "--num-completions", type=click.IntRange(1), help="Complete configurations that end the sweep."
)
@home_options
@json_option
def clone_command(
    name: str,
    new: str,
    settings: tuple[str, ...],
    num_trials: int | None,
    num_completions: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a new sweep NEW like the sweep NAME; `ptxsweep resume` begins it.

    It has the search space, the cases, the folds, the seed and the precision of NAME, and none of
    its results. Without --set it repeats NAME, by the code that is installed now. Both share their
    hold-out, where each use counts for both.
    """
    fixed = parse_settings(settings)
    home = open_home(options)

    from sweep.clone import clone
    from sweep.space.overrides import Overrides

    overrides = Overrides(fixed=fixed, num_trials=num_trials, num_completions=num_completions)
    done = clone(home, name, new, overrides)
    if as_json:
        emit(done)
        return
    changed = ", ".join(f"{key} {value}" for key, value in done.changed.items())
    click.echo(
        f"{done.name} is like {done.source}{f', but for {changed}' if changed else ''}: "
        f"{count(done.num_trials, 'trial')} to try on the same {count(done.num_folds, 'fold')}"
    )
    say(f"`ptxsweep resume {done.name}` begins it")
