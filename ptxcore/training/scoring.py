"""Whole images through a network in training: counts on the original mask grid, and the loss."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ptxcore.data.resample import target_shape
from ptxcore.data.splits.fold_plan import SearchPlan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import OutOfMemory
from ptxcore.inference import (
    Passes,
    for_inference_on,
    grid_logits,
    on_grid,
    predict_grid,
    predict_prepared,
)
from ptxcore.losses import loss_of
from ptxcore.metrics import (
    build_table,
    concatenate,
    count_case,
    finite_case_logit,
    logits_to_mask,
    measure_surface,
    size_quartiles,
    summarize,
    summarize_groups,
    summarize_surfaces,
)
from ptxcore.settings import FoldSettings
from ptxcore.types import CaseTable, Rule, Runtime

#: Overlap of windows on monitor images: after every epoch, speed counts for more.
MONITOR_OVERLAP = 0.25
#: Held images that are predicted again to tell what one takes.
NUM_TIMED = 5


def score_cases(
    network: nn.Module,
    store: CaseStore,
    case_ids: Sequence[str],
    settings: FoldSettings,
    runtime: Runtime,
    *,
    rule: Rule | None = None,
) -> tuple[CaseTable, float]:
    """Predict cases one by one and count.

    Args:
        network: Placed on the runtime's device.
        store: Where the cases are.
        case_ids: Ids, at least one.
        settings: Settings, of which sizes, overlap, tta and the weights of the loss count here.
        runtime: Device, precision and layout.
        rule: With one, distances between outlines are measured under it: a second for ragged ones.

    Returns:
        Counts per case on the original grid, and the mean loss over cases on the network's grid.

    Raises:
        TrainingDiverged: A logit is NaN or infinite.
        OutOfMemory: A single window does not fit in memory.
        StoreError: The store has no such case, or the grid of the settings cannot be made.
        DataError: A case is given twice.
        SettingsError: The rule is not valid.
    """
    return _score(for_inference_on(network, runtime), store, case_ids, settings, runtime, rule=rule)


def _score(
    network: nn.Module,
    store: CaseStore,
    case_ids: Sequence[str],
    settings: FoldSettings,
    runtime: Runtime,
    *,
    rule: Rule | None,
    passes: Passes | None = None,
) -> tuple[CaseTable, float]:
    """As `score_cases`, with the network as it computes; `passes` are those of the one case."""
    grid = store.resampled(settings.image_size, settings.resampling)
    rows, losses, surfaces = [], [], []
    cases: list[float] = []
    for index in (store.index(name) for name in case_ids):
        logits, case = grid_logits(network, grid.image(index), settings, runtime, passes)
        if case is not None:
            cases.append(finite_case_logit(float(case[0])))
        truth = torch.from_numpy(grid.soft_mask(index).astype("float32") / 255)[None, None]
        losses.append(float(loss_of(settings, logits, truth.to(logits.device))))
        mask = store.mask(index)
        original = on_grid(logits, mask.shape)
        rows.append(count_case(original, mask))
        if rule is not None:
            spacing = store.cases[index].pixel_spacing_mm
            surfaces.append(measure_surface(logits_to_mask(original, rule), mask, spacing))
    table = build_table(
        list(case_ids),
        rows,
        views=[store.cases[store.index(name)].view for name in case_ids],
        surfaces=None if rule is None else surfaces,
        case_logits=cases if settings.case_head else None,
    )
    return table, sum(losses) / len(losses)


def score_choices(
    network: nn.Module,
    store: CaseStore,
    case_ids: Sequence[str],
    choices: Sequence[FoldSettings],
    runtime: Runtime,
    *,
    rule: Rule | None = None,
) -> list[CaseTable]:
    """As `score_cases`, with several settings that differ in those for inference alone.

    What they have in common goes through the network once: the plain pass of `tta`, and overlaps
    with windows that coincide.

    Args:
        network: Network, as for `score_cases`.
        store: Store, as for `score_cases`.
        case_ids: Ids, as for `score_cases`.
        choices: The settings, at least one.
        runtime: Runtime, as for `score_cases`.
        rule: Rule, as for `score_cases`.

    Returns:
        Counts per case by settings, equal to those of `score_cases` bit by bit.

    Raises:
        TrainingDiverged: A logit is NaN or infinite.
        OutOfMemory: A single window does not fit in memory.
        StoreError: As for `score_cases`.
        DataError: A case is given twice, or none.
        SettingsError: The rule is not valid.
    """
    tables: list[list[CaseTable]] = [[] for _ in choices]
    network = for_inference_on(network, runtime)
    for name in case_ids:
        passes: Passes = {}
        for own, settings in zip(tables, choices, strict=True):
            table, _ = _score(network, store, [name], settings, runtime, rule=rule, passes=passes)
            own.append(table)
    return [concatenate(own) for own in tables]


def time_image(
    network: nn.Module,
    store: CaseStore,
    case_ids: Sequence[str],
    settings: FoldSettings,
    runtime: Runtime,
) -> float:
    """Median wall time of an image of the first few cases, from the network's grid to the mask's.

    Args:
        network: Network, as for `score_cases`, that has predicted such images already.
        store: Store, as for `score_cases`.
        case_ids: Ids, as for `score_cases`.
        settings: Settings, as for `score_cases`.
        runtime: Runtime, as for `score_cases`.

    Returns:
        Seconds, those of folds that are trained beside it on the same host included.

    Raises:
        OutOfMemory: A single window does not fit in memory.
        StoreError: The store has no such case.
    """
    network = for_inference_on(network, runtime)
    grid, seconds = store.resampled(settings.image_size, settings.resampling), []
    for index in (store.index(name) for name in case_ids[:NUM_TIMED]):
        image, case = grid.image(index), store.cases[index]
        begun = time.perf_counter()
        predict_prepared(network, image, (case.height, case.width), settings, runtime)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def require_whole_image(
    network: nn.Module,
    store: CaseStore,
    case_ids: Sequence[str],
    choices: Sequence[FoldSettings],
    runtime: Runtime,
) -> None:
    """One pass of the largest case's size where a choice asks for the whole image.

    Windows fit where a batch of patches does; this is asked before a fold is trained in vain. No
    held image is read for it.

    Args:
        network: Network, as for `score_cases`.
        store: Store, as for `score_cases`.
        case_ids: Ids, as for `score_cases`.
        choices: The settings; nothing is done where none has `whole_image`.
        runtime: Runtime, as for `score_cases`.

    Raises:
        OutOfMemory: It does not fit in memory.
        StoreError: The store has no such case.
    """
    asked = [choice for choice in choices if choice.whole_image and not choice.is_whole_image]
    if not asked:
        return
    cases = (store.cases[store.index(name)] for name in case_ids)
    shapes = [target_shape(case.height, case.width, asked[0].image_size) for case in cases]
    height, width = max(shapes, key=math.prod)
    try:
        predict_grid(network, np.zeros((height, width), np.uint8), asked[0], runtime)
    except OutOfMemory as error:
        raise OutOfMemory(
            f"whole_image: found True where an image of {width} x {height} px does not fit the "
            f"memory of {runtime.device} in one pass; leave it out, or lower image_size or channels"
        ) from error


def monitor_metrics(
    network: nn.Module,
    store: CaseStore,
    case_ids: Sequence[str],
    settings: FoldSettings,
    runtime: Runtime,
) -> dict[str, float]:
    """Every metric at the settings' threshold, and "loss": no mirror, and windows overlap little.

    Args:
        network: Placed on the runtime's device.
        store: Where the cases are.
        case_ids: Ids of the monitor split, at least one.
        settings: Settings of the fold.
        runtime: Device, precision and layout.

    Returns:
        Values by the names of `ptxcore.metrics.CONVENTIONS`.

    Raises:
        TrainingDiverged: A logit is NaN or infinite.
        OutOfMemory: A single window does not fit in memory.
        StoreError: As of `score_cases`.
    """
    quick = dataclasses.replace(settings, overlap=MONITOR_OVERLAP, tta=False)
    table, loss = score_cases(network, store, case_ids, quick, runtime)
    return {**summarize(table, fold_rule(settings)), "loss": loss}


def held_metrics(
    table: CaseTable, store: CaseStore, plan: SearchPlan, rule: Rule
) -> dict[str, float]:
    """Every metric of a held fold or of the hold-out, distances and groups of cases among them.

    Quartiles of mask size are those of the positive cases of all folds together, so that they are
    the same for every fold and for the hold-out; its cases have no part in them.

    Args:
        table: Table of the cases that are scored; distances in it hold for the rule they were
            measured under, which must be this one.
        store: Where the cases are.
        plan: Fold plan with the folds that give the quartiles.
        rule: How logits become masks.

    Returns:
        What `summarize`, `summarize_surfaces` and `summarize_groups` give.

    Raises:
        StoreError: The plan names a case that the store does not have.
        SettingsError: The rule is not valid.
    """
    searched = [name for fold in range(plan.num_folds) for name in plan.held(fold)]
    quartiles = size_quartiles([store.cases[store.index(name)].mask_px for name in searched])
    return {
        **summarize(table, rule),
        **summarize_surfaces(table),
        **summarize_groups(table, rule, quartiles=quartiles),
    }


def fold_rule(settings: FoldSettings) -> Rule:
    """The rule of fold scores: one threshold, no smallest area.

    Args:
        settings: Settings, of which `threshold`, a probability in (0, 1), counts here.
    """
    return Rule(top=settings.threshold, bottom=settings.threshold)
