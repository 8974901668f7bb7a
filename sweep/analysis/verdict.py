"""Where a sweep stands, in numbers and in the words that every view says.

`list` and the live table take the short form, `show`, `compare`, the report, MLflow and the card
of a model the sentences. None of them has words or numbers of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptxcore.metrics import bounds
from sweep.analysis import phrases
from sweep.analysis.beside import BesideNothing, BesideSecond, beside_nothing, beside_second
from sweep.analysis.cohort import overlap_ratio
from sweep.analysis.selection_bias import cautions, of_data
from sweep.analysis.standing import Standing, standing
from sweep.analysis.statistics import Interval, corrected_interval
from sweep.ledger.projection import Projection, Trial
from sweep.util.words import count


@dataclass(frozen=True, kw_only=True)
class SweepVerdict:
    """What can be said of a sweep.

    Attributes:
        standing: The leading trial, by how much it leads the default, and how sure that is.
        score: Mean of the leader's finished folds in the objective, with its SD and interval; None
            without a leader.
        second: The winner beside the second; None without either.
        nothing: The leader beside predicting nothing; None where a fold has no Dice.
        short: A phrase for a row of a list.
        sentences: The whole verdict, the first sentence says which trial leads.
        warning: That the leader is no better than predicting nothing, without capital and stop;
            None where it is, or that is not known.
        cautions: What the scores are not, in sentences.
    """

    standing: Standing
    score: Interval | None
    second: BesideSecond | None
    nothing: BesideNothing | None
    short: str
    sentences: tuple[str, ...]
    warning: str | None
    cautions: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sentences as one paragraph."""
        return " ".join(self.sentences)


def verdict(projection: Projection) -> SweepVerdict:
    """The verdict so far, a pure function of what the ledger holds.

    Args:
        projection: Projection of the sweep; masks of complete trials stand under the threshold from
            the other folds where it has the note of it.
    """
    found = standing(projection)
    leader = None if found.leader is None else projection.trials[found.leader]
    score = None if leader is None else _score(projection, leader)
    second = beside_second(projection, found)
    nothing = None if leader is None else beside_nothing(projection, leader)
    subject = "the winner" if found.winner is not None else "the trial in the lead"
    sentences = [phrases.lead(found, projection.header.metric, score)]
    sentences += [] if (text := phrases.against_default(found)) is None else [text]
    sentences += [] if second is None else [phrases.against_second(second, maximize=found.maximize)]
    sentences += [] if nothing is None else [phrases.against_nothing(nothing, subject)]
    return SweepVerdict(
        standing=found,
        score=score,
        second=second,
        nothing=nothing,
        short=phrases.short(found, projection.header.metric),
        sentences=tuple(sentences),
        warning=phrases.no_better(nothing, subject),
        cautions=tuple(_cautions(projection, found)),
    )


def _score(projection: Projection, leader: Trial) -> Interval | None:
    values = [fold.value for fold in leader.folds.values() if math.isfinite(fold.value)]
    metric = projection.header.metric
    if not values:
        return None
    ratio = overlap_ratio(projection.header)
    return corrected_interval(values, test_train_ratio=ratio).within(*bounds(metric))


def _cautions(projection: Projection, found: Standing) -> list[str]:
    known = [
        *of_data(phantom=projection.header.is_phantom, positives_alone=False),
        *cautions(projection),
    ]
    said = [f"{caution.text[0].upper()}{caution.text[1:]}." for caution in known]
    if found.leader is None:
        return said
    subject = "The winner" if found.winner is not None else "The leader so far"
    tried = count(found.num_looked_at, "trial")
    return [
        f"{subject} is the best of {tried} on these very folds, so its score here is somewhat too "
        "high. The score to believe is the one on cases that the search never saw.",
        *said,
    ]
