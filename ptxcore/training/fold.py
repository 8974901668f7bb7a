"""One fold, from fresh weights to its score, as a generator of epoch reports."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ptxcore.data.patches.loader import Loader
from ptxcore.data.patches.sampler import PatchSampler
from ptxcore.data.splits.fold_plan import SearchPlan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import FoldPlanError
from ptxcore.settings import FoldSettings, for_inference
from ptxcore.training.averaging import RunningMean, estimate_statistics
from ptxcore.training.checkpoint import FoldFolder, Identity
from ptxcore.training.context import TrainingContext
from ptxcore.training.early_stopping import EarlyStopping, check_watched
from ptxcore.training.epoch import train_epoch
from ptxcore.training.final_weights import FinalWeights
from ptxcore.training.history import History
from ptxcore.training.micro_batches import SplitStep
from ptxcore.training.scoring import (
    fold_rule,
    held_metrics,
    monitor_metrics,
    require_whole_image,
    score_choices,
    time_image,
)
from ptxcore.training.seeds import derive_seed
from ptxcore.training.torch_state import isolated
from ptxcore.types import ChoiceResult, EpochReport, FoldResult, Runtime

#: Where a checkpoint keeps the losses of negative cases ...
_MEMORY = "negative_losses"
#: ... and, before their names, the tensors of the mean over epochs.
_EPOCH_MEAN = "epoch_mean/"


def train_fold(
    settings: FoldSettings,
    store: CaseStore,
    plan: SearchPlan,
    fold: int,
    *,
    seed: int,
    runtime: Runtime,
    directory: Path | None = None,
    inference: Sequence[Mapping[str, Any]] = (),
) -> Iterator[EpochReport]:
    """Train a fold, one epoch at each `next`, and score its held cases once at the end.

    The caller may stop asking at any time. With a directory, every epoch is on disk before it is
    reported: called again with the same arguments, training goes on after the last one, with the
    numbers of an undisturbed run; a finished fold only reports its result again.

    With `selection="monitor"` the held cases are not read before the end. With "fold" they are
    the monitor, and the training cases are all others: the protocol under which a checkpoint is
    chosen on the cases it is scored on. Its results say so.

    Args:
        settings: How to train.
        store: All cases.
        plan: Made for this store.
        fold: Zero-based.
        seed: Seed of the sweep; weights, patches and dropout derive theirs from it and the fold.
        runtime: Device, precision, layout and threads.
        directory: The fold's own; None keeps everything in memory.
        inference: Choices of settings that count in inference alone (`INFERENCE_SETTINGS`): the
            held cases are scored with each. None scores them with `settings` as they are.

    Yields:
        One report per epoch; the last one carries the result.

    Raises:
        TrainingDiverged: The loss is NaN or infinite.
        OutOfMemory: A quarter of a batch does not fit in memory, or a whole image where inference
            is to take one.
        CheckpointError: The directory is damaged or belongs to another fold.
        FoldPlanError: The plan is of another store, or has no such fold.
        SettingsError: The device is not there, or the stopping metric has no case in the monitor.
    """
    run = FoldRun(
        settings,
        store,
        plan,
        fold,
        seed=seed,
        runtime=runtime,
        directory=directory,
        inference=inference,
    )
    if (finished := run.finished_before()) is not None:
        yield finished
        return
    run.restore()
    try:
        run.require_memory()
        while not run.is_over:
            run.train_epoch()
            run.keep_best()
            run.checkpoint()
            if not run.is_over:
                yield run.report
        result = run.score_held_fold()
    finally:
        run.close()
    yield result


class FoldRun:
    """The steps of `train_fold`."""

    def __init__(
        self,
        settings: FoldSettings,
        store: CaseStore,
        plan: SearchPlan,
        fold: int,
        *,
        seed: int,
        runtime: Runtime,
        directory: Path | None,
        inference: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        _check(store, plan, fold)
        self.inference = tuple(dict(choice) for choice in inference)
        self.choices = [for_inference(settings, choice) for choice in self.inference]
        self.settings, self.store, self.plan, self.fold = settings, store, plan, fold
        self.seed = seed
        self.runtime = runtime
        self.held = plan.held(fold)
        identity = Identity(
            settings=settings,
            data_hash=store.data_hash,
            plan_digest=plan.digest,
            fold=fold,
            seed=seed,
            runtime=runtime,
            inference=self.inference,
        )
        self.folder = None if directory is None else FoldFolder(directory, identity)
        self.stopping = EarlyStopping.of(settings)
        self.history = History()
        self.final = FinalWeights(settings, self.stopping, self.folder)
        on_held_fold = settings.selection == "fold"
        self.monitor = self.held if on_held_fold else plan.monitor(fold)
        self.training = plan.training(fold) + (plan.monitor(fold) if on_held_fold else ())

    def finished_before(self) -> EpochReport | None:
        """The last report of a fold that an earlier call has finished."""
        result = self.folder.result() if self.folder else None
        if result is None:
            return None
        history = History.of_curves(self.fold, result.curves)
        return dataclasses.replace(history.reports[-1], result=result)

    def restore(self) -> None:
        """Fresh weights, or those of the last epoch on disk."""
        seed = self._seed("weights")
        self.context = TrainingContext.fresh(self.settings, self.runtime, seed=seed)
        self.sampler: PatchSampler | Loader = PatchSampler(
            self.store, self.training, self.settings, seed=self._seed("patches")
        )
        if self.runtime.device == "cuda":
            self.sampler = Loader(self.sampler, num_workers=self.runtime.num_threads)
        decay = self.settings.ema_decay
        self.mean = RunningMean(self.network, decay) if decay > 0 else None
        if self.folder:
            self.history = self.folder.restore(
                self.network, self.context.optimizer, self._take_back
            )
        self.step = SplitStep(self.history.num_parts)

    def require_memory(self) -> None:
        """Refuse what would fit in training and not when the held cases are scored."""
        choices = self.choices or [self.settings]
        require_whole_image(self.network, self.store, self.held, choices, self.runtime)

    def close(self) -> None:
        """End what runs beside this process."""
        if isinstance(self.sampler, Loader):
            self.sampler.close()

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        return self.context.network

    @property
    def judged(self) -> nn.Module:
        """The network that is scored and kept: the moving average, if there is one."""
        return self.mean.network if self.mean else self.network

    @property
    def watched(self) -> list[float]:
        """The stopping metric of every epoch so far."""
        return self.history.watched(self.settings.stop_metric)

    @property
    def is_over(self) -> bool:
        """Whether no further epoch will be trained."""
        at_end = self.history.num_epochs >= self.settings.max_epochs
        return at_end or self.stopping.is_over(self.watched)

    @property
    def report(self) -> EpochReport:
        """Report of the last epoch."""
        return self.history.reports[-1]

    def train_epoch(self) -> None:
        """Fit the training cases for an epoch, then look at the monitor."""
        start, epoch = time.perf_counter(), self.history.num_epochs + 1
        with isolated(self.runtime, seed=self._seed(f"epoch {epoch}")):
            loss, rate = train_epoch(
                self.context,
                self.sampler,
                epoch=epoch,
                watched=self.watched,
                step=self.step,
                mean=self.mean,
            )
            monitor = monitor_metrics(
                self.judged, self.store, self.monitor, self.settings, self.runtime
            )
        if epoch == 1:
            check_watched(self.settings.stop_metric, monitor[self.settings.stop_metric])
        self.history = self.history.and_then(
            EpochReport(
                fold=self.fold,
                epoch=epoch,
                train_loss=loss,
                learning_rate=rate,
                monitor=monitor,
                seconds=time.perf_counter() - start,
                num_parts=self.step.num_parts,
            )
        )

    def keep_best(self) -> None:
        """Keep the weights if this epoch counts for those of the end: on disk, or in memory."""
        self.final.take(self.judged, self.watched)

    def checkpoint(self) -> None:
        """Commit the epoch. After `keep_best`: weights without a checkpoint are made again."""
        if self.folder:
            self.folder.save(self.history, self.network, self.context.optimizer, self._more_state())
        self.final.tidy(self.watched)

    def score_held_fold(self) -> EpochReport:
        """Restore the kept weights, predict the held cases once, and report."""
        start = time.perf_counter()
        self.load_kept()
        rule = fold_rule(self.settings)
        with isolated(self.runtime, seed=self._seed("held fold")):
            tables = score_choices(
                self.network,
                self.store,
                self.held,
                self.choices or [self.settings],
                self.runtime,
                rule=rule,
            )
            seconds = [
                time_image(self.network, self.store, self.held, choice, self.runtime)
                for choice in self.choices or [self.settings]
            ]
        metrics = [held_metrics(table, self.store, self.plan, rule) for table in tables]
        result = FoldResult(
            metrics=metrics[0],
            curves=self.history.curves(),
            cases=tables[0],
            weights=self.folder.best if self.folder else None,
            best_epoch=self.stopping.best_epoch(self.watched),
            num_epochs=self.history.num_epochs,
            seconds=self.history.seconds + time.perf_counter() - start,
            selection=self.settings.selection,
            choices=tuple(
                ChoiceResult(inference=choice, metrics=own, cases=table, seconds_per_image=taken)
                for choice, own, table, taken in zip(
                    self.inference, metrics, tables, seconds, strict=False
                )
            ),
            seconds_per_image=seconds[0],
        )
        if self.folder:
            self.folder.finish(result)
        return dataclasses.replace(self.report, result=result)

    def load_kept(self) -> None:
        """Go on with the weights of the end; those of a mean get statistics of the last patches."""
        if not self.final.load_into(self.network, self.watched):
            return
        with isolated(self.runtime, seed=self._seed("statistics")):
            batches = self.sampler.epoch(self.history.num_epochs)
            estimate_statistics(self.network, batches, self.runtime)
        if self.folder:
            self.folder.save_best(self.network)

    def _more_state(self) -> dict[str, Tensor]:
        """What the epochs to come depend on, beside network, optimizer and history."""
        state = dict(self.mean.tensors()) if self.mean else {}
        if self.sampler.hard_negatives:
            state[_MEMORY] = torch.from_numpy(self.sampler.hard_negatives.losses)
        if self.final.mean:
            mean = self.final.mean.tensors()
            state |= {_EPOCH_MEAN + name: tensor for name, tensor in mean.items()}
        return state

    def _take_back(self, state: dict[str, Tensor]) -> None:
        """The inverse of `_more_state`."""
        if self.sampler.hard_negatives:
            self.sampler.hard_negatives.restore(state.pop(_MEMORY).numpy())
        if self.final.mean:
            names = [name for name in state if name.startswith(_EPOCH_MEAN)]
            own = {name.removeprefix(_EPOCH_MEAN): state.pop(name) for name in names}
            self.final.mean.restore(own)
        if self.mean:
            self.mean.restore(state)

    def _seed(self, purpose: str) -> int:
        return derive_seed(self.seed, self.fold, purpose)


def _check(store: CaseStore, plan: SearchPlan, fold: int) -> None:
    if store.data_hash != plan.data_hash:
        raise FoldPlanError(
            f"found a plan for the data {plan.data_hash[:12]}, expected one for "
            f"{store.data_hash[:12]}; make a plan for this store"
        )
    if not 0 <= fold < plan.num_folds:
        raise FoldPlanError(f"fold: found {fold}, expected 0 to {plan.num_folds - 1}")
