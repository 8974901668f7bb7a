"""The report of a sweep, with pictures where weights and cases are still there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ptxcore.metrics import load_table
from sweep.analysis.confirmed import find_confirmed
from sweep.analysis.operating_point import OperatingPoint, operating_points, tuned_metrics
from sweep.analysis.standing import standing
from sweep.draw_cases import Missing, case_pictures
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.ledger.projection import Projection, Trial
from sweep.mlflow.in_step import run_in_step, state_of
from sweep.promotion.confirmation import last_confirmation
from sweep.promotion.kept_verdicts import last_verdict
from sweep.promotion.patients import ask_patients
from sweep.records import State
from sweep.storage.case_stores import open_own
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep

if TYPE_CHECKING:
    from dashboards.figures.thresholds import ThresholdsInfo
    from dashboards.report.markup import Markup
    from sweep.mlflow.view import MlflowView


@dataclass(frozen=True, kw_only=True)
class Published:
    """A report that was written.

    Attributes:
        path: Path of the HTML file.
        has_pictures: Whether it shows cases; its copy in MLflow does only where it was asked for.
        is_logged: Whether it was copied to the sweep's MLflow run.
        pdf: The same on paper, where it was asked for.
        pngs: Its figures, where they were asked for.
        num_figures_logged: Figures that its MLflow run has as pictures, which an installed Chromium
            draws; never one of a case.
        tuned_metrics: Mean and SD over the winner's folds by metric, each fold under the threshold
            chosen on the other folds; None without a winner or its tables.
        notes: What it had to do without, and why.
    """

    path: Path
    has_pictures: bool
    is_logged: bool
    pdf: Path | None
    pngs: tuple[Path, ...]
    num_figures_logged: int
    tuned_metrics: Mapping[str, Mapping[str, float]] | None
    notes: tuple[str, ...]


def publish_report(
    home: Home,
    name: str,
    *,
    out: Path | None = None,
    pdf: Path | None = None,
    pngs: Path | None = None,
    log_pictures: bool = False,
    store: Path | str | None = None,
) -> Published:
    """Write the report of a sweep, in whatever state it is.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        out: File to write; `report.html` in the sweep's folder unless given.
        pdf: File for the report on paper; needs an installed Chromium, as do pictures.
        pngs: Folder for its figures as PNG.
        log_pictures: Whether the copy in MLflow shows cases too: whoever sees the run sees them.
        store: Where its case store is now, if it moved.

    Raises:
        StoreError: The store that was given is missing, or not the sweep's.
        StorageError: Object storage cannot be used.
        UnknownSweep: There is no sweep of that name.
        UsageError: Paper or pictures are asked for, and no Chromium is installed, or it failed.
    """
    from dashboards.report import export
    from dashboards.report.page import write_report

    if pdf is not None or pngs is not None:
        export.check_browser()

    with Sweep.open(home, name) as sweep:
        ledger, folder = sweep.ledger, sweep.folder
        if store is not None:
            open_own(ledger.header, store)
        send = _Sender(home, ledger)
        complete = [trial for trial in ledger.projection.trials if trial.state is State.COMPLETE]
        sweep.files.bring_folds(complete)
        if (led := _complete_leader(ledger.projection)) is not None:
            sweep.files.bring_folds([led], weights=True)
        points = operating_points(ledger.projection, folder)
        ask_patients(ledger.projection, folder, home.folder, store)
        pictures, notes = _pictures(home, ledger, points, store)
        write = partial(
            write_report,
            ledger,
            operating_points=points,
            confirmation=last_confirmation(sweep),
            verdict=last_verdict(sweep),
            curves=_curves(ledger.projection, folder, points),
            confirmed=_confirmed(home, name, ledger.projection),
        )
        path = write(out or folder / "report.html", predictions=pictures)
        if pdf is not None:
            export.write_pdf(path, pdf)
        figures = () if pngs is None else export.write_pngs(path, pngs)
        if pictures is None or log_pictures:
            is_logged = send(path)
        else:
            with tempfile.TemporaryDirectory() as place:
                is_logged = send(write(Path(place) / path.name, predictions=None))
        num_figures, failed = _log_figures(send, path, figures) if is_logged else (0, ())
        winner = standing(ledger.projection).winner
        return Published(
            path=path,
            has_pictures=pictures is not None,
            is_logged=is_logged,
            pdf=pdf,
            pngs=figures,
            num_figures_logged=num_figures,
            tuned_metrics=None if winner is None else tuned_metrics(points.get(winner)),
            notes=(*notes, *failed),
        )


class _Sender:
    """Copies files to the sweep's run in MLflow, which is brought up to the ledger first.

    MLflow is imported only where it lacks something. To be made before the projection is given what
    the ledger does not hold.
    """

    def __init__(self, home: Home, ledger: Ledger) -> None:
        self._home, self._ledger = home, ledger
        self._run = run_in_step(home, ledger)
        self._state = state_of(ledger.name, ledger.projection)
        self._view: MlflowView | None = None
        self._is_up = False

    def __call__(self, path: Path, folder: str | None = None) -> bool:
        """Whether a file was copied; `folder` is inside the run's artifacts."""
        if self._run is not None and self._run.write(path, folder):
            return True
        if self._view is None:
            from sweep.mlflow.view import MlflowView

            self._view = MlflowView.for_sweep(self._home, self._ledger.name)
            self._is_up = self._view.catch_up(self._ledger, state=self._state)
        return self._is_up and self._view.log_artifact(self._ledger, path, folder)


def _log_figures(send: _Sender, page: Path, drawn: tuple[Path, ...]) -> tuple[int, tuple[str, ...]]:
    """Copy a report's figures to MLflow's folder `figures`, which shows pictures beside runs.

    Returns:
        How many; and why none, where a browser failed. Without a browser there are none.
    """
    from dashboards.report import export

    if export.find_browser() is None:
        return 0, ()
    with tempfile.TemporaryDirectory() as place:
        try:
            drawn = drawn or export.write_pngs(page, Path(place))
        except UsageError as error:
            return 0, (f"no figures in MLflow: {error}",)
        return sum(send(file, "figures") for file in drawn), ()


def _confirmed(home: Home, name: str, projection: Projection) -> str | None:
    """What fresh folds say, and where the hold-out is; None if the sweep was not confirmed."""
    found = find_confirmed(home.ledger_url, name, projection)
    if found is None:
        return None
    return f"{found.sentence} The report of {found.sweep} has the hold-out and the gate."


def _complete_leader(projection: Projection) -> Trial | None:
    """The winner; of a sweep that is not over, the leader if all its folds are finished."""
    leader = standing(projection).leader
    trial = None if leader is None else projection.trials[leader]
    return trial if trial is not None and trial.state is State.COMPLETE else None


def _curves(
    projection: Projection, folder: Path, points: Mapping[int, OperatingPoint]
) -> ThresholdsInfo | None:
    """What thresholds would give the winner or leader; None where a table of its folds is gone."""
    from dashboards.figures.thresholds import thresholds_info

    best = _complete_leader(projection)
    names = {} if best is None else {fold: score.cases for fold, score in best.folds.items()}
    files = {fold: folder / name for fold, name in names.items() if name}
    if best is None or len(files) < len(best.folds) or not all(map(Path.is_file, files.values())):
        return None
    point = points.get(best.number)
    tables = {fold: load_table(file) for fold, file in files.items()}
    return thresholds_info(tables, None if point is None else point.rule)


def _pictures(
    home: Home,
    ledger: Ledger,
    points: Mapping[int, OperatingPoint],
    store: Path | str | None,
) -> tuple[Markup | None, tuple[str, ...]]:
    """Cases of the winner or leader; None and a note where something they need is gone."""
    best = _complete_leader(ledger.projection)
    if best is None:
        return None, ("no pictures: the trial in the lead is not complete",)
    found = case_pictures(home, ledger.name, ledger.projection, best, points, store)
    return (None, (f"no pictures: {found.reason}",)) if isinstance(found, Missing) else (found, ())
