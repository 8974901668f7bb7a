"""The Ray trainable: drives one fold of one trial, an epoch a step, on a reusable actor.

It decides nothing. What to train stands in the configuration that the driver sets before each
start (`Job` for the sweep, `assignment` for the fold); what happened goes back as one plain
result per epoch. Every error that the core raises is a result too, so that the driver can tell
a diverged loss (final) from a lost worker (tried again), and from what no trial can help: a
full disk, or another version of the code on this host (the sweep halts, to be resumed).

Each attempt at a fold writes into a folder of its own, which starts as a copy of what the last one
committed: a worker that was cut off, or outlived its driver, can spoil nothing and delays no other.
With object storage that folder is on the host, and every epoch is there before it is reported.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import math
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from sweep.errors import StorageError, UsageError
from sweep.ray.usage import Meter
from sweep.records import Assignment, ChoiceScore, Epoch, FoldScore, as_score, known_seconds
from sweep.storage import snapshots
from sweep.storage.bucket import Bucket
from sweep.storage.snapshots import SEARCH_PLACE, SEARCH_PLAN
from sweep.util.provenance import differences, pixel_versions
from sweep.util.redaction import redact

if TYPE_CHECKING:
    from ptxcore.types import EpochReport, FoldResult


#: What MONAI imports where it finds it, and no trial uses: three seconds of a worker's start and
#: 80 MB of its memory.
_UNUSED = ("mlflow", "matplotlib", "sklearn", "tensorboardX")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is the same for all trials of a sweep.

    Attributes:
        store: Folder of the case store, of which a host with PTXSWEEP_CACHE keeps a copy of its
            own; or its address in object storage, of which every host does.
        data_hash: Content hash that the store must have.
        plan: File of the search part of the fold plan: it does not name the hold-out.
        plan_digest: Digest that the plan must have.
        folder: Where trials write, one folder per trial, fold and attempt.
        seed: Seed of the sweep; the fold and its parts derive their own.
        metric: Name of the objective among the fold's metrics.
        maximize: Whether it is better when higher.
        runtime: Device, precision and layout, frozen for the sweep.
        version: Version of ptxsweep on the driver.
        versions: There, of what changes pixels or scores; empty asks for none.
        bucket: Where the sweep is in object storage, instead of `plan` and `folder`; None if it
            is in folders.
        inference: Choices for inference that every trained fold is scored with; may be empty.
    """

    store: str
    data_hash: str
    plan: str
    plan_digest: str
    folder: str
    seed: int
    metric: str
    maximize: bool
    runtime: Mapping[str, Any]
    version: str
    bucket: str | None = None
    inference: tuple[Mapping[str, Any], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def fold_folder(number: int, fold: int) -> Path:
    """Folder of one fold, relative to the sweep's folder."""
    return Path("trials") / f"{number:04d}" / f"fold-{fold}"


class HostRefused(Exception):
    """This host cannot train for this sweep, whatever the trial."""


#: No trial can train before something is mended.
_HALTS = (HostRefused, StorageError, UsageError)


def require_device(device: str) -> None:
    """Make sure that PyTorch on this host can train on a device.

    Raises:
        UsageError: It sees no GPU.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"a trial was given a GPU on {socket.gethostname()}, but PyTorch {torch.__version__} "
            "sees none there; install a build with CUDA on every host that has GPUs"
        )


def load_networks() -> None:
    """Import networks, and for scores of outlines MONAI without what a trial never uses.

    For a process that only trains: MONAI's own use of these libraries stays switched off in it.
    """
    hidden = [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not there
    try:
        from ptxcore.metrics import load_distances
        from ptxcore.models import SegmentationUNet  # noqa: F401

        load_distances()
    finally:
        for name in hidden:
            del sys.modules[name]


class _Scratch:
    """Where one attempt writes on its host, and its snapshots in object storage."""

    def __init__(self, address: str, what: Assignment) -> None:
        self._bucket = Bucket(address)
        self._place, self._attempt = fold_folder(what.trial, what.fold).as_posix(), what.attempt
        sweep = hashlib.sha256(address.encode()).hexdigest()[:12]
        prefix = f"ptxsweep-{sweep}-{what.trial}-{what.fold}-"
        for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)  # of an attempt that was killed
        self._folder = Path(tempfile.mkdtemp(prefix=prefix))
        self._fold = self._folder / "fold"
        snapshots.fetch(self._bucket, SEARCH_PLACE, self._folder)

    @property
    def plan(self) -> Path:
        """File of the search part of the fold plan."""
        return self._folder / SEARCH_PLAN

    def continue_from(self) -> Path:
        """The attempt's folder, with what the newest attempt so far left in storage."""
        self._fold.mkdir()
        for number in range(self._attempt, 0, -1):
            if snapshots.fetch(self._bucket, f"{self._place}/attempt-{number}", self._fold):
                break
        return self._fold

    def save(self) -> None:
        """Have the epoch in storage before it is reported."""
        snapshots.save(self._bucket, f"{self._place}/attempt-{self._attempt}", self._fold)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _is_full(error: BaseException | None) -> bool:
    """Whether a write failed because storage is full or cannot be written at all."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


class FoldTrainable(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """One step trains one epoch; the last step of a fold also scores the held cases."""

    def setup(self, config: dict[str, Any]) -> None:
        """Note the assignment; files are opened in the first step, where errors are results."""
        self._reports: Iterator[EpochReport] | None = None
        self._scratch: _Scratch | None = None
        self._assign(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another fold on the same actor."""
        self.cleanup()
        self._assign(new_config)
        return True

    def _assign(self, config: Mapping[str, Any]) -> None:
        self._job: Job = config["job"]
        self._assignment: Assignment = config["assignment"]
        self._meter = Meter(self._job.runtime.get("device", "cpu"))

    def step(self) -> dict[str, Any]:
        """Train one epoch.

        Returns:
            "epoch" (an `Epoch`), with the fold's last one also "score" (a `FoldScore`); or
            "failed" (the reason) with "final" (whether another attempt is pointless) and "halt"
            (whether no trial can train before something is mended).
        """
        what = self._assignment
        result: dict[str, Any] = {"trial": what.trial, "attempt": what.attempt}
        from ptxcore.errors import CoreError

        try:
            if self._reports is None:
                self._reports = self._open()
            report = next(self._reports)
            if self._scratch is not None:
                self._scratch.save()
        except Exception as error:  # a result, so that the driver counts and names it
            self.cleanup()
            halt = isinstance(error, _HALTS) or _is_full(error)
            final = isinstance(error, CoreError) and not halt
            return result | {
                "failed": redact(f"{type(error).__name__}: {error}"),
                "final": final,
                "halt": redact(f"{socket.gethostname()}: {error}") if halt else None,
            }
        result["epoch"] = self._epoch(report)
        if report.result is not None:
            result["score"] = self._score(report.result)
            self.cleanup()
        return result

    def cleanup(self) -> None:
        """Let go of the fold: its generator, and the memory that was kept for it."""
        generator, self._reports = self._reports, None
        if generator is not None and hasattr(generator, "close"):
            generator.close()
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None
        if self._job.runtime.get("device") == "cuda":
            import torch

            torch.cuda.empty_cache()
        else:
            from ptxcore.allocator import give_back

            give_back()

    def _open(self) -> Iterator[EpochReport]:
        from ptxcore.allocator import keep_buffers
        from ptxcore.data.splits.fold_plan import SearchPlan
        from ptxcore.data.store.case_store import CaseStore
        from ptxcore.errors import FoldPlanError, StoreError
        from ptxcore.settings import FoldSettings
        from ptxcore.training import continue_from, train_fold
        from ptxcore.types import Runtime
        from sweep.storage.case_stores import on_host

        job, what = self._job, self._assignment
        here = importlib.metadata.version("ptxsweep")
        if here != job.version:
            raise HostRefused(
                f"this worker has ptxsweep {here}, the driver {job.version}; "
                "install the driver's version on every node"
            )
        if job.versions and (others := differences(job.versions, pixel_versions())):
            listed = ", ".join(f"{name} {found}, not {ours}" for name, ours, found in others)
            raise HostRefused(
                f"this worker has other versions than the driver ({listed}), which change pixels "
                "or scores; install the driver's versions on every node"
            )
        require_device(job.runtime["device"])
        load_networks()
        if job.runtime["device"] == "cpu":
            keep_buffers()
        try:
            store = CaseStore.open(on_host(job.store, job.data_hash))
        except StoreError as error:  # no fault of the trial
            raise HostRefused(str(error)) from error
        if store.data_hash != job.data_hash:
            raise HostRefused("the case store on this node is not the one the sweep started with")
        if job.bucket is not None:
            self._scratch = _Scratch(job.bucket, what)
        plan = SearchPlan.load(self._scratch.plan if self._scratch else Path(job.plan))
        if plan.digest != job.plan_digest:
            raise FoldPlanError("the fold plan is not the one the sweep started with")
        if self._scratch is not None:
            directory = self._scratch.continue_from()
        else:
            place = Path(job.folder) / fold_folder(what.trial, what.fold)
            directory = continue_from(place, what.attempt)
        return train_fold(
            FoldSettings.from_mapping(what.settings),
            store,
            plan,
            what.fold,
            seed=job.seed,
            runtime=Runtime(**job.runtime),
            directory=directory,
            inference=job.inference,
        )

    def _epoch(self, report: EpochReport) -> Epoch:
        what = self._assignment
        return Epoch(
            trial=what.trial,
            fold=what.fold,
            attempt=what.attempt,
            epoch=report.epoch,
            value=report.monitor.get(self._job.metric, math.nan),
            seconds=report.seconds,
        )

    def _score(self, result: FoldResult) -> FoldScore:
        from ptxcore.training import attempt_folder, cases_name

        what = self._assignment
        folder = attempt_folder(fold_folder(what.trial, what.fold), what.attempt)
        metric, maximize = self._job.metric, self._job.maximize
        return FoldScore(
            trial=what.trial,
            fold=what.fold,
            attempt=what.attempt,
            value=result.metrics[metric],
            score=as_score(result.metrics[metric], maximize=maximize),
            seconds=result.seconds,
            num_epochs=result.num_epochs,
            best_epoch=result.best_epoch,
            metrics=dict(result.metrics),
            curves=dict(result.curves),
            cases=str(folder / cases_name(0)),
            usage={**self._meter.read(), **known_seconds(result.seconds_per_image)},
            weights=None if result.weights is None else str(folder / result.weights.name),
            choices=tuple(
                ChoiceScore(
                    inference=dict(choice.inference),
                    value=choice.metrics[metric],
                    score=as_score(choice.metrics[metric], maximize=maximize),
                    metrics=dict(choice.metrics),
                    cases=str(folder / cases_name(number)),
                    seconds_per_image=choice.seconds_per_image,
                )
                for number, choice in enumerate(result.choices)
            ),
        )
