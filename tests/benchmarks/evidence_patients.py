"""Failures that take whole patients: does the gate's share of errors hold where they are few?

    python tests/benchmarks/evidence_patients.py [--samples 1500]

Winner and champion are equal in the mean. The winner is better on each positive case, or has no
false alarm where the champion has some, and pays with failures on all images, or half the images,
of a few patients, which a hold-out may hold by chance too few of. Beside that stand the errors that
all models make on single images, none, few (`QUIET`) or as many as `BASE`. A patient has one image,
five, or one to forty (geometric, mean five). The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parent))

from evidence_world import BASE, PREVALENCE, Cases, Model, Values, worth

from sweep.promotion.assess import paired_interval

QUIET = Model(alarms=0.02, misses=0.05)
#: Mean number of images of patients who have one to `MOST`.
VARIED, MOST = "1 to 40", 40
MEAN_IMAGES = 5
#: Patients and images a patient.
SIZES: tuple[tuple[int, int | str], ...] = tuple(
    (patients, images) for images in (1, 5, VARIED) for patients in (50, 150, 400)
)


@dataclass(frozen=True)
class Failing:
    """A winner that is equal to the champion.

    Attributes:
        name: What happens.
        share: How many images of a patient fail.
        gain: Dice gained on each positive case; with `misses` the champion's false alarms.
        single: What both models do on single images; None for nothing.
        misses: Whether positive images are missed; else healthy ones have false alarms.
    """

    name: str
    share: float
    gain: float = 0.1
    single: Model | None = None
    misses: bool = False

    def draw(self, rng: np.random.Generator, cases: Cases) -> Values:
        """Dice of the winner above the champion's, by case."""
        patient, sick = np.asarray(cases.groups, dtype=np.int64), cases.is_positive
        num_patients, own = int(patient[-1]) + 1, np.where(sick, 0.0, 1.0)
        difference = np.where(sick, self.gain, 0.0)
        each = PREVALENCE * self.gain / (self.share * (1 - PREVALENCE))
        if self.misses:
            own = rng.beta(BASE.a, BASE.b, len(patient))
            difference = np.where(sick, 0.0, rng.random(len(patient)) < self.gain)
            mean = BASE.a / (BASE.a + BASE.b)
            each = (1 - PREVALENCE) * self.gain / (self.share * PREVALENCE * mean)
        elif self.single is not None:
            own, other = (self.single.draw(cases.levels(rng), sick) for _ in range(2))
            difference = difference + own - other
            each /= 1 - self.single.alarms
        failed = (rng.random(num_patients) < each)[patient] & (sick == self.misses)
        failed &= rng.random(len(patient)) < self.share
        return np.where(failed, difference - own, difference)


FAILING = (
    Failing("half the images", 0.5),
    Failing("all images", 1.0),
    Failing("all images, beside a few single errors", 1.0, single=QUIET),
    Failing("the same, twice as often", 1.0, gain=0.2, single=QUIET),
    Failing("all images, beside many single errors", 1.0, single=BASE),
    Failing("all positive images missed, fewer false alarms", 1.0, gain=0.02, misses=True),
)
#: True gains whose power is shown, over patients with five images.
BETTER = {"+0.02": worth(BASE.dice + 0.02, 0.12), "+0.05": worth(BASE.dice + 0.05, 0.05)}


def drawn(rng: np.random.Generator, num_patients: int, images: int | str) -> Cases:
    """As `Cases.draw`; patients with several images may have any number of them."""
    if not isinstance(images, str):
        return Cases.draw(rng, num_patients * images, images)
    sizes = np.minimum(rng.geometric(1 / MEAN_IMAGES, num_patients), MOST)
    even = Cases.draw(rng, num_patients * MOST, MOST)
    kept = (np.arange(MOST) < sizes[:, None]).ravel()
    groups = [group for group, is_kept in zip(even.groups, kept, strict=True) if is_kept]
    return Cases(groups, even.is_positive[kept], even.shared[kept])


def is_shown(cases: Cases, difference: NDArray[np.float64]) -> bool:
    """Whether the gate takes the difference for a lead."""
    return paired_interval(difference, 0 * difference, cases.is_positive, cases.groups)[0] > 0


def error_share(failing: Failing, num_patients: int, images: int | str, number: int) -> float:
    """Share of hold-outs in which an equal winner leads."""
    passed = 0
    for index in range(number):
        rng = np.random.default_rng([num_patients, MOST if images == VARIED else images, index])
        cases = drawn(rng, num_patients, images)
        passed += is_shown(cases, failing.draw(rng, cases))
    return round(passed / number, 4)


def power(better: Model, num_patients: int, images: int | str, number: int) -> float:
    """Share of hold-outs in which a better winner leads."""
    passed = 0
    for index in range(number):
        rng = np.random.default_rng([num_patients, index])
        cases = drawn(rng, num_patients, images)
        own, other = (one.draw(cases.levels(rng), cases.is_positive) for one in (better, BASE))
        passed += is_shown(cases, own - other)
    return round(passed / number, 4)


def patient_figures(
    number: int, sizes: Sequence[tuple[int, int | str]] = SIZES
) -> dict[str, Mapping[str, Any]]:
    """Errors by world and size, and power, printed as two tables.

    Args:
        number: Hold-outs of each kind.
        sizes: Patients, and images a patient.
    """
    names = [f"{patients} x {images}" for patients, images in sizes]
    print(f"\nfailures of whole patients, {number} hold-outs each: an equal winner leads")
    print(f"  {'':48}" + "".join(f"{name:>14}" for name in names))
    errors: dict[str, dict[str, float]] = {}
    for failing in FAILING:
        found = {
            n: error_share(failing, *size, number) for n, size in zip(names, sizes, strict=True)
        }
        print(
            f"  {failing.name:48}" + "".join(f"{share:14.3f}" for share in found.values()),
            flush=True,
        )
        errors[failing.name] = found
    several = [(n, size) for n, size in zip(names, sizes, strict=True) if size[1] != 1]
    several += [("80 x 5", (80, 5)), (f"80 x {VARIED}", (80, VARIED))]
    found_power = {
        gain: {name: power(model, *size, number // 3) for name, size in several}
        for gain, model in BETTER.items()
    }
    print(f"\na true gain is shown: {found_power}")
    return {"errors": errors, "power": found_power}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables, and their figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1500)
    print(json.dumps(patient_figures(parser.parse_args(arguments).samples)))


if __name__ == "__main__":
    main()
