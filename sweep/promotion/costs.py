"""What the winner and the champion cost beside each other: seconds an image, memory, size.

They predict the same images in turns, in one process. Times are noisy, so they are decided on the
end of Student's interval over images; peak memory with what allocators add by chance; size and
networks are counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

if TYPE_CHECKING:
    from ptxcore.inference import Ensemble

#: Images on which costs are measured, spread over the hold-out.
NUM_IMAGES = 10
#: Resident memory of equal small ensembles differed by up to 0.6 MiB, which was 0.32 of the larger.
MEMORY_NOISE_BYTES = 4 * 2**20
WINNER, CHAMPION = "winner", "champion"
#: What an ensemble costs, in words.
WORDS = {
    "seconds_per_image": "seconds an image",
    "memory_bytes": "peak memory",
    "size_bytes": "size of the weights",
    "num_networks": "networks",
}


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What an ensemble takes.

    Attributes:
        num_networks: Its networks.
        size_bytes: Their weights.
        memory_bytes: Weights and the most that one image takes besides; None where the system does
            not tell it.
        seconds: Wall time of each image.
        where: Device, precision and threads.
    """

    num_networks: int
    size_bytes: int
    memory_bytes: int | None
    seconds: tuple[float, ...]
    where: str

    @property
    def seconds_per_image(self) -> float:
        """Mean over images."""
        return float(np.mean(self.seconds))

    def most_seconds(self, confidence: float) -> float:
        """Upper end of the interval of `seconds_per_image`.

        Args:
            confidence: Confidence in (0, 1).
        """
        return _interval(np.asarray(self.seconds), confidence)[1]

    def share(self, name: str, other: Costs, confidence: float) -> tuple[float, float] | None:
        """What this ensemble takes of what the other takes: the share, and what is decided on.

        Args:
            name: One of `WORDS`.
            other: Measured beside it.
            confidence: Confidence in (0, 1).

        Returns:
            Of times the geometric mean over images and the upper end of its interval; of memory the
            share with `MEMORY_NOISE_BYTES` added; else the share twice. None where either was not
            measured.
        """
        if name == "seconds_per_image":
            logs = np.log(np.asarray(self.seconds) / np.asarray(other.seconds))
            return float(np.exp(logs.mean())), float(np.exp(_interval(logs, confidence)[1]))
        own, its = getattr(self, name), getattr(other, name)
        if own is None or its is None:
            return None
        noise = MEMORY_NOISE_BYTES if name == "memory_bytes" else 0
        return own / its, (own + noise) / its


def measure(ensembles: Mapping[str, Ensemble], images: Sequence[NDArray[Any]]) -> dict[str, Any]:
    """Costs of ensembles as the evidence study keeps them.

    Args:
        ensembles: By `WINNER` and `CHAMPION`.
        images: Arrays of shape (H, W), at least one.
    """
    from ptxcore.inference import measure_costs

    found = measure_costs(list(ensembles.values()), images)
    return {
        name: {**dataclasses.asdict(one), "where": _where(ensemble)}
        for (name, ensemble), one in zip(ensembles.items(), found, strict=True)
    }


def read_costs(stored: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Costs] | None:
    """From the evidence study; None in what earlier versions kept."""
    if stored is None:
        return None
    return {
        name: Costs(**{**one, "seconds": tuple(one["seconds"])}) for name, one in stored.items()
    }


def _where(ensemble: Ensemble) -> str:
    runtime = ensemble.runtime
    threads = f", {runtime.num_threads} threads" if runtime.device == "cpu" else ""
    return f"{runtime.device}, {runtime.precision}{threads}"


def _interval(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Student's, of the mean; without an end where there is one value."""
    if len(values) < 2:
        return -np.inf, np.inf
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * error
    return float(values.mean()) - half, float(values.mean()) + half
