"""Pruners by name. No argument has a default here: the search space names them all."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

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

from sweep.errors import UsageError
from sweep.pruners._bergman import BergmanPruner
from sweep.pruners._paired_folds import PairedFoldPruner
from sweep.pruners._same_epoch import SameEpochPruner
from sweep.search.pruner_judge import PrunerJudge

SCOPES = ("epochs", "folds", "both")


def make_pruner(name: str, settings: Mapping[str, Any]) -> PrunerJudge:
    """Build a pruner.

    Args:
        name: One of `PRUNERS`.
        settings: All of its keyword arguments, see the function behind the name.

    Raises:
        UsageError: There is no such pruner, an argument is missing, unknown or refused.
    """
    if name not in PRUNERS:
        close = get_close_matches(name, PRUNERS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(PRUNERS)}"
        raise UsageError(f"pruner: found {name!r}, which does not exist; {hint}")
    try:
        with warnings.catch_warnings():
            # Optuna calls Wilcoxon and patience experimental; whoever names one has chosen it.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return PRUNERS[name](**settings)
    except (TypeError, ValueError) as error:
        raise UsageError(f"pruner {name}: {error}") from error


def _none() -> PrunerJudge:
    return PrunerJudge()


def _percentile(
    *,
    percentile: float,
    scope: str,
    n_startup_trials: int,
    n_warmup_steps: int,
    interval_steps: int,
    n_min_trials: int,
    n_warmup_folds: int,
) -> PrunerJudge:
    def build(warmup: int, interval: int) -> BasePruner:
        return PercentilePruner(
            percentile,
            n_startup_trials=n_startup_trials,
            n_warmup_steps=warmup,
            interval_steps=interval,
            n_min_trials=n_min_trials,
        )

    return _scoped(scope, build(n_warmup_steps, interval_steps), build(n_warmup_folds, 1))


def _median(**settings: Any) -> PrunerJudge:
    return _percentile(percentile=50.0, **settings)


def _threshold(
    *,
    lower: float | None,
    upper: float | None,
    scope: str,
    n_warmup_steps: int,
    interval_steps: int,
    n_warmup_folds: int,
) -> PrunerJudge:
    def build(warmup: int, interval: int) -> BasePruner:
        return ThresholdPruner(
            lower=lower, upper=upper, n_warmup_steps=warmup, interval_steps=interval
        )

    return _scoped(scope, build(n_warmup_steps, interval_steps), build(n_warmup_folds, 1))


def _scoped(scope: str, epoch: BasePruner, fold: BasePruner) -> PrunerJudge:
    if scope not in SCOPES:
        raise ValueError(f"scope: found {scope!r}, expected one of {SCOPES}")
    return PrunerJudge(
        epoch=epoch if scope != "folds" else None, fold=fold if scope != "epochs" else None
    )


def _wilcoxon(*, p_threshold: float, n_startup_steps: int) -> PrunerJudge:
    pruner = WilcoxonPruner(p_threshold=p_threshold, n_startup_steps=n_startup_steps)
    return PrunerJudge(fold=pruner, is_paired=True)


def _successive_halving(
    *, min_resource: int, reduction_factor: int, min_early_stopping_rate: int, bootstrap_count: int
) -> PrunerJudge:
    return PrunerJudge(
        epoch=SuccessiveHalvingPruner(
            min_resource=min_resource,
            reduction_factor=reduction_factor,
            min_early_stopping_rate=min_early_stopping_rate,
            bootstrap_count=bootstrap_count,
        )
    )


def _hyperband(
    *, min_resource: int, max_resource: int, reduction_factor: int, bootstrap_count: int
) -> PrunerJudge:
    return PrunerJudge(
        epoch=HyperbandPruner(
            min_resource=min_resource,
            max_resource=max_resource,
            reduction_factor=reduction_factor,
            bootstrap_count=bootstrap_count,
        )
    )


def _patient(*, patience: int, min_delta: float) -> PrunerJudge:
    return PrunerJudge(epoch=PatientPruner(None, patience=patience, min_delta=min_delta))


def _bergman_aggressive() -> PrunerJudge:
    return PrunerJudge(fold=BergmanPruner(is_forgiving=False), is_paired=True)


def _bergman_forgiving() -> PrunerJudge:
    return PrunerJudge(fold=BergmanPruner(is_forgiving=True), is_paired=True)


def _paired_folds(*, false_prune: float, min_folds: int) -> PrunerJudge:
    pruner = PairedFoldPruner(false_prune=false_prune, min_folds=min_folds)
    return PrunerJudge(fold=pruner, is_paired=True)


def _same_epoch(**settings: Any) -> PrunerJudge:
    return PrunerJudge(epoch=SameEpochPruner(**settings))


PRUNERS: dict[str, Callable[..., PrunerJudge]] = {
    "none": _none,
    "median": _median,
    "percentile": _percentile,
    "threshold": _threshold,
    "wilcoxon": _wilcoxon,
    "successive_halving": _successive_halving,
    "hyperband": _hyperband,
    "patient": _patient,
    "bergman_aggressive": _bergman_aggressive,
    "bergman_forgiving": _bergman_forgiving,
    "paired_folds": _paired_folds,
    "same_epoch": _same_epoch,
}
