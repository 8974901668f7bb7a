"""Facts of a card about what was found: in the search, and on the hold-out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sweep.analysis.detection import known_detection, sentence
from sweep.promotion.card._data import prevalence
from sweep.promotion.card._evidence import CardEvidence
from sweep.promotion.card._measured import beside, limits, measured, parts, subgroups
from sweep.util.words import count


def _sentence(parts: Sequence[str], start: str = "") -> str | None:
    return f"{start}{'; '.join(parts)}." if parts else None


def _summary(evidence: CardEvidence) -> str:
    return " ".join(filter(None, (_verdict(evidence), _holdout(evidence), _gate(evidence))))


def _holdout(evidence: CardEvidence) -> str | None:
    found = evidence.confirmation
    if found is None:
        return None
    head = (
        f"On the locked hold-out ({count(found.num_cases, 'case')} of "
        f"{count(found.num_groups, 'patient')}, {found.num_positive} positive, use {found.use} by "
        f"this sweep and {found.num_uses} in all): "
    )
    gain = f"Dice above predicting nothing {found.gain:+.4f} ({found.stated_span('gain')})"
    text = _sentence([*measured(evidence, ("dice", "dice_positive")), gain], head)
    return " ".join((str(text), *found.at_prevalence))


def _gate(evidence: CardEvidence) -> str | None:
    judged = evidence.judged
    if judged is None:
        return None
    word = "passed" if judged.get("passed") else "refused"
    gate = judged.get("gate") or {}
    name = f" '{gate['name']}'" if isinstance(gate, dict) and gate.get("name") else ""
    return f"The gate{name} {word} it."


def _performance(evidence: CardEvidence) -> str | None:
    names = ("dice", "dice_positive", "iou", "average_precision", "surface_dice_positive",
             "hausdorff95_positive_mm")  # fmt: skip
    texts = (_scored(evidence, names), _sentence(beside(evidence.confirmation)))
    return " ".join(filter(None, texts)) or None


def _diagnostic(evidence: CardEvidence) -> str | None:
    names = ("case_sensitivity", "case_specificity", "case_precision")
    told = known_detection(evidence.projection)
    texts = (_scored(evidence, names, "Image by image"), None if told is None else sentence(told))
    return " ".join(filter(None, texts)) or None


def _failures(evidence: CardEvidence) -> str | None:
    found = evidence.confirmation
    if found is None:
        return None
    parts = []
    for name, words, of in (
        ("case_sensitivity", "positive cases without any mask", found.num_positive),
        ("case_specificity", "healthy cases with one", found.num_cases - found.num_positive),
    ):
        rate = found.metrics.get(name, math.nan)
        if math.isfinite(rate):
            parts.append(f"{round((1 - rate) * of)} of {of} {words}")
    text = _sentence(parts, "On the hold-out: ")
    return None if text is None else f"{text} The report shows the worst cases of the search."


def _subgroups(evidence: CardEvidence) -> str | None:
    texts = (_scored(evidence, subgroups(evidence)), _sentence(parts(evidence.confirmation)))
    return " ".join(filter(None, texts)) or None


def _sizes(evidence: CardEvidence) -> str | None:
    names = [name for name in subgroups(evidence) if name.startswith("dice_size_")]
    return _scored(evidence, names, "By quarter of mask size")


def _numbers(evidence: CardEvidence) -> str | None:
    found, folds = evidence.confirmation, None
    if evidence.winner is not None:
        counts = [score.metrics.get("num_cases") for score in evidence.winner.folds.values()]
        if counts and None not in counts:
            folds = f"Scored by fold: {', '.join(f'{number:.0f}' for number in counts)} cases."
    held = None if found is None else (
        f"Hold-out: {found.num_cases} cases, {found.num_positive} positive, "
        f"{count(found.num_groups, 'patient')}."
    )  # fmt: skip
    return " ".join(filter(None, (folds, held))) or None


def _verdict(evidence: CardEvidence) -> str:
    fresh = "" if evidence.confirmed is None else f"{evidence.confirmed.sentence} "
    return f"{fresh}{evidence.verdict.text}"


def _robustness(evidence: CardEvidence) -> str | None:
    score = evidence.verdict.score
    if score is None or math.isnan(score.sd):
        return None
    metric = evidence.projection.header.metric
    return (
        f"Trained {score.num_folds} times on other parts of the data: {metric} {score.mean:.3f} "
        f"with SD {score.sd:.3f} between the folds ({score.confidence:.0%} interval "
        f"{score.low:.3f} to {score.high:.3f})."
    )


def _explanation(evidence: CardEvidence) -> str | None:
    if evidence.winner is None:
        return None
    if evidence.winner.settings.get("network") == "attention_unet":
        return (
            "`ptxsweep predict --attention gates` draws where the network's gates are open; that "
            "they show why a mask was drawn was not tested."
        )
    return "None: this network has no gates to show; its output is all there is."


def _imbalance(evidence: CardEvidence) -> str | None:
    winner, share = evidence.winner, prevalence(evidence)
    if winner is None:
        return share
    names: tuple[str, ...] = (
        *("positive_fraction", "foreground_share"),
        *("bce_weight", "dice_weight", "focal_weight", "tversky_weight"),
    )
    if winner.settings.get("case_head"):
        names += ("case_loss_weight",)
    shown = ", ".join(f"{n} {winner.settings[n]:.3g}" for n in names if n in winner.settings)
    return (
        f"{share or ''} Samples and loss are weighted ({shown or 'by the defaults'}); "
        "probabilities are not recalibrated, the rule that makes masks is chosen on folds."
    ).strip()


def _of(*names: str) -> Callable[[CardEvidence], str | None]:
    return lambda evidence: _scored(evidence, names)


def _scored(evidence: CardEvidence, names: Sequence[str], what: str = "") -> str | None:
    """On the hold-out; over the folds where the model was not scored there."""
    place = "on the hold-out" if evidence.confirmation is not None else "over the folds"
    start = f"{what} {place}: " if what else f"{place.capitalize()}: "
    return _sentence(measured(evidence, names), start)


def _output(evidence: CardEvidence) -> str | None:
    found = evidence.confirmation
    mask = "" if found is None else f" A mask holds {found.rule.words}."
    return f"A probability for each pixel of the original image.{mask}"


def _threshold(evidence: CardEvidence) -> str | None:
    text = (
        "The rule of a fold's masks is chosen on the other folds, that of the model on all "
        "out-of-fold cases; the hold-out alone judges it."
    )
    found = evidence.confirmation
    if found is None:
        return text
    return " ".join(filter(None, (text, f"Rule: {found.rule.words}.", found.agreed)))


def _baseline(evidence: CardEvidence) -> str | None:
    nothing, found = evidence.verdict.nothing, evidence.confirmation
    parts = []
    if nothing is not None:
        parts.append(
            f"in the folds {nothing.all_empty:.4f} against {nothing.dice:.4f} of the winner "
            f"({nothing.threshold})"
        )
    if found is not None:
        parts.append(f"on the hold-out {found.baseline:.4f} against {found.metrics['dice']:.4f}")
    return _sentence(parts, "Dice of predicting nothing (both empty = 1): ")


def _limits(evidence: CardEvidence) -> str:
    return " ".join(limits(evidence))


def _updating(evidence: CardEvidence) -> str:
    if evidence.rollbacks:
        return " ".join(evidence.rollbacks)
    return "None: each change is another sweep, judged by the gate on a hold-out before it is used."


RESULTS: dict[str, Callable[[CardEvidence], str | None]] = {
    "summary": _summary,
    "verdict": _verdict,
    "holdout": _holdout,
    "performance": _performance,
    "diagnostic": _diagnostic,
    "failures": _failures,
    "subgroups": _subgroups,
    "sizes": _sizes,
    "numbers": _numbers,
    "robustness": _robustness,
    "explanation": _explanation,
    "imbalance": _imbalance,
    "outlines": _of("surface_dice_positive", "hausdorff95_positive_mm"),
    "overlap": _of("dice", "dice_positive", "iou", "iou_positive"),
    "calibration": _of("calibration_error"),
    "ranking": _of("average_precision"),
    "output": _output,
    "threshold": _threshold,
    "baseline": _baseline,
    "limits": _limits,
    "updating": _updating,
}
