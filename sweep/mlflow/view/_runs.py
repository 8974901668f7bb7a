"""The runs of one sweep as MLflow has them: found by their tags, made when missing, written to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

from sweep.mlflow.view._content import OLD_TRIAL, SWEEP_ID, TRIAL
from sweep.mlflow.view._places import settle, write_artifact
from sweep.mlflow.view._store import connect

#: What MLflow takes in one call is 1000 entries, at most 100 of them params and 100 tags.
MAX_METRICS, MAX_PARAMS = 800, 100
#: Trials that are looked up one by one; for more, all runs of the sweep are read.
FEW = 20
#: Stands for the parent run where trials have their number.
PARENT = -1


@dataclass(kw_only=True)
class Run:
    """What MLflow holds of one run."""

    run_id: str
    status: str
    tags: dict[str, str] = field(default_factory=dict)


class SweepRuns:
    """The parent run and the child runs of a sweep.

    Attributes:
        client: Client of the store.
        found: Runs by trial, the parent's under `PARENT`, as `search` last saw them.
    """

    def __init__(self, tracking_uri: str, sweep_id: str) -> None:
        """Connect.

        Args:
            tracking_uri: Address of MLflow.
            sweep_id: The tag that all runs of the sweep share.
        """
        self.client: MlflowClient = connect(tracking_uri)
        self.found: dict[int, Run] = {}
        self._has_server = tracking_uri.startswith(("http:", "https:"))
        self._sweep_id = sweep_id
        self._root: Path | None = None
        self._experiment_id = ""

    def enter(self, experiment: str, artifact_root: Path | None) -> None:
        """Find the experiment, or make it, and search it.

        Args:
            experiment: Its name.
            artifact_root: Where artifacts are kept if no server does; see `settle`.
        """
        self._root = artifact_root
        self._settle()
        known = self.client.get_experiment_by_name(experiment)
        if known is None:
            local = self._root if not self._has_server else None
            location = None if local is None else local.absolute().as_uri()
            try:
                self.client.create_experiment(experiment, artifact_location=location)
            except MlflowException:
                known = self.client.get_experiment_by_name(experiment)
                if known is None:  # no other process was faster: it cannot be made
                    raise
            known = known or self.client.get_experiment_by_name(experiment)
        assert known is not None
        self._experiment_id = str(known.experiment_id)
        self.search()

    @property
    def experiment_id(self) -> str:
        """The experiment that `enter` found or made."""
        return self._experiment_id

    def search(self) -> None:
        """Ask MLflow for the runs.

        Two processes that made the same run at once both see two here. They agree on the one
        with the lower id, and the other goes.
        """
        self.found = {}
        self._look("")

    def _look(self, condition: str) -> None:
        query, token = f"tags.`{SWEEP_ID}` = '{self._sweep_id}'{condition}", None
        while True:
            page = self.client.search_runs(
                [self._experiment_id],
                query,
                ViewType.ACTIVE_ONLY,
                max_results=1000,
                order_by=["attributes.run_id"],
                page_token=token,
            )
            for run in page:
                tags = run.data.tags
                number = int(tags.get(TRIAL, tags.get(OLD_TRIAL, PARENT)))
                known = Run(run_id=run.info.run_id, status=run.info.status, tags=dict(tags))
                if self.found.setdefault(number, known) is not known:
                    self.client.delete_run(known.run_id)
            token = page.token
            if not token:
                return

    def make(self, missing: Mapping[int, tuple[dict[str, str], int]]) -> None:
        """Make runs: tags and start time (milliseconds) by trial or `PARENT`."""
        for tags, started_at in missing.values():
            self.client.create_run(
                self._experiment_id,
                start_time=started_at,
                tags=tags,
                run_name=tags["mlflow.runName"],
            )
        if len(missing) > FEW or PARENT in missing:
            self.search()
            return
        # A search reads all metrics of what it finds, and new trials come all the time.
        for number in missing:
            self._look(f" AND tags.`{TRIAL}` = '{number}'")

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
        """Copy a file to a run's artifacts, wherever the home is by now."""
        self._settle()
        write_artifact(self.client, run.run_id, path, folder)

    def write_text(self, run: Run, text: str, name: str) -> None:
        """The same for a text."""
        with tempfile.TemporaryDirectory(prefix="ptxsweep-") as scratch:
            path = Path(scratch) / name
            path.write_text(text, encoding="utf-8")
            self.write(run, path)

    def _settle(self) -> None:
        if self._root is not None:
            settle(self.client.tracking_uri, self._root)

    def set_status(self, run: Run, status: str, at: int) -> None:
        """Move a run to a status; one that is over ends at `at` (milliseconds)."""
        if run.status == status:
            return
        if status in ("RUNNING", "SCHEDULED"):
            self.client.update_run(run.run_id, status=status)
        else:
            self.client.set_terminated(run.run_id, status=status, end_time=at)
        run.status = status
