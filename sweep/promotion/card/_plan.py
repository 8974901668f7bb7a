"""The three parts of a change-control plan, and what stands in them.

The shape is that of the FDA's guidance on predetermined change control plans for AI-enabled device
software functions (December 2024): which modifications are meant, by which protocol one comes into
use, and what was found of this one. No such plan was submitted anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweep.promotion.card._evidence import CardEvidence
from sweep.promotion.card._measured import beside, limits, measured, parts, subgroups


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One setting that a sweep may change.

    Attributes:
        name: Name of the setting.
        values: Values that it may take, in words.
        default: Default of the search space.
        chosen: Value of this model; None where there is no winner or the setting was not active.
    """

    name: str
    values: str
    default: Any
    chosen: Any


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan, and what became of it.

    Attributes:
        parameters: What may be modified.
        fixed: What may not, by name.
        protocol: Steps of the protocol, in sentences.
        checks: Questions of the gate: name, passed, found and expected of each.
        verdict: Verdict of the sweep, in sentences.
        search: Verdict of the search, where the sweep trained its best trials on fresh folds; else
            empty.
        holdout: Scores on the hold-out, in words.
        subgroups: Scores of its groups.
        limits: What the evidence does not show.
        rollbacks: What became of the model since.
    """

    parameters: tuple[Parameter, ...]
    fixed: Mapping[str, Any]
    protocol: tuple[str, ...]
    checks: tuple[Mapping[str, Any], ...]
    verdict: tuple[str, ...]
    search: tuple[str, ...]
    holdout: tuple[str, ...]
    subgroups: tuple[str, ...]
    limits: tuple[str, ...]
    rollbacks: tuple[str, ...]


def make_plan(evidence: CardEvidence, facts: Mapping[str, str]) -> Plan:
    """The plan of a sweep and its impact, as far as it is known.

    Args:
        evidence: What is known of the sweep.
        facts: The same by key, see `_facts.known`.
    """
    space = evidence.space
    fixed = space.get("fixed")
    judged = evidence.judged or {}
    names = ("dice", "dice_positive", "iou", "average_precision", "case_sensitivity",
             "case_specificity", "case_precision", "surface_dice_positive",
             "hausdorff95_positive_mm", "calibration_error")  # fmt: skip
    performance = [facts[key] for key in ("baseline",) if key in facts]
    return Plan(
        parameters=tuple(_parameters(evidence)),
        fixed=dict(fixed) if isinstance(fixed, Mapping) else {},
        protocol=tuple(_protocol(evidence, facts)),
        checks=tuple(dict(check) for check in judged.get("checks") or ()),
        verdict=(
            *(() if evidence.confirmed is None else (evidence.confirmed.sentence,)),
            *evidence.verdict.sentences,
        ),
        search=() if evidence.search is None else evidence.search.sentences,
        holdout=(*measured(evidence, names), *beside(evidence.confirmation), *performance),
        subgroups=(*measured(evidence, subgroups(evidence)), *parts(evidence.confirmation)),
        limits=tuple(limits(evidence)),
        rollbacks=evidence.rollbacks,
    )


def _parameters(evidence: CardEvidence) -> list[Parameter]:
    known = evidence.space.get("parameters")
    inference = evidence.space.get("inference")
    winner = evidence.winner
    found = []
    for name, given in known.items() if isinstance(known, Mapping) else ():
        spec = given if isinstance(given, Mapping) else {}
        found.append(
            Parameter(
                name=str(name),
                values=_values(spec),
                default=spec.get("default"),
                chosen=None if winner is None else winner.parameters.get(name),
            )
        )
    for name, values in inference.items() if isinstance(inference, Mapping) else ():
        found.append(
            Parameter(
                name=str(name),
                values=f"one of {values}, in inference alone",
                default=None,
                chosen=None if winner is None else winner.inference.get(name),
            )
        )
    return found


def _values(spec: Mapping[str, Any]) -> str:
    if "choices" in spec:
        text = f"one of {', '.join(map(str, spec['choices']))}"
    else:
        scale = ", logarithmic" if spec.get("log") else ""
        step = f" in steps of {spec['step']}" if spec.get("step") else ""
        text = f"{spec.get('low')} to {spec.get('high')}{step}{scale}"
    when = spec.get("when")
    return f"{text}, where {_condition(when)}" if isinstance(when, Mapping) and when else text


def _condition(when: Mapping[str, Any]) -> str:
    def among(values: Any) -> str:
        return " or ".join(map(str, values if isinstance(values, list) else [values]))

    return " and ".join(f"{name} is {among(values)}" for name, values in when.items())


def _protocol(evidence: CardEvidence, facts: Mapping[str, str]) -> list[str]:
    keys = ("partition", "disjoint", "choice", "threshold")
    steps = [facts[key] for key in keys if key in facts]
    if "statistics" in facts:
        steps.append(facts["statistics"])
    steps.append(_gate(evidence.judged))
    steps += [_use(evidence)]
    steps.append(
        "A model comes into use when the alias `champion` moves to its version, after its files "
        "were written, hashed and loaded back; `ptxsweep rollback` brings back the one before."
    )
    return steps


def _gate(judged: Mapping[str, Any] | None) -> str:
    if judged is None:
        return "The gate has not been asked yet."
    gate = judged.get("gate")
    when, by = judged.get("at", "at an unknown time"), judged.get("by") or "an unknown person"
    said = f"Asked {when} by {by}."
    if not isinstance(gate, Mapping):
        return f"Gate: every check below decides on the end of an interval. {said}"
    content = gate.get("content", gate)
    margins = ", ".join(_margins(content) if isinstance(content, Mapping) else ())
    digest = f" ({str(gate['digest'])[:12]})" if gate.get("digest") else ""
    return f"Gate {gate.get('name', 'unnamed')}{digest}: {margins}. {said}"


def _margins(content: Mapping[str, Any], start: str = "") -> list[str]:
    found = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            found += _margins(value, f"{start}{key}.")
        elif key not in ("name", "description", "digest") and value is not None:
            listed = " and ".join(map(str, value)) if isinstance(value, list) else value
            found.append(f"{start}{key} {listed}")
    return found


def _use(evidence: CardEvidence) -> str:
    found = evidence.confirmation
    if found is None:
        return f"The hold-out was used {len(evidence.uses)} times by this sweep."
    return (
        f"The hold-out (SHA-256 {found.holdout_digest}) was opened {found.timestamp}: use "
        f"{found.use} by this sweep, {found.num_uses} of its cases in all; the gate "
        f"decided on intervals at {found.confidence_in('dice')}, those printed are at "
        f"{found.printed_confidence('dice')}."
    )
