"""Who is in a phantom data set: patients, views, who has a pneumothorax and how large it is."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Mask size as a share of the image, log-normal: median 0.8% and 5th to 95th percentile about
#: 0.13% to 4.4%, as in the 2,379 positive images of SIIM-ACR stage 1.
MEDIAN_SHARE = 0.0078
LOG_SD = 1.07
SMALLEST_SHARE, LARGEST_SHARE = 0.0004, 0.12
#: One, two or three images: 1.5 per patient.
_IMAGES_PER_PATIENT = (0.60, 0.30, 0.10)


@dataclass(frozen=True, kw_only=True)
class Order:
    """One image to draw.

    Attributes:
        index: Zero-based, in the order of the data set.
        patient: Zero-based.
        view: "AP" or "PA".
        share: Area of the pneumothorax as a share of the image, 0 for none.
        on_left: Its side, the patient's left or right.
        patient_seed: Same for all images of a patient: same anatomy.
        image_seed: Everything else.
    """

    index: int
    patient: int
    view: str
    share: float
    on_left: bool
    patient_seed: tuple[int, ...]
    image_seed: tuple[int, ...]


def order_cases(num_cases: int, prevalence: float, seed: int) -> tuple[Order, ...]:
    """Decide what to draw.

    Args:
        num_cases: Images.
        prevalence: Share with a pneumothorax in [0, 1]; met to the nearest image.
        seed: Not negative.
    """
    rng = np.random.default_rng((seed, 0))
    patient_of = np.repeat(
        np.arange(num_cases), rng.choice([1, 2, 3], size=num_cases, p=_IMAGES_PER_PATIENT)
    )[:num_cases]
    # Follow-up images of a patient with a pneumothorax mostly show it too.
    inclination = rng.standard_normal(num_cases)[patient_of] + 0.6 * rng.standard_normal(num_cases)
    num_positive = round(prevalence * num_cases)
    share = np.zeros(num_cases)
    share[np.argsort(-inclination, kind="stable")[:num_positive]] = _shares(rng, num_positive)
    on_left = rng.uniform(size=num_cases)[patient_of] < 0.45
    bedside = rng.uniform(size=num_cases) < np.where(share > 0, 0.5, 0.38)
    return tuple(
        Order(
            index=index,
            patient=int(patient_of[index]),
            view="AP" if bedside[index] else "PA",
            share=float(share[index]),
            on_left=bool(on_left[index]),
            patient_seed=(seed, 1, int(patient_of[index])),
            image_seed=(seed, 2, index),
        )
        for index in range(num_cases)
    )


def _shares(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Sizes, one from each of `count` equally likely slices: few cases still span the range."""
    normal = statistics.NormalDist()
    levels = (np.arange(count) + rng.uniform(0.05, 0.95, size=count)) / max(count, 1)
    scores = np.array([normal.inv_cdf(level) for level in levels])
    shares = np.clip(MEDIAN_SHARE * np.exp(LOG_SD * scores), SMALLEST_SHARE, LARGEST_SHARE)
    return rng.permutation(shares)
