"""The classifier beside the mask: one logit a case, from the network to a fold's table."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_store import drawn_store
from torch import Tensor, nn

from ptxcore.data.intensity import normalise
from ptxcore.data.patches.sampler import Batch
from ptxcore.data.splits.fold_plan import make_plan
from ptxcore.errors import DataError, SettingsError, TrainingDiverged
from ptxcore.inference import Ensemble, grid_logits, mean_case_logit, segment
from ptxcore.inference._micro_batches import SplitForward
from ptxcore.losses import case_loss, loss_of
from ptxcore.metrics import build_table, concatenate, load_table, roc_area, save_table
from ptxcore.models import build_network, load_weights
from ptxcore.settings import FoldSettings
from ptxcore.training import train_fold
from ptxcore.training.context import TrainingContext
from ptxcore.training.step import train_step
from ptxcore.types import CaseTable, FoldResult, Runtime

CPU = Runtime()
SMALL = FoldSettings(
    channels=4,
    levels=3,
    image_size=48,
    patch_size=32,
    batch_size=4,
    max_epochs=3,
    patience=3,
    learning_rate=1e-2,
    case_head=True,
)


def without_head(settings: FoldSettings) -> FoldSettings:
    return dataclasses.replace(settings, case_head=False)


class MeanOfWindow(nn.Module):
    """A case logit that can be reckoned by hand: the mean of the window."""

    def with_case(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        return windows, windows.mean((1, 2, 3))[:, None]


@pytest.mark.parametrize("supervised", [False, True])
def test_all_other_weights_begin_as_without_it(*, supervised: bool) -> None:
    settings = dataclasses.replace(SMALL, deep_supervision=supervised)
    mine = build_network(settings, seed=3).state_dict()
    plain = build_network(without_head(settings), seed=3).state_dict()
    assert {*mine} - {*plain} == {"case_output.weight", "case_output.bias"}
    assert list(mine)[: len(plain)] == list(plain)
    assert all(torch.equal(mine[name], plain[name]) for name in plain)


def test_the_mask_is_what_it_was_and_the_logit_is_of_mean_and_maximum() -> None:
    network = build_network(SMALL, seed=0).eval()
    assert network.case_output is not None
    image = torch.randn(2, 1, 40, 33, generator=torch.Generator().manual_seed(0))
    coarsest: list[Tensor] = []
    network.down[-1].register_forward_hook(lambda _m, _i, out: coarsest.append(out))
    with torch.inference_mode():
        mask, case = network.with_case(image)
        assert torch.equal(mask, network(image))
        (masks, of_training) = network.all_outputs(image)
    pooled = torch.cat((coarsest[0].mean((2, 3)), coarsest[0].amax((2, 3))), 1)
    by_hand = pooled @ network.case_output.weight[0, :, 0, 0] + network.case_output.bias
    torch.testing.assert_close(case[:, 0], by_hand)
    assert case.shape == (2, 1)
    assert torch.equal(masks[0], mask)
    assert of_training is not None
    assert torch.equal(of_training, case)


def test_loss_by_hand() -> None:
    target = torch.zeros(3, 1, 4, 4)
    target[1, 0, 2, 3] = 0.1  # a sliver is a finding
    logits = torch.tensor([[0.0], [2.0], [-1.0]])
    expected = (np.log(2) + np.log1p(np.exp(-2)) + np.log1p(np.exp(-1))) / 3
    assert case_loss(logits, target).item() == pytest.approx(expected)
    assert case_loss(logits.bfloat16(), target).dtype == torch.float32


@pytest.mark.parametrize("supervised", [False, True])
def test_its_loss_is_weighed_and_not_reported(*, supervised: bool) -> None:
    settings = dataclasses.replace(
        SMALL,
        case_loss_weight=0.7,
        dropout=0.0,
        norm="instance",
        gradient_clip=0.0,
        deep_supervision=supervised,
    )
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 1, 32, 32), dtype=np.float32)
    targets = np.zeros_like(images)
    targets[0, 0, 5:9, 5:9] = 1
    context = TrainingContext.fresh(settings, CPU, seed=0)
    twin = build_network(settings, seed=0)
    step = train_step(context, Batch(images=images, targets=targets), rate=0.0)
    truth = torch.from_numpy(targets)
    masks, case = twin.all_outputs(torch.from_numpy(images))
    assert case is not None
    losses = [loss_of(settings, one, truth) for one in masks]
    whole = sum(loss / 2**level for level, loss in enumerate(losses))
    (whole + 0.7 * case_loss(case, truth)).backward()  # type: ignore[no-untyped-call]
    assert step.loss.item() == losses[0].item()
    for mine, other in zip(context.network.parameters(), twin.parameters(), strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize("tta", [False, True])
def test_an_image_is_as_positive_as_its_most_positive_window(*, tta: bool) -> None:
    settings = FoldSettings(image_size=64, patch_size=32, overlap=0.0, case_head=True, tta=tta)
    image = np.random.default_rng(1).integers(0, 255, (64, 96)).astype(np.uint8)
    values = normalise(image)

    def highest(pixels: np.ndarray[Any, Any]) -> float:
        windows = (pixels[y : y + 32, x : x + 32] for y in (0, 32) for x in (0, 32, 64))
        return max(float(window.mean()) for window in windows)

    both = [highest(values), highest(values[:, ::-1])]
    mask, case = grid_logits(MeanOfWindow(), image, settings, CPU)
    assert case is not None
    assert case.shape == (1,)
    assert case.item() == pytest.approx(np.mean(both) if tta else both[0], rel=1e-4)
    np.testing.assert_allclose(mask[0, 0], values, rtol=1e-4, atol=1e-5)
    whole = dataclasses.replace(settings, whole_image=True)
    _, case = grid_logits(MeanOfWindow(), image, whole, CPU)
    assert case is not None
    assert case.item() == pytest.approx(float(values.mean()), abs=1e-4)


def test_windows_that_are_tried_again_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For want of memory a batch is halved: what a first part said is said again."""
    settings = FoldSettings(image_size=64, patch_size=32, overlap=0.0, case_head=True)
    runtime = dataclasses.replace(CPU, folded_norms=True)  # several windows at once
    image = np.random.default_rng(1).integers(0, 255, (64, 96)).astype(np.uint8)
    (_, expected), failed = grid_logits(MeanOfWindow(), image, settings, runtime), []
    plain = SplitForward.__call__

    def fails_once(self: SplitForward, windows: Tensor) -> Tensor:
        inner = self._forward

        def forward(part: Tensor) -> Tensor:
            result = inner(part)
            if len(part) > 1:
                failed.append(len(part))
                raise MemoryError
            return result

        self._forward = forward
        return plain(self, windows)

    monkeypatch.setattr(SplitForward, "__call__", fails_once)
    _, found = grid_logits(MeanOfWindow(), image, settings, runtime)
    assert failed
    assert found is not None
    assert expected is not None
    assert torch.equal(found, expected)


def test_an_ensemble_says_the_mean_of_its_heads(rng: np.random.Generator) -> None:
    image = rng.integers(0, 255, (70, 50)).astype(np.uint8)
    pairs = [(build_network(SMALL, seed=seed).eval(), SMALL) for seed in range(3)]
    alone = [Ensemble(members=(pair,)).predict(image).case for pair in pairs]
    together = Ensemble(members=tuple(pairs))
    assert len({*alone}) == 3
    assert together.predict(image).case == pytest.approx(np.mean([one for one in alone if one]))
    np.testing.assert_array_equal(together.predict(image).mask, together.logits(image))
    probability, _, case = segment(together, image)
    assert case == together.predict(image).case
    np.testing.assert_array_equal(probability, together.probability(image))
    mixed = Ensemble(
        members=(pairs[0], (build_network(without_head(SMALL), seed=0), without_head(SMALL)))
    )
    assert mixed.predict(image).case is None
    # No head outvotes the others; one alone is left as it is.
    assert mean_case_logit([100.0, -6.0]) == 1.0
    assert mean_case_logit([100.0]) == 100.0
    assert mean_case_logit([1.0, None]) is None


def test_folded_norms_say_the_same(rng: np.random.Generator) -> None:
    image = rng.integers(0, 255, (70, 50)).astype(np.uint8)
    network = build_network(SMALL, seed=0)
    folded = dataclasses.replace(CPU, folded_norms=True, channels_last=True)
    plain, other = (
        Ensemble(members=((network.eval(), SMALL),), runtime=one).predict(image).case
        for one in (CPU, folded)
    )
    assert plain == pytest.approx(other, abs=1e-5)


def result_of(folder: Path, settings: FoldSettings) -> FoldResult:
    if not (folder / "store").exists():
        drawn_store(folder / "store", num_cases=32, num_positive=16, side_px=48)
    from ptxcore.data.store.case_store import CaseStore

    store = CaseStore.open(folder / "store")
    plan = make_plan(store, num_folds=3).search_part()
    *_, last = train_fold(settings, store, plan, 0, seed=0, runtime=CPU, directory=folder / "fold")
    assert last.result is not None
    return last.result


def test_a_fold_keeps_it_case_by_case(tmp_path: Path) -> None:
    settings = dataclasses.replace(SMALL, patch_size=0, max_epochs=12, patience=12, dropout=0.0)
    cases = result_of(tmp_path, settings).cases
    assert cases.case_logits is not None
    ill = cases.truth.sum(1) > 0
    assert roc_area(cases.case_logits, ill) > 0.9
    # As it was scored, so it is loaded: by the table, the result and the weights.
    again = load_table(tmp_path / "fold" / "cases.npz")
    np.testing.assert_array_equal(again.case_logits, cases.case_logits)
    np.testing.assert_array_equal(
        result_of(tmp_path, settings).cases.case_logits, cases.case_logits
    )
    network, kept = load_weights(tmp_path / "fold" / "best")
    assert network.case_output is not None
    assert kept == settings


def test_tables_have_it_all_or_none(tmp_path: Path) -> None:
    def one(name: str, logits: list[float] | None) -> CaseTable:
        empty = np.zeros(256, np.int64)
        return build_table([name], [(empty, empty)], case_logits=logits)

    both = concatenate([one("a", [1.5]), one("b", [-2.0])])
    save_table(tmp_path / "table.npz", both)
    assert load_table(tmp_path / "table.npz").case_logits.tolist() == [1.5, -2.0]  # type: ignore[union-attr]
    assert concatenate([one("a", [1.5]), one("b", None)]).case_logits is None
    with pytest.raises(DataError, match=r"case_logits: found float64 of shape \(1,\), expected fi"):
        one("a", [float("nan")])


def test_a_head_that_diverged_is_said(tmp_path: Path) -> None:
    store = drawn_store(tmp_path / "store", num_cases=4, num_positive=2, side_px=48)
    from ptxcore.training.scoring import score_cases

    network = build_network(SMALL, seed=0).eval()
    assert network.case_output is not None
    nn.init.constant_(network.case_output.bias, float("nan"))
    with pytest.raises(TrainingDiverged, match="case head: found a logit of nan"):
        score_cases(network, store, [store.cases[0].case_id], SMALL, CPU)


def test_a_head_that_is_never_trained_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"case_loss_weight: found 0\.0, expected a value above"
    ):
        FoldSettings(case_head=True, case_loss_weight=0.0)
