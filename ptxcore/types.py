"""Plain data passed between the parts of the core: no behaviour, no heavy imports.

`Runtime` alone checks itself: it also comes from files, and what it misspells would train otherwise
than it says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import SettingsError

#: Logit range covered by the histograms of a :class:`CaseTable`, and the number of bins.
#: 256 bins of 1/16 logit: the threshold 0.5 (logit 0) is an edge, and probabilities from
#: 0.0003 to 0.9997 are told apart, so a network early in training can still be ranked.
LOGIT_RANGE: tuple[float, float] = (-8.0, 8.0)
NUM_LOGIT_BINS: int = 256


@dataclass(frozen=True, kw_only=True)
class CaseTable:
    """Per-case counts of one scoring, on the original mask grid; every metric is derived from it.

    Attributes:
        case_ids: Unicode array of shape (N,).
        truth: Pixels inside the true mask by logit bin, int64, shape (N, NUM_LOGIT_BINS).
        background: Pixels outside the true mask by logit bin, int64, same shape.
        views: Unicode array of shape (N,): "AP", "PA", another position, or "" where unknown; None
            where not asked for.
        surfaces: What `ptxcore.metrics.measure_surface` gave under the rule of the fold's settings,
            float64, shape (N, 3): 95% Hausdorff distance in mm, surface Dice, the image's diagonal
            in mm; NaN where spacing is unknown. None where they were not measured.
        case_logits: Logit of the network's case head that the mask of each case is not empty, not
            calibrated, float64 of shape (N,). None without a case head.
    """

    case_ids: NDArray[np.str_]
    truth: NDArray[np.int64]
    background: NDArray[np.int64]
    views: NDArray[np.str_] | None = None
    surfaces: NDArray[np.float64] | None = None
    case_logits: NDArray[np.float64] | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a probability map becomes a mask: empty unless more than `min_area` of the image
    lies above `top`, and the case head says at least `case_threshold` if it is asked; otherwise
    every pixel at or above `bottom`.

    Attributes:
        top: Probability in (0, 1).
        min_area: Share of the image's pixels in [0, 1); 0 means any pixel.
        bottom: Probability in (0, 1), at most `top`.
        case_threshold: Probability in (0, 1), of the case head as it is, not calibrated; None asks
            no case head.
    """

    top: float = 0.5
    min_area: float = 0.0
    bottom: float = 0.5
    case_threshold: float | None = None

    def to_stored(self) -> dict[str, float]:
        """Plain JSON values; what is not asked is left out, as in rules of earlier versions."""
        kept = {"top": self.top, "min_area": self.min_area, "bottom": self.bottom}
        if self.case_threshold is not None:
            kept["case_threshold"] = self.case_threshold
        return kept

    @property
    def words(self) -> str:
        """For people: which pixels a mask holds, and when it is empty."""
        pixels = f"the pixels at or above {self.bottom:g}"
        least = f"more than {self.min_area:.4g} of the image" if self.min_area else "any pixel"
        asked = [] if self.case_threshold is None else [
            f"the case head says at least {self.case_threshold:.3g}"
        ]  # fmt: skip
        if self.min_area > 0 or self.top != self.bottom:
            asked.append(f"{least} lies above {self.top:g}")
        return f"{pixels} where {' and '.join(asked)}, else empty" if asked else pixels


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where and how a network runs; measured once per sweep, then frozen.

    Attributes:
        device: "cpu" or "cuda".
        precision: "float32" or "bfloat16" (autocast).
        channels_last: Memory layout of network and batches.
        num_threads: CPU threads of one trial, at least 1.
        folded_norms: Whether inference computes with batch norms folded into convolutions, weights
            in the precision and several windows at once; earlier versions never did.

    Raises:
        SettingsError: Names the field that holds something else.
    """

    device: str = "cpu"
    precision: str = "float32"
    channels_last: bool = False
    num_threads: int = 1
    folded_norms: bool = False

    def __post_init__(self) -> None:
        """Refuse what no part of the core knows."""
        for name, allowed in (
            ("device", ("cpu", "cuda")),
            ("precision", ("float32", "bfloat16")),
            ("channels_last", (False, True)),
            ("folded_norms", (False, True)),
        ):
            found = getattr(self, name)
            if found not in allowed or type(found) is not type(allowed[0]):
                raise SettingsError(f"{name}: found {found!r}, expected one of {allowed}")
        if type(self.num_threads) is not int or self.num_threads < 1:
            raise SettingsError(
                f"num_threads: found {self.num_threads!r}, expected a whole number of at least 1"
            )


@dataclass(frozen=True, kw_only=True)
class ChoiceResult:
    """The held fold scored with one choice of the settings that count in inference alone.

    Attributes:
        inference: Those settings by name.
        metrics: Metrics, as in `FoldResult`.
        cases: Cases, as in `FoldResult`.
        seconds_per_image: Seconds an image, as in `FoldResult`.
    """

    inference: Mapping[str, Any]
    metrics: Mapping[str, float]
    cases: CaseTable
    seconds_per_image: float = field(default=math.nan, compare=False)


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """The held fold, scored once with the best weights, or the mean of several epochs'.

    Attributes:
        metrics: Official metrics of the held fold by name, see `ptxcore.metrics`.
        curves: One value per epoch by name: "train_loss", "learning_rate", "seconds" and
            "monitor_<metric>", and "num_parts" where batches did not fit in memory as a whole;
            whole fold, epochs before a resume included.
        cases: Per-case counts behind `metrics`.
        weights: Folder with the weights that scored, None when nothing was saved.
        best_epoch: One-based epoch of the best weights.
        num_epochs: Epochs trained.
        seconds: Wall time of the fold, all attempts together.
        selection: "monitor" (leak-free) or "fold" (best epoch chosen on the scored cases).
        choices: The same weights with every choice that was asked for, in that order; metrics and
            cases are those of the first. Empty where none was asked for.
        seconds_per_image: Median wall time of an image, from the network's grid to the mask's;
            NaN of a fold that an earlier version scored. No two runs have the same.
    """

    metrics: Mapping[str, float]
    curves: Mapping[str, tuple[float, ...]]
    cases: CaseTable
    weights: Path | None
    best_epoch: int
    num_epochs: int
    seconds: float
    selection: str
    choices: tuple[ChoiceResult, ...] = ()
    seconds_per_image: float = field(default=math.nan, compare=False)


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What one epoch of one fold gave.

    Attributes:
        fold: Zero-based fold.
        epoch: One-based epoch.
        train_loss: Mean over the steps of the epoch.
        learning_rate: At the end of the epoch.
        monitor: Metrics on whole monitor images by name ("loss" among them).
        seconds: Wall time of the epoch.
        num_parts: Parts that a batch was split into at its end, to fit in memory: 1, 2 or 4.
        result: Set on the last report of the fold alone.
    """

    fold: int
    epoch: int
    train_loss: float
    learning_rate: float
    monitor: Mapping[str, float]
    seconds: float
    num_parts: int = 1
    result: FoldResult | None = None
