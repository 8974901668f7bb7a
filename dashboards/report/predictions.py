"""Cases that the winner segmented best, in between and worst, and its false alarms.

Every prediction is out of fold: a case is shown as the network saw it that was never trained on
it, under the rule that was chosen on the other folds. Choosing is a pure function of the per-case
tables; drawing reads images from the case store and runs inference through `ptxcore` for the few
chosen cases. Nothing is trained.

`dashboards` may read `ptxcore` for that: data, metrics and inference. Inference is imported when it
is called, so that the report of a ledger does not wait for PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dashboards.report.markup import Markup, join, tag
from dashboards.report.thumbnails import data_uri, thumbnail
from dashboards.text import score
from ptxcore.data.store.case_store import CaseStore
from ptxcore.metrics import apply_rule, load_table, logits_to_mask, per_case_dice
from ptxcore.settings import FoldSettings
from ptxcore.types import CaseTable, Rule, Runtime
from sweep.analysis.intervals import TOO_FEW
from sweep.analysis.operating_point import OperatingPoint
from sweep.analysis.rates import rate_interval
from sweep.ledger.projection import Trial
from sweep.util.words import count

#: Kinds of examples in the order in which they are shown.
KINDS = {
    "best": "Best",
    "middle": "In the middle",
    "worst": "Worst",
    "false alarm": "False alarms: no pneumothorax in the truth",
}


#: Side of one panel of attention maps.
_ATTENTION_PX = 240


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A case worth a look.

    Attributes:
        kind: One of `KINDS`.
        case_id: Hashed.
        fold: Fold that held it.
        dice: Dice of the case; 0 for a false alarm.
        truth_share: Share of the image inside the true mask.
        predicted_share: Share of the image inside the predicted mask.
    """

    kind: str
    case_id: str
    fold: int
    dice: float
    truth_share: float
    predicted_share: float


@dataclass(frozen=True, kw_only=True)
class Example:
    """A chosen case with its picture, RGB, see `dashboards.report.thumbnails`.

    Attributes:
        choice: The case.
        picture: Image, truth and prediction.
        attention: Where the attention gates of its network look, as
            `ptxcore.inference.attention_sheet` draws it, RGB; None without gates, and of all cases
            but the first of their kind.
    """

    choice: Choice
    picture: NDArray[np.uint8]
    attention: NDArray[np.uint8] | None = None


@dataclass(frozen=True, kw_only=True)
class PredictionsInfo:
    """What the gallery shows.

    Attributes:
        trial: Trial that made the predictions.
        examples: Examples by kind, best first within each.
        num_positive: Positive cases of all folds.
        num_found: How many of them overlap with their prediction at all.
        num_negative: Cases with an empty truth.
        num_false_alarms: How many of them were predicted not to be empty.
        found: 95% interval of the share found, over patients; NaN twice where there are too few.
        false_alarms: Likewise of the share of false alarms.
    """

    trial: int
    examples: tuple[Example, ...]
    num_positive: int
    num_found: int
    num_negative: int
    num_false_alarms: int
    found: tuple[float, float] = (math.nan, math.nan)
    false_alarms: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True, kw_only=True)
class CaseScores:
    """Every out-of-fold case of a trial; all arrays have shape (N,).

    Attributes:
        case_ids: Hashed.
        folds: Folds that held the case.
        dice: Both empty = 1.
        truth_share: Share of the image inside the true mask.
        predicted_share: Share of the image inside the predicted mask.
    """

    case_ids: NDArray[np.str_]
    folds: NDArray[np.int64]
    dice: NDArray[np.float64]
    truth_share: NDArray[np.float64]
    predicted_share: NDArray[np.float64]


def score_cases(tables: Mapping[int, CaseTable], rules: Mapping[int, Rule]) -> CaseScores:
    """Score every case of every fold under the fold's rule, from counts alone."""
    parts: list[CaseScores] = []
    for fold, table in tables.items():
        counts = apply_rule(table, rules[fold])
        truth = table.truth.sum(axis=1)
        pixels = truth + table.background.sum(axis=1)
        parts.append(
            CaseScores(
                case_ids=table.case_ids,
                folds=np.full(len(pixels), fold, np.int64),
                dice=per_case_dice(table, rules[fold]),
                truth_share=truth / pixels,
                predicted_share=(counts.true_positive + counts.false_positive) / pixels,
            )
        )
    return CaseScores(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in CaseScores.__dataclass_fields__
        }
    )


def choose(scores: CaseScores, *, num_each: int = 3) -> tuple[Choice, ...]:
    """Pick positive cases from both ends and the middle, and the largest false alarms.

    Ties go to the larger truth, then to the case id, so the choice is the same every time.
    """
    order = [
        int(i)
        for i in np.lexsort((scores.case_ids, -scores.truth_share, -scores.dice))
        if scores.truth_share[i] > 0
    ]
    best = order[:num_each]
    worst = order[max(len(best), len(order) - num_each) :]
    rest = order[len(best) : len(order) - len(worst)]
    start = max(0, (len(rest) - num_each) // 2)
    alarms = [
        int(i)
        for i in np.lexsort((scores.case_ids, -scores.predicted_share))
        if scores.truth_share[i] == 0 and scores.predicted_share[i] > 0
    ]
    chosen = {
        "best": best,
        "middle": rest[start : start + num_each],
        "worst": worst,
        "false alarm": alarms[:num_each],
    }
    return tuple(
        Choice(
            kind=kind,
            case_id=str(scores.case_ids[i]),
            fold=int(scores.folds[i]),
            dice=float(scores.dice[i]),
            truth_share=float(scores.truth_share[i]),
            predicted_share=float(scores.predicted_share[i]),
        )
        for kind, indices in chosen.items()
        for i in indices
    )


def collect_predictions(
    trial: Trial,
    *,
    store: CaseStore,
    folder: Path,
    runtime: Runtime,
    operating_point: OperatingPoint | None = None,
    num_each: int = 3,
) -> PredictionsInfo:
    """Choose cases of a trial and predict each with the network of the fold that held it.

    Args:
        trial: Usually the winner; its folds' tables and weights must still be there.
        store: The cases of the sweep.
        folder: Folder of the sweep; fold scores name their files relative to it.
        runtime: Runtime for inference.
        operating_point: Its rules by fold count here; without it the threshold of the settings
            does.
        num_each: Cases of each kind.
    """
    settings = FoldSettings.from_mapping({**trial.settings, **trial.inference})
    folds = [f for f in sorted(trial.folds) if trial.folds[f].cases is not None]
    tables = {f: load_table(folder / str(trial.folds[f].cases)) for f in folds}
    rules = _rules(settings, folds, operating_point)
    scores = score_cases(tables, rules)
    positive = scores.truth_share > 0
    choices = choose(scores, num_each=num_each)
    hits, alarms = scores.dice > 0, scores.predicted_share > 0
    groups = [store.cases[store.index(name)].group for name in scores.case_ids.tolist()]
    return PredictionsInfo(
        trial=trial.number,
        examples=_draw(choices, trial, settings, rules, store, folder, runtime),
        num_positive=int(positive.sum()),
        num_found=int((positive & hits).sum()),
        num_negative=int((~positive).sum()),
        num_false_alarms=int((~positive & alarms).sum()),
        found=rate_interval(hits, positive, groups),
        false_alarms=rate_interval(alarms, ~positive, groups),
    )


def _rules(
    settings: FoldSettings, folds: Sequence[int], operating_point: OperatingPoint | None
) -> dict[int, Rule]:
    if operating_point is not None:
        return dict(zip(folds, operating_point.rules, strict=True))
    plain = Rule(top=settings.threshold, bottom=settings.threshold)
    return dict.fromkeys(folds, plain)


def _draw(
    choices: Sequence[Choice],
    trial: Trial,
    settings: FoldSettings,
    rules: Mapping[int, Rule],
    store: CaseStore,
    folder: Path,
    runtime: Runtime,
) -> tuple[Example, ...]:
    """Predict fold by fold, so that each network is loaded once."""
    from ptxcore.inference import (
        for_inference_on,
        place,
        predict_attention,
        predict_image,
    )
    from ptxcore.inference.attention_sheet import attention_sheet
    from ptxcore.models import load_weights

    firsts = {choice.kind: choice.case_id for choice in reversed(choices)}
    grid = store.resampled(settings.image_size, settings.resampling)
    drawn: dict[str, Example] = {}
    for fold in sorted({choice.fold for choice in choices}):
        weights = folder / str(trial.folds[fold].weights)
        network = for_inference_on(place(load_weights(weights)[0], runtime), runtime)
        for choice in choices:
            if choice.fold != fold:
                continue
            index = store.index(choice.case_id)
            image, truth = store.image(index), store.mask(index)
            shape = (truth.shape[0], truth.shape[1])
            logits, case = predict_image(network, grid.image(index), shape, settings, runtime)
            mask = logits_to_mask(logits, rules[fold], case)
            attention = None
            if firsts[choice.kind] == choice.case_id:
                maps = predict_attention(network, image, settings, runtime)
                if len(maps):
                    sheet = attention_sheet(image, mask, maps, panel_px=_ATTENTION_PX)
                    attention = np.asarray(sheet)
            drawn[choice.case_id] = Example(
                choice=choice, picture=thumbnail(image, truth, mask), attention=attention
            )
    return tuple(drawn[choice.case_id] for choice in choices)


def gallery(info: PredictionsInfo) -> Markup:
    """The pictures under a heading for each kind, with what the outlines mean."""
    parts: list[Markup] = [
        tag(
            "p",
            f"Out-of-fold predictions of trial #{info.trial}: of "
            f"{count(info.num_positive, 'positive case')}, {info.num_found} overlap with their "
            f"prediction{_share(info.num_found, info.num_positive, info.found)}; of "
            f"{count(info.num_negative, 'empty case')}, {info.num_false_alarms} raised a false "
            f"alarm{_share(info.num_false_alarms, info.num_negative, info.false_alarms)}. Left "
            "the whole image, right a close-up.",
        ),
        tag(
            "p",
            tag("span", class_="key"),
            " truth  ",
            tag("span", class_="key prediction"),
            " prediction",
        ),
    ]
    for kind, title in KINDS.items():
        examples = [example for example in info.examples if example.choice.kind == kind]
        if examples:
            parts.append(tag("h3", title))
            parts.append(tag("ul", *map(_example, examples), class_="cases"))
            parts += [_attention(one) for one in examples if one.attention is not None]
    return join(parts)


def _attention(example: Example) -> Markup:
    assert example.attention is not None
    text = (
        f"Where the attention gates look at case {example.choice.case_id}: the image with the "
        "predicted mask, then each gate, the finest grid first. Dark is shut, bright lets the "
        "skip through; colours span each gate's own range. A map shows what passes, not why."
    )
    height, width = example.attention.shape[:2]
    picture = tag("img", src=data_uri(example.attention), alt=text, width=width, height=height)
    return tag("figure", tag("figcaption", text), picture, class_="attention")


def _share(number: int, total: int, interval: tuple[float, float]) -> str:
    """A count as a rate with its interval over patients; nothing where there is no case."""
    if total == 0:
        return ""
    low, high = interval
    if math.isnan(low):
        return f" ({number / total:.1%}; {TOO_FEW})"
    return f" ({number / total:.1%}; 95% interval {low:.1%} to {high:.1%})"


def _example(example: Example) -> Markup:
    choice = example.choice
    what = "false alarm" if choice.kind == "false alarm" else f"Dice {score(choice.dice, 2)}"
    text = (
        f"{what}; truth {choice.truth_share:.2%}, prediction {choice.predicted_share:.2%} of the "
        f"image; fold {choice.fold}, case {choice.case_id}"
    )
    height, width = example.picture.shape[:2]
    picture = tag("img", src=data_uri(example.picture), alt=text, width=width, height=height)
    return tag("li", picture, text)
