"""Who stops, and every argument of it: an Optuna upgrade changes no sweep by itself.

Arguments keep Optuna's names. `scope` says what a pruner judges: epochs within a fold, a
candidate's finished folds, or both; `n_warmup_folds` is `n_warmup_steps` for folds. Pruners
without a scope judge what their name implies: Wilcoxon folds, the others epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from sweep.errors import SpaceError
from sweep.space._base import Problem, Strict

Scope = Literal["epochs", "folds", "both"]


class _Pruner(Strict):
    def settings(self) -> dict[str, Any]:
        """All arguments of the pruner."""
        return self.model_dump(exclude={"name"})


class NoPruner(_Pruner):
    """Nobody is stopped."""

    name: Literal["none"] = "none"


class _Peers(_Pruner):
    scope: Scope = "both"
    n_startup_trials: int = Field(default=5, ge=0)
    n_warmup_steps: int = Field(default=0, ge=0)
    interval_steps: int = Field(default=1, ge=1)
    n_min_trials: int = Field(default=1, ge=1)
    n_warmup_folds: int = Field(default=0, ge=0)


class MedianSpec(_Peers):
    """Stops who is below the median of its peers at the same step."""

    name: Literal["median"]


class PercentileSpec(_Peers):
    """Keeps the best `percentile` percent of its peers at the same step."""

    name: Literal["percentile"]
    percentile: float = Field(default=25.0, ge=0, le=100)


class ThresholdSpec(_Pruner):
    """Stops who is outside of [lower, upper], in the metric's own sign."""

    name: Literal["threshold"]
    scope: Scope = "both"
    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: int = Field(default=0, ge=0)
    interval_steps: int = Field(default=1, ge=1)
    n_warmup_folds: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> ThresholdSpec:
        if self.lower is None and self.upper is None:
            raise Problem("lower", None, "`lower`, `upper` or both")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise Problem("lower", self.lower, f"at most upper ({self.upper})")
        return self


class WilcoxonSpec(_Pruner):
    """Stops who is worse than the best complete candidate, in a paired test over folds."""

    name: Literal["wilcoxon"]
    p_threshold: float = Field(default=0.1, ge=0, le=1)
    n_startup_steps: int = Field(default=2, ge=0)


class SuccessiveHalvingSpec(_Pruner):
    """Asynchronous successive halving over epochs. Optuna's "auto" resources are not offered:
    they stop nobody until they have guessed.
    """

    name: Literal["successive_halving"]
    min_resource: int = Field(default=1, ge=1)
    reduction_factor: int = Field(default=4, ge=2)
    min_early_stopping_rate: int = Field(default=0, ge=0)
    bootstrap_count: int = Field(default=0, ge=0)


class HyperbandSpec(_Pruner):
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


class PatientSpec(_Pruner):
    """Stops who has not improved for `patience` epochs."""

    name: Literal["patient"]
    patience: int = Field(default=10, ge=0)
    min_delta: float = Field(default=0.0, ge=0)


class BergmanAggressiveSpec(_Pruner):
    """Stops whose running mean is not above the mean of the best complete candidate."""

    name: Literal["bergman_aggressive"]


class BergmanForgivingSpec(_Pruner):
    """Stops whose running mean is not above the worst fold of the best complete candidate."""

    name: Literal["bergman_forgiving"]


class PairedFoldsSpec(_Pruner):
    """Stops who can hardly pass the best any more, by differences on the same folds.

    Attributes:
        false_prune: Bound on the chance to stop a candidate that would win.
        min_folds: Folds before a candidate can be stopped.
    """

    name: Literal["paired_folds"]
    # Of sweeps that were begun when it had to be given; complete trials say it now.
    num_folds: int | None = Field(default=None, exclude=True)
    false_prune: float = Field(default=0.05, gt=0, lt=1)
    min_folds: int = Field(default=1, ge=1)


class SameEpochSpec(_Pruner):
    """Stops who is not among the best at the same fold and epoch."""

    name: Literal["same_epoch"]
    keep_share: float = Field(default=0.5, gt=0, lt=1)
    n_startup_trials: int = Field(default=10, ge=1)
    n_warmup_steps: int = Field(default=3, ge=0)
    interval_steps: int = Field(default=1, ge=1)
    window: int = Field(default=5, ge=1)


PrunerSpec = (
    NoPruner
    | MedianSpec
    | PercentileSpec
    | ThresholdSpec
    | WilcoxonSpec
    | SuccessiveHalvingSpec
    | HyperbandSpec
    | PatientSpec
    | BergmanAggressiveSpec
    | BergmanForgivingSpec
    | PairedFoldsSpec
    | SameEpochSpec
)
PRUNER_SPECS: dict[str, type[_Pruner]] = {
    "none": NoPruner,
    "median": MedianSpec,
    "percentile": PercentileSpec,
    "threshold": ThresholdSpec,
    "wilcoxon": WilcoxonSpec,
    "successive_halving": SuccessiveHalvingSpec,
    "hyperband": HyperbandSpec,
    "patient": PatientSpec,
    "bergman_aggressive": BergmanAggressiveSpec,
    "bergman_forgiving": BergmanForgivingSpec,
    "paired_folds": PairedFoldsSpec,
    "same_epoch": SameEpochSpec,
}


def pruner_spec(name: str, given: Mapping[str, Any]) -> _Pruner:
    """A pruner as a search space file would name it, with the defaults for what is left out.

    Raises:
        SpaceError: There is no such pruner, or an argument is missing, unknown or out of range.
    """
    if name not in PRUNER_SPECS:
        close = get_close_matches(name, PRUNER_SPECS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(PRUNER_SPECS)}"
        raise SpaceError(f"pruner: found {name!r}, which does not exist; {hint}")
    try:
        return PRUNER_SPECS[name].model_validate({"name": name, **given})
    except ValidationError as error:
        told = (
            f"pruner {name}: {'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}"
            for one in error.errors()
        )
        raise SpaceError("\n".join(told)) from error
