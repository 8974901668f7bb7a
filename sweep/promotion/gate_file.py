"""The gate as a file: what a champion must show, by YAML that is read strictly.

`gates/superior.yaml` is the gate unless another is named. Every mistake of a file is told at once,
before anything is opened.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from ptxcore.hints import did_you_mean
from ptxcore.metrics import better, bounds
from sweep.analysis.intervals import MIN_PATIENTS
from sweep.errors import UsageError
from sweep.promotion.confirmation import METRICS_WITH_INTERVAL
from sweep.util.strict import Strict
from sweep.util.yaml_lines import Where, load_yaml, read_text

_SUFFIX = ".yaml"
#: Name of the shipped gate that asks unless another is named.
USUAL = "superior"
#: What asks for less when it is larger; all other margins when they are smaller.
_MORE_IS_LESS = ("max_loss",)


CostName = Literal["seconds_per_image", "memory_bytes", "size_bytes", "num_networks"]


class Subgroups(Strict):
    """None of the parts of the cases may be worse with confidence.

    Attributes:
        by: What cases are parted by: view, quartile of mask size, subgroup given at import.
        max_loss: How far Dice on a part may fall below the champion's, or the default's where
            there is no champion; a part fails if the upper end lies below that.
    """

    by: tuple[Literal["view", "mask_size", "subgroup"], ...] = Field(
        default=("view", "mask_size", "subgroup"), min_length=1, strict=False
    )
    max_loss: float = Field(default=0.0, ge=0, le=1)


class Cheaper(Strict):
    """What the winner must cost less of than the champion, measured side by side.

    Attributes:
        any_of: Costs of which at least one must be lower.
        by: Share by which it must; of times, the upper end of the interval decides.
    """

    any_of: tuple[CostName, ...] = Field(default=get_args(CostName), min_length=1, strict=False)
    by: float = Field(default=0.1, gt=0, lt=1)


class Gate(Strict):
    """What a champion must show on the hold-out.

    Every comparison decides on the end of its interval, not on the number itself: of two equal
    models either one is ahead on half of all hold-outs.

    Attributes:
        name: Name of the gate.
        description: Description for people.
        min_gain: Dice (both empty = 1) must lie above predicting nothing by more than this.
        min_dice_positive: Least mean Dice over cases with a mask. Far below what is useful; it
            stops a network that finds nothing.
        max_loss: How far Dice may fall below the default trial's (non-inferiority). Above 0,
            because a winner that equals the default must be able to pass: with some two hundred
            cases, for on 90 even equal networks differ by 0 +- 0.043.
        cheaper: What it must cost less of than the champion; None asks for nothing.
        min_lead: Dice must lie above the champion's by more than this: superiority, or below 0
            non-inferiority, which needs `cheaper`.
        min_patients: Patients with a positive case, and patients without; with fewer of either
            nothing can be said, or a comparison could not fail.
        floors: Least value by metric; the largest where lower is better.
        subgroups: On which parts of the cases it may not be worse; None asks for none.
        max_seconds_per_image: Most time for an image, on the machine that promotes.
        max_memory_bytes: Most memory, weights included.
        max_size_bytes: Most bytes of weights.
    """

    name: str = Field(default="own", pattern=r"^[\w .,+-]{1,100}$")
    description: str = Field(default="", max_length=500)
    min_gain: float = Field(default=0.0, ge=-1, le=1)
    min_dice_positive: float = Field(default=0.1, ge=-1, le=1)
    max_loss: float = Field(default=0.02, ge=-1, le=1)
    cheaper: Cheaper | None = None
    min_lead: float = Field(default=0.0, ge=-1, le=1)
    min_patients: int = Field(default=MIN_PATIENTS, ge=0)
    floors: dict[str, float] = Field(default_factory=dict)
    subgroups: Subgroups | None = Field(default_factory=Subgroups)
    max_seconds_per_image: float | None = Field(default=None, gt=0)
    max_memory_bytes: int | None = Field(default=None, gt=0)
    max_size_bytes: int | None = Field(default=None, gt=0)

    @field_validator("min_lead")
    @classmethod
    def _check_lead(cls, lead: float, info: ValidationInfo) -> float:
        if lead < 0 and info.data.get("cheaper", lead) is None:
            raise ValueError(
                f"found {lead:g} without `cheaper`, expected at least 0: a champion that may be "
                "worse and is no cheaper wins nothing"
            )
        return lead

    @field_validator("floors")
    @classmethod
    def _check_floors(cls, floors: dict[str, float]) -> dict[str, float]:
        problems = [text for name, value in floors.items() for text in _floor_problems(name, value)]
        if problems:
            raise ValueError("; ".join(problems))
        return floors

    @property
    def content(self) -> dict[str, Any]:
        """What it asks for, as plain JSON values; its name and description aside."""
        return self.model_dump(mode="json", exclude={"name", "description"})

    @property
    def digest(self) -> str:
        """SHA-256 of the content: 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """Name, digest and content, as evidence and models keep them."""
        return {"name": self.name, "digest": self.digest, "content": self.content}

    @property
    def eased(self) -> tuple[str, ...]:
        """What asks for less than the usual gate, in words; empty if nothing does."""
        usual = Gate()
        margins = tuple(
            f"{name} {getattr(self, name):g} (usually {getattr(usual, name):g})"
            for name in ("min_gain", "min_dice_positive", "max_loss", "min_lead", "min_patients")
            if (getattr(self, name) - getattr(usual, name)) * (-1 if name in _MORE_IS_LESS else 1)
            < 0
        )
        return (*margins, *self._eased_subgroups(usual))

    def _eased_subgroups(self, usual: Gate) -> list[str]:
        assert usual.subgroups is not None
        if self.subgroups is None:
            return ["no subgroups"]
        left_out = [kind for kind in usual.subgroups.by if kind not in self.subgroups.by]
        told = [f"no subgroups by {', '.join(left_out)}"] if left_out else []
        if self.subgroups.max_loss > usual.subgroups.max_loss:
            told.append(
                f"subgroups.max_loss {self.subgroups.max_loss:g} (usually "
                f"{usual.subgroups.max_loss:g})"
            )
        return told

    def overridden(self, margins: Mapping[str, float | None]) -> Gate:
        """The gate with other margins, which its name tells.

        Args:
            margins: By name; None leaves one as it is.

        Raises:
            UsageError: One is no margin of a gate, such as NaN, which nothing lies above.
        """
        given = {
            name: value
            for name, value in margins.items()
            if value is not None and value != getattr(self, name)
        }
        if not given:
            return self
        told = ", ".join(f"{name} {value:g}" for name, value in given.items())
        try:
            Gate.model_validate({"cheaper": self.cheaper, **given})
        except ValidationError as error:
            problem = error.errors()[0]
            option = str(problem["loc"][0]).replace("_", "-")
            raise UsageError(_told(lambda *_: f"--{option}", problem)) from error
        return self.model_copy(update={**given, "name": f"{self.name} with {told}"})


def shipped_gates() -> dict[str, Traversable]:
    """The gates that come with the platform, by name."""
    return {
        entry.name.removesuffix(_SUFFIX): entry
        for entry in sorted(files("gates").iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(_SUFFIX)
    }


def load_gate(path_or_name: str | Path = USUAL) -> Gate:
    """Read a gate.

    Args:
        path_or_name: A YAML file, or the name of a shipped gate.

    Raises:
        UsageError: There is no such file or gate, or its content is unsound; the message has one
            line `file:line: key: found, expected` for each mistake.
    """
    path, shipped = Path(path_or_name), shipped_gates()
    if path.is_file():
        return parse_gate(read_text(path), str(path))
    if str(path_or_name) in shipped:
        entry = shipped[str(path_or_name)]
        return parse_gate(entry.read_text(encoding="utf-8"), entry.name)
    raise UsageError(
        f"gate {path_or_name}: found neither a file nor a shipped gate of that name; "
        f"{did_you_mean(str(path_or_name), shipped)}"
    )


def parse_gate(text: str, source: str) -> Gate:
    """Read a gate from text.

    Args:
        text: YAML.
        source: Name of the file, for messages.

    Raises:
        UsageError: Every mistake in a line of its own, as `file:line: key: found, expected`.
    """
    data, lines = load_yaml(text, source)
    where = Where(source, lines)
    missing = [] if "name" in data else [f"{where('name')}: found nothing, expected a name"]
    try:
        gate = Gate.model_validate(data)
    except ValidationError as error:
        told = [_told(where, problem) for problem in error.errors()]
        raise UsageError("\n".join([*missing, *dict.fromkeys(told)])) from error
    if missing:
        raise UsageError(missing[0])
    return gate


def _told(where: Callable[..., str], error: ErrorDetails) -> str:
    """A pydantic error as `file:line: key: found, expected`."""
    path = error["loc"]
    if error["type"] == "extra_forbidden":
        known = _fields(path[:-1])
        return f"{where(*path)}: found an unknown key, {did_you_mean(str(path[-1]), known)}"
    if error["type"] == "value_error":
        return f"{where(*path)}: {error['ctx']['error']}"
    expected = error["msg"].removeprefix("Input should be ")
    return f"{where(*path)}: found {error['input']!r}, expected {expected}"


def _fields(path: tuple[int | str, ...]) -> list[str]:
    """Names that the mapping at a path may hold."""
    sections: dict[str, type[Strict]] = {"subgroups": Subgroups, "cheaper": Cheaper}
    return list((sections[str(path[0])] if path else Gate).model_fields)


def _floor_problems(name: str, value: float) -> list[str]:
    if name not in METRICS_WITH_INTERVAL:
        what = "a metric without an interval" if better(name) else "an unknown metric"
        return [f"found {what}, {name!r}; {did_you_mean(name, METRICS_WITH_INTERVAL)}"]
    low, high = bounds(name)
    if low <= value <= high and math.isfinite(value):
        return []
    return [f"{name}: found {value:g}, expected a value from {low:g} to {high:g}"]
