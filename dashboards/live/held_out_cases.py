"""The cases of an opened hold-out that a reviewer has to look at: the worst, and false alarms."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from dashboards.report.markup import Markup, join, tag
from dashboards.report.predictions import score_cases
from dashboards.report.thumbnails import data_uri, thumbnail
from dashboards.text import score
from ptxcore.types import CaseTable, Rule
from sweep.promotion.opened_cases import SegmentedCase
from sweep.util.words import count

#: Cases of each kind.
NUM_EACH = 12


@dataclass(frozen=True, kw_only=True)
class HardCase:
    """A case that the winner did badly on.

    Attributes:
        case_id: Hashed.
        is_false_alarm: Whether its true mask is empty.
        dice: Dice of the case; 0 for a false alarm.
        truth_share: Share of the image inside the true mask.
        predicted_share: Share of the image inside the winner's mask.
    """

    case_id: str
    is_false_alarm: bool
    dice: float
    truth_share: float
    predicted_share: float

    @property
    def words(self) -> str:
        """What is wrong with it."""
        if self.is_false_alarm:
            return f"false alarm over {self.predicted_share:.2%} of the image"
        if self.predicted_share == 0:
            return (
                f"missed: nothing was predicted, the truth is {self.truth_share:.2%} of the image"
            )
        return (
            f"Dice {score(self.dice)}: truth {self.truth_share:.2%}, prediction "
            f"{self.predicted_share:.2%} of the image"
        )


def hard_cases(table: CaseTable, rule: Rule) -> tuple[HardCase, ...]:
    """The positive cases with the lowest Dice, then the largest false alarms.

    Ties go to the larger truth, then to the case id, so the choice is the same every time.

    Args:
        table: Counts of every case of the hold-out.
        rule: Chosen on the folds; masks are made by it.
    """
    scores = score_cases({0: table}, {0: rule})
    order = np.lexsort((scores.case_ids, -scores.truth_share, scores.dice))
    worst = [i for i in order if scores.truth_share[i] > 0][:NUM_EACH]
    order = np.lexsort((scores.case_ids, -scores.predicted_share))
    alarms = [i for i in order if scores.truth_share[i] == 0 and scores.predicted_share[i] > 0]
    return tuple(
        HardCase(
            case_id=str(scores.case_ids[i]),
            is_false_alarm=bool(scores.truth_share[i] == 0),
            dice=float(scores.dice[i]),
            truth_share=float(scores.truth_share[i]),
            predicted_share=float(scores.predicted_share[i]),
        )
        for i in (*worst, *alarms[:NUM_EACH])
    )


def case_list(
    cases: tuple[HardCase, ...], opened: Collection[int], url: str, *, must_open: bool
) -> Markup:
    """Links to the cases, and which of them were opened.

    Args:
        cases: From `hard_cases`.
        opened: Indices of those that this reviewer opened.
        url: Address below which each case is, by its number from 1.
        must_open: Whether a reviewer is to open them, and so how many are left matters.
    """
    num_alarms = sum(case.is_false_alarm for case in cases)
    left = len(cases) - len(opened)
    alarms = f"the {num_alarms} largest false alarms" if num_alarms > 1 else "one false alarm"
    alarms = alarms if num_alarms else "no false alarm"
    words = (
        f"The {count(len(cases) - num_alarms, 'positive case')} with the lowest Dice and {alarms} "
        f"(at most {NUM_EACH} of each), with the masks that would be deployed."
    )
    if must_open:
        words += (
            " You have opened all of them."
            if not left
            else f" {count(left, 'case')} of them to open before you can approve."
        )
    items = (
        tag(
            "li",
            tag("a", f"Case {i + 1}", href=f"{url}/{i + 1}"),
            f" {case.words}",
            tag("span", " opened", class_="good") if i in opened else None,
        )
        for i, case in enumerate(cases)
    )
    first = next((i for i in range(len(cases)) if i not in opened), 0)
    start = tag("a", "Open them one after another", href=f"{url}/{first + 1}") if cases else None
    return join((tag("p", words, " ", start), tag("ol", *items, class_="hard-cases")))


def case_page(
    model: str, cases: tuple[HardCase, ...], number: int, shown: SegmentedCase | str, url: str
) -> Markup:
    """One case with the way to the next.

    Args:
        model: What is decided about, in words.
        cases: From `hard_cases`.
        number: Number of the case, from 1.
        shown: The case, or why there is no picture of it.
        url: Address of the page on which is decided.
    """
    case = cases[number - 1]
    if isinstance(shown, str):
        picture = tag("p", tag("strong", "No picture: "), shown, class_="banner")
    else:
        drawn = thumbnail(shown.image, shown.truth, shown.prediction, size=520)
        height, width = drawn.shape[:2]
        picture = tag("img", src=data_uri(drawn), alt=case.words, width=width, height=height)
    before = tag("a", "Case before", href=f"{url}/case/{number - 1}", rel="prev")
    after = tag("a", "Next case", href=f"{url}/case/{number + 1}", rel="next")
    return join(
        (
            tag("p", tag("a", model, href=url), class_="status"),
            tag("h1", f"Case {number} of {len(cases)}"),
            tag("p", f"{case.words[0].upper()}{case.words[1:]}.", class_="lead"),
            tag("figure", picture, class_="hard-case"),
            tag(
                "p",
                tag("span", class_="key"),
                " truth  ",
                tag("span", class_="key prediction"),
                f" prediction. Left the whole image, right a close-up. Case {case.case_id}.",
                class_="small",
            ),
            tag(
                "nav",
                before if number > 1 else None,
                after if number < len(cases) else None,
                tag("a", "Back to the decision", href=f"{url}#cases"),
                class_="steps",
                aria_label="Cases",
            ),
        )
    )
