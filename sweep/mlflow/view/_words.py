"""What MLflow shows in words, as Markdown: the notes of a sweep, of a trial and of experiments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import yaml

from ptxcore.metrics import CONVENTIONS, better
from sweep.analysis.cohort import cohort_of, describe, has_positives_alone
from sweep.analysis.operating_point import fold_values, rule_of, rule_text
from sweep.analysis.phrases import note_text
from sweep.analysis.selection_bias import of_data
from sweep.analysis.statistics import mean_sd
from sweep.analysis.verdict import SweepVerdict
from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Projection, Trial
from sweep.mlflow.view._metrics import Reference, stopped_in
from sweep.records import State
from sweep.util.numbers import all_finite
from sweep.util.words import count

#: The tag that MLflow shows as the description of a run or an experiment.
DESCRIPTION = "mlflow.note.content"
#: Reasons that a sweep's note names, the most frequent first.
_MAX_REASONS = 5
_MAX_NOTE = 4_000
#: Notes of people that a sweep's description has.
_MAX_NOTES = 3
#: What Markdown reads as more than a letter.
_MARKS = re.compile(r"[\\`*_{}\[\]<>#|~!&$]")


def progress_text(trial: Trial) -> str:
    """How far a trial is."""
    text = f"{count(len(trial.folds), 'fold')} finished, {count(trial.num_epochs, 'epoch')}"
    if trial.running_fold is not None:
        epoch = max(trial.epochs.get(trial.running_fold, {0: 0.0}))
        text += f"; fold {trial.running_fold} is at epoch {epoch}"
    return text


def stopped_text(trial: Trial) -> str | None:
    """Where and why a trial ended before it was complete; None of others."""
    if not trial.state.is_final or trial.state is State.COMPLETE:
        return None
    place = stopped_in(trial)
    where = f"after {count(len(trial.folds), 'fold')}"
    if place is not None:
        where = f"in fold {place[0]} at epoch {place[1]}"
    if trial.state is State.PRUNED and place is not None:  # its reason says the same
        return f"pruned {where}, where it was behind others"
    return f"{trial.state} {where}: {trial.reason or 'no reason is known'}"


def trial_note(trial: Trial, projection: Projection, reference: Reference, sweep_link: str) -> str:
    """What became of a trial, and how it differs from the default."""
    parts = [_outcome(trial, projection, reference)]
    default = projection.trials[0]
    if trial.is_default:
        parts.append("It stands at the defaults of the space.")
    else:
        changes = [
            f"`{key}` {_plain(value)} (default {_plain(default.settings.get(key))})"
            for key, value in sorted(trial.parameters.items())
            if value != default.settings.get(key)
        ]
        parts.append(f"Differs from the default in {', '.join(changes) or 'nothing'}.")
    parts.append(f"Sweep: {sweep_link}. Other metrics are in metrics.json, curves in curves.json.")
    return "\n\n".join(parts)[:_MAX_NOTE]


def sweep_note(
    projection: Projection, said: SweepVerdict, links: Mapping[str, str], gate: str | None
) -> str:
    """The verdict first, then why the others stopped, then what to mind.

    Args:
        projection: Projection of the sweep.
        said: Its verdict.
        links: Where to go on, by what is there.
        gate: What the gate said of the winner, None before a promotion was tried.
    """
    lead, *rest = said.sentences
    # MLflow shows some six lines until it is asked for more: the links are among them.
    parts = [f"**{lead}**", " · ".join(f"{what}: {link}" for what, link in links.items())]
    if gate is not None:
        parts.append(f"Gate: {gate}.")
    # The last ones, since MLflow takes texts of some length alone.
    parts += [_MARKS.sub(r"\\\g<0>", note_text(note)) for note in projection.notes[-_MAX_NOTES:]]
    parts.append(" ".join(rest))
    if stopped := _stopped(projection):
        parts.append("Why the others stopped:\n\n" + "\n".join(f"- {line}" for line in stopped))
    parts += said.cautions
    if (cases := describe(cohort_of(projection.header))) is not None:
        parts.append(f"Cases: {cases}.")
    return "\n\n".join(part for part in parts if part)[:_MAX_NOTE]


def sweeps_note() -> str:
    """Description of the experiment that holds the runs of sweeps."""
    return (
        "Sweeps of ptxsweep, one run each: `score` is the winner's, `score_vs_default` what it has "
        "over the default settings, `holdout/...` what a confirmation found. The description of a "
        "run gives the verdict and leads to its trials. Models are promoted by `ptxsweep promote`, "
        "which asks the gate; an alias set by hand does not."
    )


def trials_note(name: str, header: SweepHeader, sweep_link: str) -> str:
    """Description of the experiment that holds the runs of one sweep's trials."""
    found = of_data(
        phantom=header.is_phantom, positives_alone=has_positives_alone(cohort_of(header))
    )
    cautioned = "".join(f"**{one.head}** {_capital(one.text)}.\n\n" for one in found)
    return (
        f"{cautioned}Trials of the sweep {sweep_link}. Sort by `score`, the mean {header.metric} "
        f"over {count(header.num_folds, 'fold')}; only complete trials have it. The tag "
        "`ptxsweep.stopped` says why a trial is not complete."
    )


def data_description(header: SweepHeader) -> str:
    """What to mind of the cases, as Markdown; empty if nothing is known."""
    cohort = cohort_of(header)
    found = of_data(phantom=header.is_phantom, positives_alone=has_positives_alone(cohort))
    lines = [f"**{one.head}** {_capital(one.text)}." for one in found]
    lines += [f"Cases: {text}." for text in (describe(cohort),) if text is not None]
    return "".join(f"{line}\n\n" for line in lines)


def glossary() -> str:
    """How to read each metric, as Markdown."""
    head = (
        "Metrics by the last part of their names; those that end in `_size_...` or `_view_...` are "
        "the same of a group of cases. Masks are made with the threshold that the other folds "
        "choose, as a model is deployed, or with the fixed one of the settings: metrics.json says "
        "which, and the tag `ptxsweep.threshold`.",
        "",
        "| metric | better | what it counts, and what empty masks do |",
        "| --- | --- | --- |",
    )
    rows = (f"| {key} | {better(key) or '-'} | {text} |" for key, text in CONVENTIONS.items())
    return "\n".join((*head, *rows)) + "\n"


def _outcome(trial: Trial, projection: Projection, reference: Reference) -> str:
    if (stopped := stopped_text(trial)) is not None:
        return f"**{_capital(stopped)}.**"
    if trial.state is not State.COMPLETE:
        return f"**{_capital(str(trial.state))}**: {progress_text(trial)}."
    values = [score.value for score in trial.folds.values()]
    if not all_finite(values):
        return "**Complete**, but some score is no number."
    mean, sd = mean_sd(values)
    folds = count(len(values), "fold")
    text = f"**Trial #{trial.number}: {projection.header.metric} {mean:.3f}**, SD {sd:.3f} "
    text += f"over {folds}"
    if (found := reference.difference(trial)) is not None:
        text += f"; {found.mean:+.3f} to the default on the same folds"
        if reference.is_over:
            text += (
                f" ({found.confidence:.0%} interval {found.low:+.3f} to {found.high:+.3f}, "
                f"corrected for {count(found.num_compared, 'trial')})"
            )
    return f"{text}. {_dice(trial)}"


def _dice(trial: Trial) -> str:
    """Dice with its rule and convention beside the all-empty baseline."""
    known = {key: list(fold_values(trial, key).values()) for key in ("dice", "dice_all_empty")}
    if not all(values and all_finite(values) for values in known.values()):
        return ""
    dice, empty = (mean_sd(values)[0] for values in known.values())
    rule = rule_text(rule_of(trial, "dice"), trial.settings)
    return f"Dice {dice:.3f} ({rule}; {CONVENTIONS['dice']}); predicting nothing has {empty:.3f}."


def _stopped(projection: Projection) -> list[str]:
    """The states of trials that are not complete, each with its most frequent reasons."""
    space = yaml.safe_load(projection.header.space_text or "") or {}
    pruner = (space.get("pruner") or {}).get("name")
    reasons: Counter[str] = Counter()
    for trial in projection.trials:
        if not trial.state.is_final or trial.state is State.COMPLETE:
            continue
        place = stopped_in(trial)
        if trial.state is State.PRUNED and place is not None:
            by = f" by the pruner `{pruner}`" if pruner else ""
            reasons[f"pruned in fold {place[0]}{by}"] += 1
        else:
            reasons[f"{trial.state}: {trial.reason or 'no reason is known'}"] += 1
    shown = reasons.most_common(_MAX_REASONS)
    lines = [f"{number:,} {why}" for why, number in shown]
    if (rest := reasons.total() - sum(number for _, number in shown)) > 0:
        lines.append(f"{rest:,} more, each with its reason in the tag `ptxsweep.stopped`")
    return lines


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
