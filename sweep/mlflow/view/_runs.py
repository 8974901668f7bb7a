"""The runs of one sweep as MLflow has them: found by their tags, made when missing, written to.

The sweep's own run stands in an experiment with those of other sweeps, the runs of its trials in an
experiment of their own, so that a thousand of them hide no sweep. Earlier builds had all in one;
runs of trials that are found there are `retired` once the new ones are complete.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

from sweep.mlflow.local import local_path
from sweep.mlflow.view._content import OLD_TRIAL, SWEEP_ID, TRIAL
from sweep.mlflow.view._places import settle, write_artifact
from sweep.mlflow.view._store import connect

#: What MLflow takes in one call is 1000 entries, at most 100 of them params and 100 tags.
MAX_METRICS, MAX_PARAMS = 800, 100
#: Stands for the parent run where trials have their number.
PARENT = -1
#: MLflow opens an experiment without this tag as one of language models. The values are those of
#: its own pages.
KIND, TRAINING = "mlflow.experimentKind", "custom_model_development"


@dataclass(kw_only=True)
class Run:
    """What MLflow holds of one run.

    Attributes:
        run_id: Its id.
        status: Its status.
        artifact_uri: Where its artifacts are.
        is_new: Whether it was made by this process.
        tags: Its tags.
    """

    run_id: str
    status: str
    artifact_uri: str
    is_new: bool = False
    tags: dict[str, str] = field(default_factory=dict)


class SweepRuns:
    """The parent run and the child runs of a sweep.

    Attributes:
        client: Client of the store.
        found: Runs by trial, the parent's under `PARENT`, as `search` last saw them.
        experiments: Id of the experiment of sweeps, and of that of this sweep's trials.
    """

    def __init__(self, tracking_uri: str, sweep_id: str) -> None:
        """Connect.

        Args:
            tracking_uri: Address of MLflow.
            sweep_id: The tag that all runs of the sweep share.
        """
        self.client: MlflowClient = connect(tracking_uri)
        self.found: dict[int, Run] = {}
        self.experiments: tuple[str, str] = ("", "")
        self._has_server = tracking_uri.startswith(("http:", "https:"))
        self._sweep_id = sweep_id
        self._root: Path | None = None
        self._old: list[str] = []
        self._experiment_tags: dict[str, dict[str, str]] = {}

    def enter(self, experiment: str, trials: str, artifact_root: Path | None) -> None:
        """Find the experiments, or make them, and search them.

        Args:
            experiment: Name of the experiment of sweeps.
            trials: Name of that of this sweep's trials.
            artifact_root: Where artifacts are kept if no server does; see `settle`.
        """
        self._root = artifact_root
        self._settle()
        self.experiments = self.experiment(experiment), self.experiment(trials)
        self.search()

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is made, or brought back, where it is not there."""
        known = self.client.get_experiment_by_name(name)
        if known is None:
            local = self._root if not self._has_server else None
            location = None if local is None else local.absolute().as_uri()
            try:
                self.client.create_experiment(name, artifact_location=location)
            except MlflowException:
                known = self.client.get_experiment_by_name(name)
                if known is None:  # no other process was faster: it cannot be made
                    raise
            known = known or self.client.get_experiment_by_name(name)
        assert known is not None
        if known.lifecycle_stage == "deleted":
            self.client.restore_experiment(known.experiment_id)
        found = str(known.experiment_id)
        self._experiment_tags[found] = dict(known.tags)
        self.label(found, {KIND: TRAINING})
        return found

    def label(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of an experiment, where they differ."""
        known = self._experiment_tags[experiment_id]
        for key, text in tags.items():
            if known.get(key) != text:
                self.client.set_experiment_tag(experiment_id, key, text)
                known[key] = text

    def search(self) -> None:
        """Ask MLflow for the runs.

        Two processes that made the same run at once both see two here. They agree on the one
        with the lower id, and the other goes.
        """
        self.found, self._old = {}, []
        sweeps, trials = self.experiments
        for run in self.runs_of(sweeps):
            if number_of(run) == PARENT:
                self._keep(run)
            else:
                self._old.append(run.run_id)
        for run in self.runs_of(trials):
            self._keep(run)

    def retire(self) -> int:
        """Delete the runs of trials that earlier builds left among the sweeps; their number.

        MLflow keeps deleted runs, and brings them back when asked, until `mlflow gc`.
        """
        for run_id in self._old:
            self.client.delete_run(run_id)
        number, self._old = len(self._old), []
        return number

    def runs_of(self, experiment_id: str) -> Iterator[Run]:
        """The runs of the sweep in an experiment, those with lower ids first."""
        token = None
        while True:
            page = self.client.search_runs(
                [experiment_id],
                f"tags.`{SWEEP_ID}` = '{self._sweep_id}'",
                ViewType.ACTIVE_ONLY,
                max_results=1000,
                order_by=["attributes.run_id"],
                page_token=token,
            )
            for run in page:
                yield Run(
                    run_id=run.info.run_id,
                    status=run.info.status,
                    artifact_uri=run.info.artifact_uri,
                    tags=dict(run.data.tags),
                )
            token = page.token
            if not token:
                return

    def _keep(self, run: Run) -> None:
        if self.found.setdefault(number_of(run), run) is not run:
            self.client.delete_run(run.run_id)

    def make(self, number: int, tags: dict[str, str], started_at: int) -> None:
        """Make the run of a trial or `PARENT`: its tags and start time (milliseconds).

        If another process makes it at the same time, the next `search` sees both.
        """
        self.found[number] = self.create(self.experiments[number != PARENT], tags, started_at)
        if number == PARENT:
            self.search()

    def create(self, experiment_id: str, tags: dict[str, str], started_at: int) -> Run:
        """Make a run: its tags and start time (milliseconds)."""
        made = self.client.create_run(
            experiment_id, start_time=started_at, tags=tags, run_name=tags["mlflow.runName"]
        )
        return Run(
            run_id=made.info.run_id,
            status=made.info.status,
            artifact_uri=made.info.artifact_uri,
            is_new=True,
            tags=dict(tags),
        )

    def send(
        self,
        run: Run,
        *,
        metrics: Iterable[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """In as few calls as MLflow's limits allow.

        Tags come last, since they say that the rest was sent: MLflow stores the params of a call
        first, then its metrics, then its tags, and stops at what it cannot store.
        """
        rows = list(metrics)
        pairs = [Param(key, value) for key, value in (params or {}).items()]
        new = {key: text for key, text in (tags or {}).items() if run.tags.get(key) != text}
        while len(rows) > MAX_METRICS or len(pairs) > MAX_PARAMS:
            self.client.log_batch(run.run_id, metrics=rows[:MAX_METRICS], params=pairs[:MAX_PARAMS])
            rows, pairs = rows[MAX_METRICS:], pairs[MAX_PARAMS:]
        labels = [RunTag(key, text) for key, text in new.items()]
        self.client.log_batch(run.run_id, metrics=rows, params=pairs, tags=labels)
        run.tags |= new

    def drop(self, run: Run, tag: str) -> None:
        """Remove a tag, if the run has it."""
        if tag in run.tags:
            self.client.delete_tag(run.run_id, tag)
            del run.tags[tag]

    def write(self, run: Run, path: Path, folder: str | None = None) -> None:
        """Copy a file to a run's artifacts; `refresh` first."""
        write_artifact(self.client, run.artifact_uri, path, folder)

    def write_text(self, run: Run, text: str, name: str) -> None:
        """The same for a text."""
        if (local := local_path(run.artifact_uri)) is not None:  # MLflow would copy it there
            local.mkdir(parents=True, exist_ok=True)
            (local / name).write_text(text, encoding="utf-8")
            return
        with tempfile.TemporaryDirectory(prefix="ptxsweep-") as scratch:
            path = Path(scratch) / name
            path.write_text(text, encoding="utf-8")
            self.write(run, path)

    def refresh(self) -> None:
        """Learn where artifacts go, wherever the home is by now."""
        if self._settle():
            self.search()

    def _settle(self) -> bool:
        return self._root is not None and settle(self.client.tracking_uri, self._root)

    def set_status(self, run: Run, status: str, at: int) -> None:
        """Move a run to a status; one that is over ends at `at` (milliseconds)."""
        if run.status == status:
            return
        if status in ("RUNNING", "SCHEDULED"):
            self.client.update_run(run.run_id, status=status)
        else:
            self.client.set_terminated(run.run_id, status=status, end_time=at)
        run.status = status


def number_of(run: Run) -> int:
    """The trial of a run, `PARENT` of the sweep's own."""
    return int(run.tags.get(TRIAL, run.tags.get(OLD_TRIAL, PARENT)))
