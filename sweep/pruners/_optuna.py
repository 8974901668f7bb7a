"""Optuna's own pruners.

Arguments keep Optuna's names. `scope` says what a pruner judges: epochs within a fold, a trial's
finished folds, or both; `n_warmup_folds` is `n_warmup_steps` for folds. Pruners without a scope
judge what their name implies: Wilcoxon folds, the others epochs.

Median, percentile and successive halving assume that values at one step rank trials as their ends
do, also of trials that ran earlier; Hyperband that some bracket has the step from which they do;
Wilcoxon that the signs and ranks of differences of folds are symmetric; patience that a trial that
does not improve for so long never will; a threshold that its value is known beforehand.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
    WilcoxonPruner,
)
from pydantic import Field, model_validator

from sweep.pruners._base import PrunerPair, PrunerSpec, too_late
from sweep.util.strict import Problem


class _Scoped(PrunerSpec):
    scope: Literal["epochs", "folds", "both"] = "both"
    n_warmup_steps: int = Field(default=0, ge=0)
    interval_steps: int = Field(default=1, ge=1)
    n_warmup_folds: int = Field(default=0, ge=0)

    def build(self) -> PrunerPair:
        """See `PrunerSpec`."""
        epoch = self.pruner(self.n_warmup_steps, self.interval_steps)
        fold = self.pruner(self.n_warmup_folds, 1)
        return PrunerPair(
            epoch=epoch if self.scope != "folds" else None,
            fold=fold if self.scope != "epochs" else None,
        )

    def refuses(self, num_folds: int) -> Iterator[tuple[str, str]]:
        """See `PrunerSpec`."""
        unused = {"folds": ("n_warmup_steps", "interval_steps"), "epochs": ("n_warmup_folds",)}
        for key in unused.get(self.scope, ()):
            if key in self.model_fields_set:
                yield key, f"expected it left out: scope {self.scope} does not use it"

    def pruner(self, warmup: int, interval: int) -> BasePruner:
        """One of the two, by its own steps."""
        raise NotImplementedError


class _Peers(_Scoped):
    n_startup_trials: int = Field(default=5, ge=0)
    n_min_trials: int = Field(default=1, ge=1)

    def share_kept(self) -> float:
        """Percent that go on."""
        raise NotImplementedError

    def pruner(self, warmup: int, interval: int) -> BasePruner:
        """See `_Scoped`."""
        return PercentilePruner(
            self.share_kept(),
            n_startup_trials=self.n_startup_trials,
            n_warmup_steps=warmup,
            interval_steps=interval,
            n_min_trials=self.n_min_trials,
        )


class MedianSpec(_Peers):
    """Stops a trial below the median of its peers at the same step."""

    name: Literal["median"]

    def share_kept(self) -> float:
        """See `_Peers`."""
        return 50.0


class PercentileSpec(_Peers):
    """Keeps the best `percentile` percent of the peers at the same step."""

    name: Literal["percentile"]
    percentile: float = Field(default=25.0, ge=0, le=100)

    def share_kept(self) -> float:
        """See `_Peers`."""
        return self.percentile


class ThresholdSpec(_Scoped):
    """Stops a trial outside of [lower, upper], in the metric's own sign."""

    name: Literal["threshold"]
    lower: float | None = None
    upper: float | None = None

    @model_validator(mode="after")
    def _check(self) -> ThresholdSpec:
        if self.lower is None and self.upper is None:
            raise Problem("lower", None, "`lower`, `upper` or both")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise Problem("lower", self.lower, f"at most upper ({self.upper})")
        return self

    def pruner(self, warmup: int, interval: int) -> BasePruner:
        """See `_Scoped`."""
        return ThresholdPruner(
            lower=self.lower, upper=self.upper, n_warmup_steps=warmup, interval_steps=interval
        )


class WilcoxonSpec(PrunerSpec):
    """Stops a trial worse than the best complete one, in a paired test over folds."""

    name: Literal["wilcoxon"]
    p_threshold: float = Field(default=0.1, ge=0, le=1)
    n_startup_steps: int = Field(default=2, ge=0)

    def build(self) -> PrunerPair:
        """See `PrunerSpec`."""
        with _chosen():
            pruner = WilcoxonPruner(
                p_threshold=self.p_threshold, n_startup_steps=self.n_startup_steps
            )
        return PrunerPair(fold=pruner, is_paired=True)

    def refuses(self, num_folds: int) -> Iterator[tuple[str, str]]:
        """See `PrunerSpec`."""
        if self.n_startup_steps >= num_folds:
            yield "n_startup_steps", too_late(num_folds)
        smallest = 0.5 ** (num_folds - 1)  # p of a signed-rank test in which every fold is worse
        if self.p_threshold <= smallest:
            least = f"the least p that {num_folds - 1} folds give"
            yield "p_threshold", f"expected more than {smallest:g}, {least}"


class SuccessiveHalvingSpec(PrunerSpec):
    """Asynchronous successive halving over epochs. Optuna's "auto" resources are not offered:
    they do not prune before they have estimated one.
    """

    name: Literal["successive_halving"]
    min_resource: int = Field(default=1, ge=1)
    reduction_factor: int = Field(default=4, ge=2)
    min_early_stopping_rate: int = Field(default=0, ge=0)
    bootstrap_count: int = Field(default=0, ge=0)

    def build(self) -> PrunerPair:
        """See `PrunerSpec`."""
        return PrunerPair(
            epoch=SuccessiveHalvingPruner(
                min_resource=self.min_resource,
                reduction_factor=self.reduction_factor,
                min_early_stopping_rate=self.min_early_stopping_rate,
                bootstrap_count=self.bootstrap_count,
            )
        )


class HyperbandSpec(PrunerSpec):
    """Successive halving over epochs in several brackets, up to `max_resource` epochs."""

    name: Literal["hyperband"]
    max_resource: int = Field(ge=1)
    min_resource: int = Field(default=1, ge=1)
    reduction_factor: int = Field(default=3, ge=2)
    bootstrap_count: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> HyperbandSpec:
        if self.max_resource < self.min_resource:
            raise Problem(
                "max_resource", self.max_resource, f"at least min_resource ({self.min_resource})"
            )
        return self

    def build(self) -> PrunerPair:
        """See `PrunerSpec`."""
        return PrunerPair(
            epoch=HyperbandPruner(
                min_resource=self.min_resource,
                max_resource=self.max_resource,
                reduction_factor=self.reduction_factor,
                bootstrap_count=self.bootstrap_count,
            )
        )


class PatientSpec(PrunerSpec):
    """Stops a trial that has not improved for `patience` epochs."""

    name: Literal["patient"]
    patience: int = Field(default=10, ge=0)
    min_delta: float = Field(default=0.0, ge=0)

    def build(self) -> PrunerPair:
        """See `PrunerSpec`."""
        with _chosen():
            pruner = PatientPruner(None, patience=self.patience, min_delta=self.min_delta)
        return PrunerPair(epoch=pruner)


@contextmanager
def _chosen() -> Iterator[None]:
    """Optuna calls Wilcoxon and patience experimental; a space that names one has chosen it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
