"""Everything that defines how one fold is trained and scored.

The field names are the names that a search space may use. A setting is checked when the object is
made, so that a sweep refuses a bad configuration before it holds a worker.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ptxcore.errors import SettingsError
from ptxcore.hints import did_you_mean
from ptxcore.limits import (
    CONTROL_POINTS,
    ENCODERS,
    FRACTION_SCHEDULES,
    GRID_CELLS,
    INFERENCE_SETTINGS,
    LOSS_WEIGHTS,
    MAX_ELASTIC_SHARE,
    NETWORKS,
    NORMS,
    PLAIN,
    RESAMPLINGS,
    SCHEDULES,
    SELECTIONS,
    STOP_METRICS,
)

#: Keys of a field's metadata: its range, and the words that it may be.
RANGE, CHOICES = "range", "choices"


def within(default: float, low: float, high: float, *, closed: bool = True) -> Any:
    """A setting that is a number.

    Args:
        default: Its default.
        low: Lowest value.
        high: Highest value.
        closed: Whether the highest value itself is allowed.
    """
    return dataclasses.field(default=default, metadata={RANGE: (low, high, closed)})


def one_of(default: str, allowed: tuple[str, ...]) -> Any:
    """A setting that is one of some words.

    Args:
        default: Its default.
        allowed: The words.
    """
    return dataclasses.field(default=default, metadata={CHOICES: allowed})


@dataclass(frozen=True, kw_only=True)
class FoldSettings:
    """The configuration of a fold.

    Attributes:
        network: "attention_unet" (Oktay 2018) or "unet" (Ronneberger 2015).
        encoder: Contracting path: "plain" is the network's own; "efficientnet_lite0" has learned
            ImageNet before (Tan and Le 2019), has levels of its own, down to 1/32 of the grid, and
            batch norms, whatever `norm` says of the rest.
        channels: Width of the first level; each level below doubles it, or grows with the encoder
            up to eight times. At least 1.
        levels: Resolutions of the network, 2 to 7; without effect with an encoder.
        dropout: Probability in [0, 1).
        norm: "batch", "instance" or "group" (up to 8 groups of channels).
        deep_supervision: Whether coarser levels learn the mask too, in training alone; needs 3
            levels, since the coarsest has no output.
        case_head: Whether the network also says whether there is anything to segment at all: one
            logit a case from its coarsest level, beside the mask.
        image_size: Longer side in pixels of the whole image as the network sees it; 0 keeps the
            original grid. Any size will do: the network pads what its strides do not divide.
        resampling: Filter that brings images to that grid, one of `limits.RESAMPLINGS`; see
            `ptxcore.data.resample`.
        patch_size: Side in pixels of training patches and of the sliding window on that grid;
            0 takes whole images.
        overlap: Overlap of neighbouring windows, in [0, 0.9]: at 0.9 each pixel is in 100 windows.
        position_channels: Whether the network also sees where in the image each pixel lies: two
            channels, from -1 at the top and on the left to 1.
        context_factor: Whether it also sees what lies around a patch: a channel that shows this
            many patch sides about the same centre, shrunk to the patch; 0 (off), or 2 to 16.
        bce_weight: Weight of binary cross-entropy, at least 0.
        dice_weight: Weight of the soft Dice loss, at least 0.
        focal_weight: Weight of the focal loss, at least 0.
        focal_gamma: How much it turns away from pixels that are right already, in [0, 10]; 0 is
            binary cross-entropy.
        tversky_weight: Weight of the Tversky loss, at least 0; one of the four weights is above 0.
        tversky_alpha: What a false positive costs it, in (0, 1); a false negative costs the rest.
        dice_on_empty: Whether the Dice and the Tversky loss count samples without any foreground,
            in which a few pixels cost as much as a lost lesion; if not, only the other terms do.
        case_loss_weight: Weight of the cross-entropy of the case head, above 0; without one it has
            no effect.
        augmentation_strength: 0 (none, exactly) to 1 (the strongest).
        elastic_px: Root mean square of the elastic displacement at strength 1, along each axis, in
            pixels of the network's grid: 0 (none) to less than 1/64 of `image_size`. Below 0, down
            to -1, it is 1% of the image's side, whatever `image_size` is.
        grid_distortion_px: How far the lines of a grid of 8 x 8 cells over the image move at
            strength 1, at most and along each axis, in pixels of the network's grid; 0 to less
            than half a cell, 0 (off) bends none. It grows with `augmentation_strength`, as all do.
        positive_fraction: Share of training samples drawn from positive cases, in [0, 1].
        positive_fraction_schedule: "constant", or "linear" or "cosine" over `max_epochs`.
        positive_fraction_end: Its share in the last epoch, in [0, 1], unless it is constant.
        foreground_share: Share of the patches of positive cases that are centred on a pixel of the
            mask, in [0, 1]; the rest lie anywhere. Without effect on whole images.
        hard_negative_share: Share of the samples from negative cases that are drawn by the last
            training loss of the case, in [0, 1].
        learning_rate: Learning rate of AdamW at the top of its schedule, above 0.
        weight_decay: Weight decay of AdamW, on weights alone (no norms, no biases), at least 0.
        schedule: "cosine", "plateau" or "constant".
        warmup_epochs: Epochs of linear warm-up, at least 0 and fewer than `max_epochs`; a fold of
            one epoch may be all warm-up, which at the default it is.
        batch_size: Patches per step, at least 1.
        steps_per_epoch: Steps of an epoch; 0 takes as many as one pass over the training cases.
        max_epochs: Epochs at most, 1 to 9,999.
        patience: Epochs without improvement after which training stops, at least 1.
        min_delta: The smallest change that counts as one, at least 0.
        stop_metric: The monitor's metric that early stopping watches, one of
            `limits.STOP_METRICS`; "loss" is minimised.
        selection: Where the stopping metric is measured: "monitor" (a split inside the training
            cases) or "fold" (the scored fold itself, which makes its score optimistic).
        gradient_clip: Largest gradient norm; 0 never clips.
        ema_decay: Decay of the moving average of the weights that is scored and kept, in [0, 1); 0
            scores the weights themselves.
        average_best: Number of best epochs to average the weights of at the end, 1 to 100; 1
            averages none.
        swa_start: Share of `max_epochs`, in [0, 1), after which the weights of all epochs are
            averaged (stochastic weight averaging), whatever the monitor says of them; 0 (off)
            keeps the best epoch, and so does a fold that stops before. Not beside `average_best`.
            With a "cosine" schedule the last epochs hardly differ.
        threshold: Probability at which a pixel counts as pneumothorax in fold scores, in (0, 1).
        tta: Whether the held fold is predicted with its mirror image too.
        whole_image: Whether a network that learned on patches is given the whole image in one pass,
            and not windows of the patch's size. Not with a `context_factor`.
    """

    network: str = one_of("attention_unet", NETWORKS)
    encoder: str = one_of(PLAIN, ENCODERS)
    channels: int = within(16, 1, 1024)
    levels: int = within(5, 2, 7)
    dropout: float = within(0.1, 0.0, 1.0, closed=False)
    norm: str = one_of("batch", NORMS)
    deep_supervision: bool = False
    case_head: bool = False
    image_size: int = within(512, 0, 8192)
    resampling: str = one_of("lanczos", RESAMPLINGS)
    patch_size: int = within(256, 0, 8192)
    overlap: float = within(0.25, 0.0, 0.9)
    position_channels: bool = False
    context_factor: int = within(0, 0, 16)
    bce_weight: float = within(1.0, 0.0, math.inf, closed=False)
    dice_weight: float = within(1.0, 0.0, math.inf, closed=False)
    focal_weight: float = within(0.0, 0.0, math.inf, closed=False)
    focal_gamma: float = within(2.0, 0.0, 10.0)
    tversky_weight: float = within(0.0, 0.0, math.inf, closed=False)
    tversky_alpha: float = within(0.3, 0.0, 1.0, closed=False)
    dice_on_empty: bool = True
    case_loss_weight: float = within(0.2, 0.0, math.inf, closed=False)
    augmentation_strength: float = within(0.5, 0.0, 1.0)
    elastic_px: float = within(-1.0, -1.0, math.inf, closed=False)
    grid_distortion_px: float = within(0.0, 0.0, math.inf, closed=False)
    positive_fraction: float = within(0.5, 0.0, 1.0)
    positive_fraction_schedule: str = one_of("constant", FRACTION_SCHEDULES)
    positive_fraction_end: float = within(0.4, 0.0, 1.0)
    foreground_share: float = within(0.5, 0.0, 1.0)
    hard_negative_share: float = within(0.0, 0.0, 1.0)
    learning_rate: float = within(1e-3, 0.0, math.inf, closed=False)
    weight_decay: float = within(1e-4, 0.0, math.inf, closed=False)
    schedule: str = one_of("cosine", SCHEDULES)
    warmup_epochs: int = within(1, 0, 9_999)
    batch_size: int = within(8, 1, 65_536)
    steps_per_epoch: int = within(0, 0, 1_000_000)
    max_epochs: int = within(40, 1, 9_999)
    patience: int = within(12, 1, 9_999)
    min_delta: float = within(0.0, 0.0, math.inf, closed=False)
    stop_metric: str = one_of("average_precision", STOP_METRICS)
    selection: str = one_of("monitor", SELECTIONS)
    gradient_clip: float = within(1.0, 0.0, math.inf, closed=False)
    ema_decay: float = within(0.0, 0.0, 1.0, closed=False)
    average_best: int = within(1, 1, 100)
    swa_start: float = within(0.0, 0.0, 1.0, closed=False)
    threshold: float = within(0.5, 0.0, 1.0, closed=False)
    tta: bool = False
    whole_image: bool = False

    def __post_init__(self) -> None:
        """Refuse wrong types, values out of range and combinations that make no sense."""
        fields = dataclasses.fields(self)
        for field in fields:
            object.__setattr__(self, field.name, _typed(field, getattr(self, field.name)))
        for field in fields:
            value, allowed = getattr(self, field.name), field.metadata.get(CHOICES)
            if allowed is not None and value not in allowed:
                raise SettingsError(_message(field.name, value, f"one of {', '.join(allowed)}"))
        for field in fields:
            if (limits := field.metadata.get(RANGE)) is None:
                continue
            value, (low, high, closed) = getattr(self, field.name), limits
            inside = low <= value <= high if closed else low <= value < high
            if not inside:
                end = "]" if closed and high < math.inf else ")"
                raise SettingsError(_message(field.name, value, f"a value in [{low}, {high}{end}"))
        self._check_combinations()

    def _check_combinations(self) -> None:
        for name in ("learning_rate", "case_loss_weight"):
            if getattr(self, name) <= 0:
                raise SettingsError(_message(name, getattr(self, name), "a value above 0"))
        for name in ("threshold", "tversky_alpha"):
            if getattr(self, name) <= 0:
                raise SettingsError(_message(name, getattr(self, name), "a value in (0, 1)"))
        if not any(getattr(self, name) for name in LOSS_WEIGHTS):
            raise SettingsError(
                f"{', '.join(LOSS_WEIGHTS[:-1])} and {LOSS_WEIGHTS[-1]}: found 0 in all of them, "
                "expected one above 0"
            )
        for name in ("image_size", "patch_size"):
            if 0 < getattr(self, name) < 32:
                raise SettingsError(_message(name, getattr(self, name), "0, or at least 32 px"))
        if self.patch_size and self.image_size and self.patch_size > self.image_size:
            raise SettingsError(
                f"patch_size: found {self.patch_size} px on an image_size of {self.image_size} px, "
                "expected a patch no larger than the image (0 takes the whole image)"
            )
        if self.deep_supervision and self.levels == 2:
            raise SettingsError(
                "deep_supervision: found True with levels 2, expected False, or at least 3 levels: "
                "of two the finer has the output and the coarser has none"
            )
        self._check_context()
        self._check_elastic()
        self._check_grid_distortion()
        if self.average_best > self.max_epochs:
            raise SettingsError(
                f"average_best: found {self.average_best} of {self.max_epochs} epochs, expected at "
                "most max_epochs"
            )
        if self.average_best > 1 and self.swa_start > 0:
            raise SettingsError(
                f"swa_start: found {self.swa_start:g} beside an average_best of "
                f"{self.average_best}, expected one of them off (swa_start 0, or average_best 1): "
                "both say which epochs are averaged"
            )
        # One epoch of one is let pass: who asks for a single epoch need not set the warm-up too.
        if self.warmup_epochs >= max(2, self.max_epochs):
            raise SettingsError(
                f"warmup_epochs: found {self.warmup_epochs} of {self.max_epochs} epochs, "
                "expected fewer than max_epochs"
            )

    def _check_context(self) -> None:
        if self.context_factor == 1:
            raise SettingsError(
                _message("context_factor", 1, "0 (off) or 2 to 16: at 1 it shows the patch itself")
            )
        if self.context_factor and self.is_whole_image:
            raise SettingsError(
                f"context_factor: found {self.context_factor} with whole images, expected 0: there "
                "is nothing around them (or set a patch_size below image_size)"
            )
        if self.context_factor and self.whole_image:
            raise SettingsError(
                f"whole_image: found True with a context_factor of {self.context_factor}, expected "
                "False: the network learned what surrounds a patch, and nothing surrounds an image"
            )

    def _check_elastic(self) -> None:
        """Images of their own size have no limit here: the augmentation has one."""
        limit = MAX_ELASTIC_SHARE * self.image_size / CONTROL_POINTS
        if self.image_size and self.elastic_px >= limit:
            raise SettingsError(
                f"elastic_px: found {self.elastic_px:g} px on an image_size of {self.image_size} "
                f"px, expected less than {limit:g} px (-1 is 1% of the image's side)"
            )

    def _check_grid_distortion(self) -> None:
        """From half a cell on two lines could cross. Images of their own size have no limit here:
        the augmentation holds the lines back.
        """
        limit = self.image_size / (2 * GRID_CELLS)
        if self.image_size and self.grid_distortion_px >= limit:
            raise SettingsError(
                f"grid_distortion_px: found {self.grid_distortion_px:g} px on an image_size of "
                f"{self.image_size} px, expected less than {limit:g} px, half a cell of the grid"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> FoldSettings:
        """Build settings from names and values, as a search space or a checkpoint gives them.

        Raises:
            SettingsError: A name is unknown, or a value is refused.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise SettingsError(f"{name}: no such setting; {did_you_mean(name, known)}")
        return cls(**values)

    @property
    def is_whole_image(self) -> bool:
        """Whether patches are whole images, so that no window slides."""
        return self.patch_size == 0 or self.patch_size == self.image_size

    @property
    def window_size(self) -> int:
        """Side in pixels of the windows of inference; 0 is the whole image."""
        return 0 if self.whole_image else self.patch_size

    @property
    def num_channels(self) -> int:
        """Channels that the network is given: the image, its context, rows and columns."""
        return 1 + (self.context_factor > 0) + 2 * self.position_channels

    def as_dict(self) -> dict[str, Any]:
        """Names and values, ready for JSON."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """SHA-256 of the settings, as 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()


def for_inference(settings: FoldSettings, choice: Mapping[str, Any]) -> FoldSettings:
    """Settings with another choice for inference.

    Raises:
        SettingsError: A setting of the choice is none of `INFERENCE_SETTINGS`, or is refused.
    """
    for name, value in choice.items():
        if name not in INFERENCE_SETTINGS:
            raise SettingsError(_message("inference", name, f"one of {INFERENCE_SETTINGS}"))
        settings = dataclasses.replace(settings, **{name: value})
    return settings


_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}


def _typed(field: dataclasses.Field[Any], value: object) -> object:
    """The value as the field's type: whole numbers pass for floats, and nothing else is bent."""
    name, wanted = field.name, _TYPES[str(field.type)]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise SettingsError(_message(name, value, "a number that a float can hold")) from None
    if type(value) is not wanted:
        raise SettingsError(_message(name, value, f"a value of type {wanted.__name__}"))
    return value


def _message(name: str, found: object, expected: str) -> str:
    # Python refuses to write whole numbers of more than 4300 digits, and nobody reads 300.
    is_long = isinstance(found, int) and found.bit_length() > 1000
    shown = "a whole number of more than 300 digits" if is_long else repr(found)
    return f"{name}: found {shown}, expected {expected}"
