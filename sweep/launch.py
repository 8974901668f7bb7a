"""Launch a sweep, or go on with one: wire ledger, controller, Ray and the views together."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ptxcore.data.splits.fold_plan import FoldPlan, make_plan
from ptxcore.data.store.case_store import CaseStore, no_progress
from ptxcore.data.store.verified import verify_once
from ptxcore.errors import CoreError
from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime
from sweep.analysis.cohort import take_part
from sweep.analysis.detection import detect
from sweep.analysis.operating_point import keeper
from sweep.analysis.resampling import resample
from sweep.analysis.selection_bias import mixed_versions
from sweep.analysis.summary import SweepSummary, summarise
from sweep.errors import SweepError, UsageError
from sweep.ledger import Ledger, list_sweeps
from sweep.ledger.header import build_header
from sweep.ledger.projection import Projection
from sweep.ledger.spent import attempt_seconds, spent_money
from sweep.mlflow.feed import MlflowFeed
from sweep.ray.cluster import ray_cluster
from sweep.ray.measure import choose_runtime
from sweep.ray.resources import ResourceRequest, Resources
from sweep.ray.run import Interrupt, drive
from sweep.ray.trainable import Job
from sweep.records import SweepState
from sweep.search.budget import Budget
from sweep.search.controller import Controller
from sweep.search.stop_rules import make_stop_rule
from sweep.space import SearchSpace, parse_space
from sweep.space.overrides import Overrides, effective_space
from sweep.space.settings import check_measurable, image_grids
from sweep.storage.beginning import begin, claim, has_begun
from sweep.storage.case_stores import locate, open_own, open_store, store_of
from sweep.storage.home import Home
from sweep.storage.retention import NUM_KEPT
from sweep.storage.sweep_files import files_of
from sweep.storage.tracking_address import check_tracking
from sweep.util.provenance import PRODUCT, differences, pixel_versions
from sweep.util.redaction import redact

_log = logging.getLogger(__name__)

#: A second driver may take over after this long without a sign of life from the first.
LEASE_SECONDS = 12.0
#: How often a driver looks whether it is asked to stop.
_LISTEN_SECONDS = 1.0
#: Why a sweep that was asked to stop is interrupted.
STOPPED = "ptxsweep stop"

OnProgress = Callable[[Projection], None]


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """How the cases are split.

    Attributes:
        cases: "all" or "positive".
        holdout_fraction: Share of the cases locked away until confirmation.
        monitor_fraction: Share of each training part that early stopping watches.
    """

    cases: str = "all"
    holdout_fraction: float = 0.15
    monitor_fraction: float = 0.15


def run(
    space_name: str,
    *,
    store: Path | str,
    home: Home,
    name: str | None = None,
    seed: int = 0,
    overrides: Overrides | None = None,
    plan_options: PlanOptions | None = None,
    resources: ResourceRequest | None = None,
    precision: str = "auto",
    budget: Budget | None = None,
    on_progress: OnProgress = lambda projection: None,
    on_verify: Callable[[int, int], None] = no_progress,
) -> SweepSummary:
    """Start a new sweep and drive it to its end, or until SIGINT or SIGTERM.

    Args:
        space_name: A shipped search space, or the path of a YAML file.
        store: Folder of the case store, or its address in object storage.
        home: Where ledger, tracking store and folders are.
        name: Name of the sweep; the space's own name unless given.
        seed: Seed of everything random: folds, proposals, weights, batches.
        overrides: Changes to the search space.
        plan_options: How to split the cases.
        resources: What a trial takes and where; what it leaves open depends on the hosts.
        precision: "float32" or "bfloat16"; "auto" measures which is faster where trials run, so
            two sweeps may differ where the two are close.
        budget: Ends the sweep when it is used.
        on_progress: Called on the driver at most twice a second.
        on_verify: Called after every case while the store is read through, if it has to be.

    Raises:
        UsageError: The space, the name, the store or the resources cannot be used; nothing was
            written.
        StoreError: The store is missing, damaged, or not what its manifest says.
    """
    options = plan_options or PlanOptions()
    space = effective_space(space_name, overrides or Overrides())
    name = name or space.name
    home.sweep_folder(name)  # a name that cannot be is refused first
    cases = open_store(store)
    plan = split(cases, space, options, seed)
    return start(
        space,
        plan,
        store=store,
        home=home,
        name=name,
        resources=resources,
        precision=precision,
        budget=budget,
        on_progress=on_progress,
        on_verify=on_verify,
    )


def start(
    space: SearchSpace,
    plan: FoldPlan,
    *,
    store: Path | str,
    home: Home,
    name: str,
    resources: ResourceRequest | None,
    precision: str,
    budget: Budget | None,
    on_progress: OnProgress,
    on_verify: Callable[[int, int], None],
    confirms: str | None = None,
) -> SweepSummary:
    """Start a sweep of a space that was read, on a plan that was made. Its seed is the plan's.

    Args:
        space: What is tried.
        plan: Folds and hold-out.
        store: Store that the plan was made for.
        home: Where the sweep will live.
        name: Name of the sweep.
        resources: Resources, as in `run`.
        precision: Precision, as in `run`.
        budget: Budget, as in `run`.
        on_progress: Callback, as in `run`.
        on_verify: Callback, as in `run`.
        confirms: Name of the sweep of which this one trains the best trials again.

    Raises:
        UsageError: The name or the resources cannot be used; nothing was written.
        StoreError: The store is missing, damaged, or not what its manifest says.
    """
    cases = open_store(store)
    request = resources or ResourceRequest()
    home.folder.mkdir(parents=True, exist_ok=True)
    claim(home, name)
    check_tracking(home.tracking_uri)
    verify_once(cases, on_progress=on_verify)
    budget = budget or Budget()
    default = FoldSettings.from_mapping(space.complete(space.defaults()))
    with ray_cluster(request) as found:
        budget.check(found.gpus)
        runtime = choose_runtime(default, found, precision, is_here=request.address is None)
        header = build_header(
            space_text=space.text,
            space_digest=space.digest,
            metric=space.objective.metric,
            maximize=space.objective.maximize,
            num_folds=plan.num_folds,
            seed=int(plan.settings["seed"]),
            store=locate(store),
            data_hash=cases.data_hash,
            cohort=take_part(cases, plan),
            phantom=cases.phantom,
            plan_digest=plan.digest,
            search_plan_digest=plan.search_part().digest,
            runtime=dataclasses.asdict(runtime),
            confirms=confirms,
        )
        ledger = begin(home, name, plan, space.text, header)
        return _drive(home, ledger, space, cases, locate(store), found, budget, on_progress)


def split(cases: CaseStore, space: SearchSpace, options: PlanOptions, seed: int) -> FoldPlan:
    """The fold plan of a sweep.

    Args:
        cases: Case store.
        space: Search space, which says how many folds.
        options: How to split.
        seed: Seed of the sweep.

    Raises:
        FoldPlanError: There are too few positive patients for the parts asked for.
        SpaceError: A metric cannot be measured on these cases.
    """
    plan = make_plan(
        cases,
        num_folds=space.num_folds,
        seed=seed,
        cases=options.cases,
        holdout_fraction=options.holdout_fraction,
        monitor_fraction=options.monitor_fraction,
    )
    held = (cases.cases[cases.index(case)] for fold in plan.search.folds for case in fold)
    check_measurable(space, has_negatives=not all(case.is_positive for case in held))
    return plan


def resume(
    name: str,
    *,
    home: Home,
    store: Path | str | None = None,
    resources: ResourceRequest | None = None,
    budget: Budget | None = None,
    on_progress: OnProgress = lambda projection: None,
    on_verify: Callable[[int, int], None] = no_progress,
) -> SweepSummary:
    """Go on with a sweep from its ledger: finished folds stay, unfinished ones continue.

    Args:
        name: Name of the sweep.
        home: Where it lives.
        store: Where its case store is now, if it moved.
        resources: Resources, as in `run`; they may differ from the first time.
        budget: Budget, as in `run`; hours count anew.
        on_progress: Callback, as in `run`.
        on_verify: Callback, as in `run`.

    Raises:
        UsageError: No such sweep, or it is finished.
        StoreError: The store is another one, or not what its manifest says.
        LeaseHeld: Another driver is at work on it.
    """
    ledger = Ledger.open(home.ledger_url, name)
    if ledger.projection.sweep_state is SweepState.FINISHED:
        _close_up(home, ledger, store)
    _check_unfinished(ledger)
    check_tracking(home.tracking_uri)
    header = ledger.header
    request = (resources or ResourceRequest()).on(Runtime(**(header.runtime or {})).device)
    where = store or store_of(header, home.folder)
    cases = open_own(header, where)
    verify_once(cases, on_progress=on_verify)
    space = parse_space(header.space_text or "", f"{name} (ledger)", has_begun=True)
    files = files_of(home, name)
    files.check()
    files.bring_plan()
    has_begun(home, name)
    budget = budget or Budget()
    with ray_cluster(request) as found:
        budget.check(found.gpus)
        return _drive(home, ledger, space, cases, locate(where), found, budget, on_progress)


def find(name: str, home: Home) -> SweepSummary | None:
    """Where a sweep stands, None if there is none of that name.

    What a driver that was killed at its very end left undone is done.
    """
    if name not in list_sweeps(home.ledger_url):
        return None
    ledger = Ledger.open(home.ledger_url, name)
    try:
        is_over = ledger.projection.sweep_state is SweepState.FINISHED
        return summarise(ledger, mlflow_run_id=_close_up(home, ledger) if is_over else None)
    finally:
        ledger.close()


def _close_up(home: Home, ledger: Ledger, store: Path | str | None = None) -> str | None:
    """Do what comes after a sweep is finished, as far as it was not done; its run in MLflow."""
    from sweep.mlflow.view import MlflowView  # two seconds that a driver rarely needs

    folder, header = home.sweep_folder(ledger.name), ledger.header
    with contextlib.suppress(CoreError, SweepError):  # the store may be gone
        if ledger.projection.resampling is None:
            cases = open_store(store or store_of(header, home.folder))
            if cases.data_hash == header.data_hash:
                ledger.acquire(_owner(), ttl_seconds=LEASE_SECONDS, wait=True)
                _note_patients(ledger, cases, folder)
    ledger.release()
    files_of(home, ledger.name).tidy(ledger.projection, num_kept=NUM_KEPT)
    view = MlflowView.for_sweep(home, ledger.name)
    view.catch_up(ledger)
    return view.run_id


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _note_versions(ledger: Ledger) -> None:
    """Write down that a sweep goes on under other versions of what changes pixels or scores.

    Not refused: a security update must not cost a sweep of days. But folds before and after are
    not quite comparable, so the ledger keeps it and every view says it
    (`sweep.analysis.selection_bias`).
    """
    known, here = ledger.projection.versions, pixel_versions()
    if known and differences(known[-1], here):
        ledger.note_versions(here)
        _log.warning("caution: %s", mixed_versions(ledger.projection))


def _note_patients(ledger: Ledger, cases: CaseStore, folder: Path) -> None:
    """Keep what patients are needed for: the rank of trials, and how the winner tells cases apart.

    A table that cannot be read costs this, not the sweep.
    """
    groups = {case.case_id: case.group for case in cases.cases}
    try:
        ranked = resample(ledger.projection, folder, groups)
        told_apart = detect(ledger.projection, folder, groups)
    except CoreError as error:
        _log.warning("the ranking is not resampled: %s", redact(str(error)))
        return
    if ranked is not None:
        ledger.note_resampling(ranked.to_stored())
    if told_apart is not None:
        ledger.note_detection(told_apart.to_stored())


def _check_unfinished(ledger: Ledger) -> None:
    projection = ledger.projection
    if projection.sweep_state is SweepState.FINISHED:
        raise UsageError(
            f"sweep {ledger.name!r} is finished ({projection.sweep_reason}); "
            "there is nothing to resume"
        )


def _drive(
    home: Home,
    ledger: Ledger,
    space: SearchSpace,
    cases: CaseStore,
    location: str,
    resources: Resources,
    budget: Budget,
    on_progress: OnProgress,
) -> SweepSummary:
    folder, files = home.sweep_folder(ledger.name), files_of(home, ledger.name)
    for size, resampling in image_grids(space):
        cases.resampled(size, resampling)
    ledger.acquire(_owner(), ttl_seconds=LEASE_SECONDS, wait=True)
    try:
        _check_unfinished(ledger)  # another driver may have ended it while Ray started here
        _note_versions(ledger)
        per_trial = {"cpus": resources.cpus, "gpus": resources.gpus, **budget.prices}
        most = {} if budget.max_cost is None else {"max_cost": budget.max_cost}
        ledger.note_resources({**per_trial, **most})
        interrupt = Interrupt()
        feed = MlflowFeed(home, ledger)
        spec, num_folds = space.policy, ledger.projection.num_folds
        policy = spec.build(num_folds)
        controller = Controller(
            ledger,
            space,
            policy,
            make_stop_rule(
                spec.num_trials,
                spec.num_completions,
                num_folds,
                policy=policy,
                min_gain=spec.min_gain,
            ),
            seed=ledger.header.seed,
            final_notes=keeper(folder, lambda trial: files.bring_folds([trial])),
        )
        limit = _limit(budget, ledger, resources)
        with feed.running():
            with interrupt.listening():
                drive(
                    controller,
                    _job(ledger, space, location, folder, files.address),
                    resources,
                    folder=folder,
                    interrupt=interrupt,
                    on_poll=_poller(ledger, controller, feed, limit, interrupt, on_progress),
                )
            controller.close(interrupt.reason or "Ray ended the run")
            if controller.stop_reason() is not None:
                _note_patients(ledger, cases, folder)
                files.tidy(ledger.projection, num_kept=NUM_KEPT)
            feed.finish()
    finally:
        ledger.release()
    on_progress(ledger.projection)
    return summarise(ledger, mlflow_run_id=feed.run_id)


def _job(ledger: Ledger, space: SearchSpace, store: str, folder: Path, bucket: str | None) -> Job:
    header = ledger.header
    return Job(
        store=store,
        data_hash=header.data_hash or "unknown",
        plan=str(folder / "search_plan.json"),
        plan_digest=header.search_plan_digest or "unknown",
        folder=str(folder),
        seed=header.seed,
        metric=header.metric,
        maximize=header.maximize,
        runtime=header.runtime or {},
        version=importlib.metadata.version(PRODUCT),  # ours; the header has the first driver's
        bucket=bucket,
        inference=space.inference,
        versions=pixel_versions(),
    )


def _limit(budget: Budget, ledger: Ledger, resources: Resources) -> Callable[[], str | None]:
    """A function that says why the budget ends the sweep, None while it does not."""
    began = time.monotonic()

    def reason() -> str | None:
        counts = budget.gpu_hours is not None  # reads every attempt of the sweep
        gpu_seconds = resources.gpus * attempt_seconds(ledger.projection) if counts else 0.0
        cost = None if budget.max_cost is None else spent_money(ledger.projection)
        return budget.used_up(time.monotonic() - began, gpu_seconds, cost or 0.0)

    return reason


def _poller(
    ledger: Ledger,
    controller: Controller,
    feed: MlflowFeed,
    limit: Callable[[], str | None],
    interrupt: Interrupt,
    on_progress: OnProgress,
) -> Callable[[], None]:
    """What the driver does between Ray's events: keep the lease, listen, feed the views."""
    shown_at = listened_at = 0.0

    def poll() -> None:
        nonlocal shown_at, listened_at
        now = time.monotonic()
        if now - shown_at < 0.5:
            return
        shown_at = now
        ledger.renew()
        if now - listened_at >= _LISTEN_SECONDS:
            listened_at = now
            if (asked := ledger.listen()) is not None:
                (interrupt.stop if asked.now else interrupt.close)(STOPPED)
        ledger.flush()
        if (used_up := limit()) is not None:
            controller.end_sweep(used_up)
        feed.offer()
        on_progress(ledger.projection)

    return poll
