"""The shape of a search space file: what pydantic checks by itself."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Any, Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import Field, PlainValidator, model_validator

from sweep.policies import GreedySpec, PolicySpec
from sweep.pruners import NoPruner, PrunerSpec
from sweep.util.strict import Problem, Strict, choose

Scalar = bool | int | float | str | None


class Objective(Strict):
    """The metric that a sweep improves.

    Attributes:
        metric: Name of a metric.
        direction: "maximize" or "minimize"; None takes the metric's own.
    """

    metric: str
    direction: Literal["maximize", "minimize"] | None = None

    @property
    def maximize(self) -> bool:
        """Whether higher is better."""
        return self.direction != "minimize"


class SamplerSpec(Strict):
    """What to try next.

    Attributes:
        name: "tpe" or "random".
        n_startup_trials: Trials drawn at random before TPE models anything.
    """

    name: Literal["tpe", "random"] = "tpe"
    n_startup_trials: int = Field(default=10, ge=1)

    def settings(self) -> dict[str, Any]:
        """Arguments of the sampler."""
        return {"n_startup_trials": self.n_startup_trials}


class _Parameter(Strict):
    when: dict[str, list[Scalar] | Scalar] = Field(default_factory=dict)

    def conditions(self) -> dict[str, list[Any]]:
        """The allowed values of the parameters this one depends on."""
        return {
            name: list(values) if isinstance(values, list) else [values]
            for name, values in self.when.items()
        }

    def is_at(self, value: object, allowed: list[Any]) -> bool:
        """Whether a value of this parameter is one of those that a condition allows."""
        return is_among(value, allowed)


class FloatParameter(_Parameter):
    """A real number in [low, high], evenly or on a logarithmic scale, or on a grid of `step`."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: float | None = Field(default=None, gt=0)
    default: float

    @model_validator(mode="after")
    def _check(self) -> FloatParameter:
        for key in ("low", "high"):
            if not math.isfinite(getattr(self, key)):
                raise Problem(key, getattr(self, key), "a finite number")
        if self.step is not None and not math.isfinite(self.step):
            raise Problem("step", self.step, "a finite number")
        _check_range(self.low, self.high, self.log, self.step, self.default, lowest_log=0.0)
        return self

    @property
    def distribution(self) -> BaseDistribution:
        """For Optuna."""
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def is_at(self, value: object, allowed: list[Any]) -> bool:
        """See `_Parameter`; on a grid Optuna draws 0.30000000000000004 where people write 0.3."""
        if self.step is None or not isinstance(value, int | float):
            return is_among(value, allowed)
        return any(abs(value - other) < self.step / 2 for other in allowed)

    def refuses(self, value: object) -> str | None:
        """What was expected, None when the value is fine."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "a number"
        return _outside(float(value), self.low, self.high, self.step)


class IntParameter(_Parameter):
    """A whole number in [low, high], on a grid of `step`."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int = Field(default=1, ge=1)
    default: int

    @model_validator(mode="after")
    def _check(self) -> IntParameter:
        step = None if self.step == 1 else self.step
        _check_range(self.low, self.high, self.log, step, self.default, lowest_log=1)
        return self

    @property
    def distribution(self) -> BaseDistribution:
        """For Optuna."""
        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def refuses(self, value: object) -> str | None:
        """What was expected, None when the value is fine."""
        if isinstance(value, bool) or not isinstance(value, int):
            return "a whole number"
        return _outside(value, self.low, self.high, self.step)


class CategoricalParameter(_Parameter):
    """One of several values."""

    type: Literal["categorical"]
    choices: list[Scalar] = Field(min_length=1)
    default: Scalar

    @model_validator(mode="after")
    def _check(self) -> CategoricalParameter:
        for index, choice in enumerate(self.choices):
            if is_among(choice, self.choices[:index]):
                raise Problem("choices", choice, "each choice once")
        if not is_among(self.default, self.choices):
            raise Problem("default", self.default, f"one of {self.choices}")
        return self

    @property
    def distribution(self) -> BaseDistribution:
        """For Optuna."""
        return CategoricalDistribution(self.choices)

    def refuses(self, value: object) -> str | None:
        """What was expected, None when the value is fine."""
        return None if is_among(value, self.choices) else f"one of {self.choices}"


ParameterSpec = FloatParameter | IntParameter | CategoricalParameter


class InferenceSpec(Strict):
    """Settings that count in inference alone: every trained fold is scored with each choice.

    Attributes:
        overlap: Overlap of neighbouring windows, values in [0, 0.9].
        tta: Whether the mirror image is predicted too.
        whole_image: Whether the whole image is predicted in one pass, without windows.
    """

    overlap: list[float] = Field(default_factory=list)
    tta: list[bool] = Field(default_factory=list)
    whole_image: list[bool] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check(self) -> InferenceSpec:
        for name in self.model_fields_set:
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise Problem(name, values, "at least one value, none of them twice")
        return self

    def choices(self) -> tuple[dict[str, Any], ...]:
        """Every combination that makes a difference, the plain ones first.

        Smaller overlaps come first, no mirror image before one, windows before the whole image.
        """
        values = {name: sorted(getattr(self, name)) for name in INFERENCE if getattr(self, name)}
        if not values:
            return ()
        found = [
            dict(zip(values, combination, strict=True))
            for combination in itertools.product(*values.values())
        ]
        overlaps = values.get("overlap", [None])  # the whole image has none: one of them stands
        return tuple(
            choice
            for choice in found
            if not choice.get("whole_image") or choice.get("overlap") == overlaps[0]
        )


#: What the section `inference` may hold.
INFERENCE = tuple(InferenceSpec.model_fields)


#: The policy of a file that names none.
DEFAULT_POLICY = "greedy"


def _policy(data: Any) -> PolicySpec:
    return choose(PolicySpec, data, DEFAULT_POLICY)


def _pruner(data: Any) -> PrunerSpec:
    return choose(PrunerSpec, data)


class MlflowSpec(Strict):
    """What MLflow shows; no score depends on it.

    Attributes:
        fold_runs: Whether each fold has a run of its own below that of its trial.
    """

    fold_runs: bool = False


class SpaceFile(Strict):
    """The whole file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    objective: Objective
    folds: int = Field(default=5, ge=2, le=100)
    policy: Annotated[PolicySpec, PlainValidator(_policy)] = GreedySpec()
    pruner: Annotated[PrunerSpec, PlainValidator(_pruner)] = NoPruner()
    sampler: SamplerSpec = SamplerSpec()
    candidates: list[dict[str, Scalar]] = Field(default_factory=list)
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    inference: InferenceSpec = InferenceSpec()
    mlflow: MlflowSpec = MlflowSpec()
    parameters: dict[str, Annotated[ParameterSpec, Field(discriminator="type")]] = Field(
        min_length=1
    )


def is_among(value: object, values: list[Any]) -> bool:
    """Membership that tells True from 1 and lets 1 be 1.0."""
    return any(
        value == other and isinstance(value, bool) == isinstance(other, bool) for other in values
    )


def _check_range(
    low: float, high: float, log: bool, step: float | None, default: float, *, lowest_log: float
) -> None:
    if low > high:
        raise Problem("low", low, f"at most high ({high})")
    if log and step is not None:
        raise Problem("step", step, "no step on a logarithmic scale")
    if log and (low < lowest_log or low <= 0):
        raise Problem("low", low, "a value above 0 on a logarithmic scale")
    if step is not None and not _on_grid(high, low, step):
        raise Problem("high", high, f"low ({low}) plus a multiple of step ({step})")
    expected = _outside(default, low, high, step)
    if expected is not None:
        raise Problem("default", default, expected)


def _outside(value: float, low: float, high: float, step: float | None) -> str | None:
    if not low <= value <= high:
        return f"a value in [{low}, {high}]"
    if step is not None and not _on_grid(value, low, step):
        return f"{low} plus a multiple of {step}"
    return None


def _on_grid(value: float, low: float, step: float) -> bool:
    steps = (value - low) / step
    return abs(steps - round(steps)) < 1e-8
