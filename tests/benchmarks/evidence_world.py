"""Models, patients and images with a known truth, for `bench_evidence` and `evidence_coverage`.

A sample draws patients (share of positive cases 0.22) and the Dice of each case: a healthy one 1
or, by a false alarm, 0; a positive one 0 for a miss, else from a beta distribution. Models err
alike on the same case and on the same patient, through normal scores.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import beta

PREVALENCE = 0.22
#: Of patients with several images; their images are positive more often.
SICK = 0.3
#: Shares of a model's normal score that patient, case, and patient with model explain.
PATIENT, CASE, HABIT = 0.2, 0.45, 0.1
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """What a network does: false alarms, misses, and the beta distribution of other Dice."""

    alarms: float
    misses: float
    a: float = 4.0
    b: float = 2.0
    grid: Values = field(init=False, repr=False)

    def __post_init__(self) -> None:
        quantiles = beta.ppf(np.linspace(0, 1, 1001), self.a, self.b)
        object.__setattr__(self, "grid", quantiles)

    @property
    def positive(self) -> float:
        """True mean Dice over positive cases."""
        return (1 - self.misses) * self.a / (self.a + self.b)

    @property
    def dice(self) -> float:
        """True mean Dice."""
        return PREVALENCE * self.positive + (1 - PREVALENCE) * (1 - self.alarms)

    def draw(self, level: Values, is_positive: NDArray[np.bool_]) -> Values:
        """Dice of each case from uniform levels."""
        hit = (level - self.misses) / (1 - self.misses)
        found = np.interp(hit, np.linspace(0, 1, 1001), self.grid)
        sick = np.where(level < self.misses, 0.0, found)
        return np.where(is_positive, sick, (level >= self.alarms) * 1.0)


#: Much like a small U-Net on SIIM-ACR: Dice 0.86 where predicting nothing has 0.78.
BASE = Model(alarms=0.06, misses=0.15)


def worth(dice: float, misses: float) -> Model:
    """A model of that true Dice, by as many false alarms as it takes."""
    plain = Model(alarms=0.0, misses=misses)
    alarms = 1 - (dice - PREVALENCE * plain.positive) / (1 - PREVALENCE)
    return Model(alarms=alarms, misses=misses)


@dataclass(frozen=True)
class Scene:
    """Who stands against whom; the default and the champion are `BASE` unless said."""

    name: str
    winner: Model
    default: Model = BASE
    champion: Model = BASE


SCENES = (
    Scene("equal", BASE),
    Scene("equal, fewer misses, more false alarms", worth(BASE.dice, 0.02)),
    Scene("equal, more misses, fewer false alarms", worth(BASE.dice, 0.28)),
    Scene("+0.01", worth(BASE.dice + 0.01, 0.14)),
    Scene("+0.02", worth(BASE.dice + 0.02, 0.12)),
    Scene("+0.05", worth(BASE.dice + 0.05, 0.05)),
    Scene("0.02 worse than the default", worth(BASE.dice - 0.02, 0.2)),
    Scene("worth predicting nothing", worth(1 - PREVALENCE, 0.3)),
    Scene("worth predicting nothing, cautious", worth(1 - PREVALENCE, 0.85)),
)


@dataclass(frozen=True)
class Cases:
    """A hold-out: who is whose, who is positive, and what all models share."""

    groups: list[str]
    is_positive: NDArray[np.bool_]
    shared: Values

    @classmethod
    def draw(
        cls, rng: np.random.Generator, num_cases: int, images: int, *, is_dealt: bool = True
    ) -> Cases:
        """Patients in two strata, of fixed size as `make_plan` deals them, or as chance has it."""
        num_patients = num_cases // images
        share = PREVALENCE if images == 1 else SICK
        patient = np.repeat(np.arange(num_patients), images)
        number = round(share * num_patients) if is_dealt else rng.binomial(num_patients, share)
        sick = patient < number
        is_positive = sick if images == 1 else sick & (rng.random(num_cases) < PREVALENCE / SICK)
        each = rng.normal(size=num_patients)[patient] * PATIENT**0.5
        shared = each + rng.normal(size=num_cases) * CASE**0.5
        return cls([str(one) for one in patient], is_positive, shared)

    def levels(self, rng: np.random.Generator) -> Values:
        """One model's own: uniform, low where a case is hard for it."""
        patient = np.asarray(self.groups, dtype=np.int64)
        habit = rng.normal(size=patient[-1] + 1)[patient] * HABIT**0.5
        own = rng.normal(size=len(patient)) * (1 - PATIENT - CASE - HABIT) ** 0.5
        return np.asarray(ndtr(self.shared + habit + own))
