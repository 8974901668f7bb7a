"""`ptxsweep promote`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sweep.cli._common import (
    EXISTING_FILE,
    STORE,
    comparing,
    counter,
    emit,
    home_options,
    json_option,
    open_home,
    prevalence_option,
    say,
    verifying,
)
from sweep.cli._help import command
from sweep.errors import GateRefused, UsageError

if TYPE_CHECKING:
    from sweep.promotion.confirmation import Confirmation
    from sweep.promotion.promote import Promotion

#: Options that mean nothing to a rollback.
_FOR_THE_GATE = (
    *("store", "gate_name", "min_gain", "min_dice_positive", "max_loss", "min_lead"),
    *("force", "again", "prevalence", "request", "key"),
)


@command("promote")
@click.argument("name")
@click.option(
    "--model-name",
    help="In MLflow's registry [ptxsweep-METRIC of the sweep's objective, ptxsweep-phantom-METRIC "
    "of a drawing], so that all sweeps compete for one champion.",
)
@click.option("--store", type=STORE, help="Where the case store is now, if it moved.")
@click.option(
    "--gate",
    "gate_name",
    metavar="FILE|NAME",
    default="superior",
    show_default=True,
    help="What the winner must show: a YAML file, or a shipped gate (superior, cheaper, strict). "
    "The four margins below stand in it.",
)
@click.option(
    "--min-gain",
    type=click.FloatRange(0, 1),
    help="By how much Dice on the hold-out must exceed predicting nothing [superior: 0]; as for "
    "all of these margins, the lower end of its interval decides.",
)
@click.option(
    "--min-dice-positive",
    type=click.FloatRange(0, 1),
    help="Least Dice over the positive cases of the hold-out [superior: 0.1].",
)
@click.option(
    "--max-loss",
    type=click.FloatRange(0, 1),
    help="How far Dice may fall below the default configuration's [superior: 0.02].",
)
@click.option(
    "--min-lead",
    type=click.FloatRange(0, 1),
    help="By how much Dice must exceed the champion's on the same cases [superior: 0].",
)
@click.option(
    "--force", is_flag=True, help="Promote against the gate; needs --reason, and the model says so."
)
@click.option(
    "--reason",
    metavar="TEXT",
    help="Why the gate is overruled; kept in the ledger, in MLflow "
    "and with the model, so without patient data.",
)
@click.option("--again", is_flag=True, help="Open the hold-out once more; uses are counted.")
@prevalence_option
@click.option(
    "--request",
    is_flag=True,
    help="Make it `challenger`, for somebody else to `approve` or `reject`; the champion stays.",
)
@click.option(
    "--key",
    type=EXISTING_FILE,
    help="With --request: your private key (`ssh-keygen -t ed25519`), so that it cannot approve.",
)
@click.option("--rollback", is_flag=True, help="Do what `ptxsweep rollback` does.")
@home_options
@json_option
def promote_command(
    name: str,
    model_name: str | None,
    store: Path | str | None,
    gate_name: str,
    min_gain: float | None,
    min_dice_positive: float | None,
    max_loss: float | None,
    min_lead: float | None,
    force: bool,
    reason: str | None,
    again: bool,
    prevalence: float | None,
    request: bool,
    key: Path | None,
    rollback: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Make the winner of the sweep NAME the champion, if the evidence holds.

    The winner's five-fold ensemble is scored once on the locked hold-out, the default
    configuration's and the present champion beside it. Exit code 3 says that the gate refused it;
    the reasons stand on standard error and in the ledger.
    """
    home = open_home(options)

    if rollback:
        from sweep.cli.rollback import roll_back

        _only_rollback()
        roll_back(home, name, model_name, reason, as_json)
        return
    from sweep.promotion import promote as promotion

    margins = {
        "min_gain": min_gain,
        "min_dice_positive": min_dice_positive,
        "max_loss": max_loss,
        "min_lead": min_lead,
    }
    gate = promotion.load_gate(gate_name).overridden(margins)
    try:
        promoted = promotion.promote(
            home,
            name,
            model_name=model_name,
            gate=gate,
            force=force,
            reason=reason,
            again=again,
            prevalence=prevalence,
            request=request,
            key=key,
            store=store,
            on_progress=counter("scored"),
            on_verify=verifying(),
            on_compare=comparing(),
        )
    except GateRefused as refusal:
        if as_json:
            emit_refusal(refusal)
        elif refusal.confirmation is not None:
            print_holdout(refusal.confirmation)
        _say_cautions(refusal.cautions)
        raise
    if as_json:
        _say_cautions(promoted.verdict.cautions)
        emit(promoted)
    else:
        print_promotion(promoted)


def _only_rollback() -> None:
    """Refuse options that `--rollback` would leave aside."""
    context = click.get_current_context()
    given = [
        f"--{option.removesuffix('_name').replace('_', '-')}"
        for option in _FOR_THE_GATE
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError(
            f"--rollback asks no gate and opens no hold-out: found {', '.join(given)} beside it, "
            "expected --model-name and --reason at most"
        )


def print_promotion(promoted: Promotion) -> None:
    """Which version became champion, and on what evidence."""
    word = "is" if promoted.is_new else "was already"
    if promoted.requested:
        say(
            f"it waits for somebody else: `ptxsweep approve {promoted.model_name}`, or `reject`; "
            + (
                f"version {promoted.previous_version} stays champion"
                if promoted.previous_version
                else "there is no champion yet"
            )
        )
    what = "challenger" if promoted.requested else "champion"
    click.echo(
        f"trial {promoted.trial} of {promoted.sweep} {word} {what}: {promoted.model_uri} "
        f"(version {promoted.version})"
        + (f", against the gate: {promoted.reason}" if promoted.forced else "")
    )
    print_holdout(promoted.confirmation)
    _say_cautions(promoted.verdict.cautions)
    if (gate := promoted.verdict.gate) is not None:
        click.echo(f"gate {gate['name']} ({gate['digest'][:12]})")
    if promoted.verdict.eased:
        click.echo(f"the gate asked for less than usual: {', '.join(promoted.verdict.eased)}")
    for check in promoted.verdict.checks:
        click.echo(f"  {'passed' if check.passed else 'FAILED'}  {check}")


def emit_refusal(refusal: GateRefused) -> None:
    """What was refused and why, as the one JSON object."""
    emit(
        {
            "promoted": False,
            "reasons": refusal.reasons,
            "cautions": refusal.cautions,
            "verdict": refusal.verdict,
            "confirmation": refusal.confirmation,
        }
    )


def _say_cautions(cautions: Sequence[str]) -> None:
    for text in cautions:
        say(f"caution: {text}")


def print_holdout(found: Confirmation) -> None:
    """The winner on the locked cases, promoted or not."""
    from sweep.analysis.selection_bias import of_data

    alone = found.num_positive == found.num_cases
    labels = ", ".join(
        caution.label for caution in of_data(phantom=found.phantom, positives_alone=alone)
    )
    click.echo(
        f"hold-out{f' ({labels})' if labels else ''}: {found.num_cases} cases, "
        f"{found.num_positive} positive; Dice {found.metrics['dice']:.4f} "
        f"({found.stated_span('dice', '.4f')}, both empty = 1), "
        f"predicting nothing {found.baseline:.4f}"
    )
    click.echo(
        f"Dice over positive cases {found.metrics['dice_positive']:.4f} "
        f"({found.stated_span('dice_positive', '.4f')}); masks are {found.rule.words}"
    )
    for sentence in found.at_prevalence:
        click.echo(sentence)
    if found.num_uses > 1:
        spent = found.confidence_in("dice")
        click.echo(
            f"use {found.num_uses} of these cases, so intervals that are decided on are at {spent} "
            "instead of 95%: all uses together share one chance of an error"
        )
    if found.metrics.get("num_with_spacing", 0.0) > 0:
        click.echo(
            "outlines over positive cases: surface Dice at 2 mm "
            f"{found.metrics['surface_dice_positive']:.4f}, 95% Hausdorff distance "
            f"{found.metrics['hausdorff95_positive_mm']:.1f} mm (a miss = the image's diagonal)"
        )
