"""The whole job in one go: phantom (or own files), import, sweep, report, promotion, prediction.

The phantom is written as DICOM files with a CSV of masks and goes through the same import as real
files, so the path that the demo shows is the path that runs.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptxcore.data.formats.dicom import read_header
from ptxcore.data.importing.run import import_cases
from ptxcore.data.phantom import write_phantom
from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import DicomError
from sweep import launch
from sweep.analysis.standing import Standing
from sweep.analysis.summary import SweepSummary
from sweep.errors import GateRefused, UsageError
from sweep.ledger import list_sweeps
from sweep.ledger.projection import Projection
from sweep.promotion.gate import AGAINST_CHAMPION
from sweep.promotion.promote import Promotion, promote
from sweep.ray.resources import ResourceRequest
from sweep.records import SweepState
from sweep.report import Published, publish_report
from sweep.segment import Prediction, predict_files
from sweep.storage.home import Home
from sweep.storage.inputs import find_inputs
from sweep.util.words import count

SPACE = "demo"
#: With 240 the network learns its 30 positive training cases by heart; with 600 it learns.
NUM_CASES = 600
PHANTOM_SIZE_PX = 256
#: Larger than usual: a gain of 0.1 over predicting nothing is shown by 150 cases, hardly by 90.
HOLDOUT_FRACTION = 0.25

Watch = Callable[[str], AbstractContextManager[Callable[[Projection], None]]]


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What a demo found.

    Attributes:
        sweep: Name of the sweep.
        state: State of the sweep; anything but FINISHED means that the rest was not done.
        phantom: Whether the cases are drawn, not real.
        num_trials: Configurations tried.
        num_folds_run: Folds trained to their end.
        num_folds_stopped: Folds that were begun, and stopped with their trial.
        num_folds_full_grid: Folds that a full grid over them takes.
        best: Number of the winner.
        standing: By how much it is ahead of the default, and how sure that is.
        verdict: The same in words.
        short: The same as a phrase.
        configuration: Settings of the winner.
        metrics: Mean and SD over the winner's folds by name, at the threshold of its settings.
        tuned_metrics: The same with each fold's threshold chosen on the other folds.
        baseline: Dice (both empty = 1) of predicting nothing on the same cases.
        holdout: Metrics of the winner's ensemble on the locked hold-out, "dice_all_empty" among
            them, whatever the gate said; None if it was not opened.
        mlflow_run_id: MLflow id of the sweep's parent run.
        model_uri: Address of the champion; None if the gate refused it.
        refusals: What the gate said against the winner.
        stays: Why that was to be expected, where the present champion is all that stood in the way.
        report: HTML file.
        prediction: Prediction of a file of the hold-out; None without a new champion.
        true_px: Pixels of that file's true mask.
        home: Folder with all of it.
        seconds: Wall time of each step by name.
    """

    sweep: str
    state: SweepState
    phantom: bool
    num_trials: int
    num_folds_run: int
    num_folds_stopped: int
    num_folds_full_grid: int
    best: int | None
    standing: Standing
    verdict: str
    short: str
    configuration: Mapping[str, Any] | None
    metrics: Mapping[str, Mapping[str, float]] | None
    tuned_metrics: Mapping[str, Mapping[str, float]] | None
    baseline: float | None
    holdout: Mapping[str, float] | None
    mlflow_run_id: str | None
    model_uri: str | None
    refusals: tuple[str, ...]
    stays: str | None
    report: Path | None
    prediction: Prediction | None
    true_px: int | None
    home: Path
    seconds: Mapping[str, float]


class _Clock:
    """Says what begins and remembers how long it took."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[None]:
        self._say(text)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - begun, 1)


def demo(
    home: Home,
    *,
    dicom: Path | None = None,
    rle: Path | None = None,
    seed: int = 0,
    space: str = SPACE,
    num_cases: int = NUM_CASES,
    resources: ResourceRequest | None = None,
    precision: str = "auto",
    say: Callable[[str], None],
    watch: Watch,
) -> DemoResult:
    """Do the main job, on the phantom unless files are given. May be run again in the same home.

    Args:
        home: Where everything goes.
        dicom: Folder of your own DICOM files.
        rle: Their masks.
        seed: Seed of phantom and sweep.
        space: Search space, shipped or a YAML file.
        num_cases: Number of cases of the phantom.
        resources: What a trial takes and where.
        precision: Precision of the network, as in `launch.run`.
        say: Told what is being done.
        watch: Shows a sweep's progress, see `sweep.cli.live.watching`.

    Raises:
        UsageError: Only one of `dicom` and `rle` is given.
        DataError: Something about the files.
    """
    if (dicom is None) != (rle is None):
        raise UsageError("demo: give both --dicom FOLDER and --rle FILE, or neither")
    clock = _Clock(say)
    dicom, store = _cases(home.folder, dicom, rle, seed, num_cases, clock, say)
    name = free_name(home)
    with clock.step("sweep", f"sweep {name!r} over the search space {space!r}"), watch(name) as see:
        summary = launch.run(
            space,
            store=store,
            home=home,
            name=name,
            seed=seed,
            plan_options=launch.PlanOptions(holdout_fraction=HOLDOUT_FRACTION),
            resources=resources,
            precision=precision,
            on_progress=see,
        )
    promotion, refusal, report, prediction = None, None, None, None
    if summary.state is SweepState.FINISHED and summary.best is not None:
        with clock.step("promote", "scoring the winner on the locked hold-out"):
            promotion, refusal = _promote(home, name)
        with clock.step("report", "writing the report"):
            report = publish_report(home, name)
        if promotion is not None:
            with clock.step("predict", "segmenting a file that no fold has seen"):
                prediction = _predict(home, name, promotion, dicom, store)
    return _result(home, summary, promotion, refusal, report, prediction, clock.seconds)


def _cases(
    folder: Path,
    dicom: Path | None,
    rle: Path | None,
    seed: int,
    num_cases: int,
    clock: _Clock,
    say: Callable[[str], None],
) -> tuple[Path, Path]:
    """The DICOM folder and the case store made from it; a phantom that is there is used again."""
    if dicom is not None:
        store = folder / "store"
        if store.exists():
            say(f"using the case store {store}; remove it to import again")
            return dicom, store
    else:
        phantom, store = (
            folder / f"phantom-{num_cases}-{seed}",
            folder / f"store-{num_cases}-{seed}",
        )
        dicom, rle = phantom / "dicom", phantom / "phantom-rle.csv"
        if store.exists():
            return dicom, store
        shutil.rmtree(phantom, ignore_errors=True)  # of a demo that was stopped while drawing
        with clock.step("phantom", f"drawing {num_cases} chest phantoms as DICOM files"):
            write_phantom(phantom, num_cases=num_cases, size=PHANTOM_SIZE_PX, seed=seed)
    with clock.step("import", f"importing {dicom}"):
        report = import_cases(dicom, rle, store)
    for warning in report.warnings:
        say(f"warning: {warning}")
    say(f"{count(report.num_cases, 'case')}, {report.num_positive} with a pneumothorax")
    return dicom, store


def free_name(home: Home) -> str:
    """The first of demo, demo-2, ... that the ledger does not hold."""
    taken = set(list_sweeps(home.ledger_url))
    names = (SPACE if number == 1 else f"{SPACE}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _promote(home: Home, name: str) -> tuple[Promotion | None, GateRefused | None]:
    """A refusal is a result to show: a second demo equals the champion of the first."""
    try:
        return promote(home, name), None
    except GateRefused as refusal:
        return None, refusal


def why_it_stays(refusal: GateRefused) -> str | None:
    """Plain words for a refusal by the present champion alone; None for any other.

    Args:
        refusal: Refusal of the gate.
    """
    found = refusal.confirmation
    if found is None or found.challenge is None or len(refusal.reasons) > 1:
        return None
    if not refusal.reasons[0].startswith(AGAINST_CHAMPION):
        return None
    why = (
        "the winner equals it (the same seed trains the same networks again), and an equal "
        "challenger does not replace a champion"
        if found.challenge == 0
        else f"a lead of {found.challenge:+.4f} may be chance on {found.num_cases} cases, and a "
        "challenger has to be shown to be better"
    )
    return (
        f"{found.champion.name} version {found.champion.version} stays. Nothing went wrong, this "
        f"is the expected answer: {why}."
    )


def _predict(
    home: Home, name: str, promotion: Promotion, dicom: Path, store: Path
) -> tuple[Prediction, int]:
    """A prediction, and the pixels of the true mask."""
    plan, cases = FoldPlan.load(home.sweep_folder(name) / "plan.json"), CaseStore.open(store)
    file = holdout_file(dicom, cases, plan)
    out = home.sweep_folder(name) / "predictions"
    (prediction,) = predict_files(home, promotion.model_uri, find_inputs([file]), out)
    return prediction, cases.cases[cases.index(_largest(cases, plan))].mask_px


def _largest(store: CaseStore, plan: FoldPlan) -> str:
    return max(plan.holdout, key=lambda case_id: store.cases[store.index(case_id)].mask_px)


def holdout_file(dicom: Path, store: CaseStore, plan: FoldPlan) -> Path:
    """The file of the held-out case with the largest mask.

    Raises:
        UsageError: It is not in the folder.
    """
    wanted = _largest(store, plan)
    for path in sorted(dicom.rglob("*")):
        if path.is_file() and not path.name.startswith("._"):
            try:
                header = read_header(path)
            except DicomError:
                continue  # no image; the import has dealt with it
            if header is not None and store.case_id_of(header.uid) == wanted:
                return path
    raise UsageError(f"{dicom}: no file is case {wanted} of the hold-out; was the folder changed?")


def _result(
    home: Home,
    summary: SweepSummary,
    promotion: Promotion | None,
    refusal: GateRefused | None,
    report: Published | None,
    predicted: tuple[Prediction, int] | None,
    seconds: Mapping[str, float],
) -> DemoResult:
    judged = promotion or refusal
    found = None if judged is None else judged.confirmation
    best = None if summary.best is None else summary.trials[summary.best]
    return DemoResult(
        sweep=summary.name,
        state=summary.state,
        phantom=summary.phantom,
        num_trials=len(summary.trials),
        num_folds_run=summary.num_folds_run,
        num_folds_stopped=summary.num_folds_stopped,
        num_folds_full_grid=summary.num_folds_full_grid,
        best=summary.best,
        standing=summary.standing,
        verdict=summary.verdict,
        short=summary.short,
        configuration=None if best is None else best.settings,
        metrics=None if best is None else best.metrics | best.fixed_metrics,
        tuned_metrics=None if report is None else report.tuned_metrics,
        baseline=summary.baseline,
        holdout=None if found is None else found.metrics,
        mlflow_run_id=summary.mlflow_run_id,
        model_uri=None if promotion is None else promotion.model_uri,
        refusals=() if refusal is None else refusal.reasons,
        stays=None if refusal is None else why_it_stays(refusal),
        report=None if report is None else report.path,
        prediction=None if predicted is None else predicted[0],
        true_px=None if predicted is None else predicted[1],
        home=home.folder,
        seconds=seconds,
    )
