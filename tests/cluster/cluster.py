"""A whole cluster on one machine: head, two workers and a driver's place, with real services."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from command_line import TINY_SPACE
from mlflow import MlflowClient
from network import Host, Network, title
from postgres_server import PostgresServer
from services import BUCKET, PASSWORD, S3_ENVIRONMENT, Server, mlflow_server, programs, s3_server

from sweep.errors import UnknownSweep
from sweep.ledger import Ledger
from sweep.ledger.projection import Projection
from sweep.mlflow.view._content import STATUS, TRIAL
from sweep.records import State

#: A supervisor, as a container's restart policy is one.
_ALWAYS = "while :; do ray-node {role}; sleep 1; done"
_PROGRAM = ("python", "-m", "sweep.cli")
PROGRAM = "sweep.cli"
_SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)\n"
Scores = dict[tuple[int, int], float]

#: Three configurations, three folds, standard order, no pruner.
STANDARD = TINY_SPACE.replace("POLICY", "standard")
#: The first of them alone, so that one worker is always free.
ONE_TRIAL = (
    STANDARD.split("candidates:")[0].replace("num_trials: 3, num_completions: 3", "num_trials: 1")
    + STANDARD[STANDARD.index("fixed:") :]
)
#: Five configurations, of which TPE proposes two and a pruner may end some, and greedy order.
GREEDY = (
    TINY_SPACE.replace("POLICY", "greedy")
    .replace("num_trials: 3, num_completions: 3", "num_trials: 5, num_completions: 2")
    .replace("pruner: {name: none}", "pruner: {name: median, scope: epochs, n_startup_trials: 2}")
    .replace("sampler: {name: random}", "sampler: {name: tpe, n_startup_trials: 3}")
)


@dataclass
class Row:
    """One line of the table of faults."""

    fault: str
    detected_seconds: float | None = None
    restarted_seconds: float | None = None
    lost_epochs: int = 0
    attempts: int = 0
    folds: int = 0

    def check_recovery(self, *, has_slot: bool = True) -> None:
        """A fold was lost, noticed sooner than by Ray's own settings (65 s) and started again.

        Args:
            has_slot: Whether a slot was free for it, so that it need not wait for another fold.
        """
        assert self.attempts > self.folds
        assert self.detected_seconds is not None
        assert self.restarted_seconds is not None
        assert self.detected_seconds < 45
        assert not has_slot or self.restarted_seconds - self.detected_seconds < 20


@dataclass
class Cluster:
    """Boots when made; `close` takes everything down, and so does a boot that fails."""

    folder: Path
    store: Path
    rows: list[Row] = field(default_factory=list)
    #: Homes of the sweeps whose ledger and MLflow lie there, instead of in the services.
    homes: dict[str, Path] = field(default_factory=dict)
    _drivers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with ExitStack() as stack:
            self._boot(stack)
            self._down = stack.pop_all()

    def _boot(self, stack: ExitStack) -> None:
        self.shared = self.folder / "shared"
        self.small = self.folder / "small"
        for path in (self.shared, self.small):
            path.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(self.small)], check=True
        )
        stack.callback(subprocess.run, ["umount", "--lazy", str(self.small)], check=True)
        self.network = Network()
        stack.callback(self.network.close)
        self.postgres = PostgresServer("10.213.7.1")
        stack.callback(self.postgres.close)
        self.s3 = s3_server(self.folder)
        stack.callback(self.s3.stop)
        self.mlflow: Server = mlflow_server(self.folder, self.postgres.url)
        stack.callback(self.mlflow.stop)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("MLFLOW_TRACKING_USERNAME", "admin")  # for this process, which asks it too
        patch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        token = self.folder / "token"
        token.write_text("t" * 48, encoding="ascii")
        self.environment = {
            **programs(),
            **S3_ENVIRONMENT,
            "HOME": str(self.folder),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
        }
        self.head = self.boot("head", "head")
        self.environment["PTXSWEEP_HEAD"] = f"{self.head.address}:6379"
        time.sleep(5)
        self.a = self.boot("a", "worker", self.an_hour_ahead())
        self.b = self.boot("b", "worker")
        self.driver = self.boot("driver", "driver")
        self.uploaded = f"s3://{BUCKET}/phantom"
        done = self.driver.run(*_PROGRAM, "data", "upload", str(self.store), self.uploaded)
        assert done.returncode == 0, done.stderr
        self.wait(lambda: self.num_workers() == 2, "two workers", patience_seconds=90)

    def boot(self, name: str, role: str, more: dict[str, str] | None = None) -> Host:
        """A host with its part of Ray."""
        own = {
            "PTXSWEEP_CPUS": str(int(role == "worker")),
            "PTXSWEEP_CACHE": str(self.folder / f"cache-{name}"),
        }
        host = self.network.add(name, {**self.environment, **own, **(more or {})})
        host.start("sh", "-c", _ALWAYS.format(role=role), log=self.folder / f"ray-{name}.log")
        return host

    def close(self) -> None:
        """Everything down, whatever state it is in."""
        self._down.close()

    @property
    def addresses(self) -> dict[str, str]:
        """What only a driver knows."""
        return {
            "PTXSWEEP_LEDGER": self.postgres.url,
            "PTXSWEEP_STORAGE": str(self.shared),
            "PTXSWEEP_STORE": str(self.store),
            "PTXSWEEP_HOME": str(self.folder / "home"),
            "MLFLOW_TRACKING_URI": self.mlflow.url,
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
            "PTXSWEEP_ADDRESS": "auto",
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
        }

    def in_bucket(self, home: str) -> dict[str, str]:
        """Cases and storage in S3, and a driver's home that no other driver sees."""
        return {
            "PTXSWEEP_STORAGE": f"s3://{BUCKET}/sweeps",
            "PTXSWEEP_STORE": self.uploaded,
            "PTXSWEEP_HOME": str(self.folder / f"home-{home}"),
        }

    def in_home(self, home: Path) -> dict[str, str]:
        """Ledger, MLflow and files in a folder that all hosts see."""
        none = ("PTXSWEEP_LEDGER", "MLFLOW_TRACKING_URI", "PTXSWEEP_STORAGE")
        return {"PTXSWEEP_HOME": str(home), **dict.fromkeys(none, "")}

    def an_hour_ahead(self) -> dict[str, str]:
        """What makes the clock of programs wrong all the time."""
        return {**self._wrong_clock(), "FAKETIME": "+1h"}

    def by_clock(self, file: Path) -> dict[str, str]:
        """What makes it wrong by what a file says, a second after it says so."""
        file.write_text("+0\n", encoding="ascii")
        return {
            **self._wrong_clock(),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
        }

    def _wrong_clock(self) -> dict[str, str]:
        """Leaves the clock that counts seconds alone.

        The library then breaks Python's sleep, which waits for a point in time of that other clock.
        """
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        assert found, "found no libfaketime; tests/cluster/install-debian.sh installs it"
        folder = self.folder / "sleep"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(_SLEEP, encoding="utf-8")
        return {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(folder),
        }

    def copies(self) -> list[Path]:
        """What the hosts have in their caches of stores."""
        return sorted(path for path in self.folder.glob("cache-*/*") if path.is_dir())

    def num_workers(self) -> int:
        """CPUs of the cluster as Ray's head counts them."""
        code = (
            "import ray; ray.init(address='auto', logging_level='error', log_to_driver=False); "
            "print('CPUs', ray.cluster_resources().get('CPU', 0))"
        )
        done = self.driver.run("python", "-c", code, timeout=60)
        found = [line for line in done.stdout.splitlines() if line.startswith("CPUs")]
        return int(float(found[-1].split()[1])) if found else 0

    def settled(self) -> None:
        """Wait until both workers are back, so that a test begins with a whole cluster."""
        for host in (self.a, self.b):
            host.mend()
        self.wait(
            lambda: all(
                host.run("ray-node", "health").returncode == 0 for host in (self.a, self.b)
            ),
            "two workers again",
        )

    # Sweeps.

    def space(self, name: str, epochs: int = 16, text: str = STANDARD) -> Path:
        """A search space of that name."""
        path = self.folder / f"{name}.yaml"
        text = text.replace("EPOCHS", str(epochs)).replace("name: tiny", f"name: {name}")
        path.write_text(text, encoding="utf-8")
        return path

    def run(
        self,
        name: str,
        *words: str | Path,
        text: str = STANDARD,
        more: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a sweep from the driver's place."""
        self._drivers[name] = self.driver.start(
            *_PROGRAM, "run", self.space(name, text=text), "--precision", "float32", "--json",
            *words, log=self.folder / f"{name}.log", more={**self.addresses, **(more or {})},
        )  # fmt: skip
        return self._drivers[name]

    def resume(
        self, name: str, host: Host | None = None, more: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Go on with a sweep, from the driver's place or another host."""
        self._drivers[name] = (host or self.driver).start(
            *_PROGRAM, "resume", name, "--json",
            log=self.folder / f"{name}.log", more={**self.addresses, **(more or {})},
        )  # fmt: skip
        return self._drivers[name]

    def log(self, name: str) -> str:
        """What the drivers of a sweep printed."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def ended(self, process: subprocess.Popen[bytes], name: str, code: int = 0) -> None:
        """Wait for a driver, and compare its exit code."""
        found = process.wait(timeout=300)
        assert found == code, f"exit code {found}\n{self.log(name)[-3000:]}"

    def read(self, name: str) -> Ledger:
        """The sweep's ledger, read anew; close it."""
        home = self.homes.get(name)
        return Ledger.open(f"sqlite:///{home}/ledger.db" if home else self.postgres.url, name)

    def wait(
        self, condition: Callable[[], bool], what: str, patience_seconds: float = 120.0
    ) -> None:
        """Poll until a condition holds."""
        deadline = time.monotonic() + patience_seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {patience_seconds:.0f} s for {what}"
            time.sleep(0.2)

    def in_the_middle(self, name: str, *, folds: int = 1, epochs: int = 2) -> None:
        """Wait until some folds are finished, and every running one has some epochs."""

        def is_there() -> bool:
            process = self._drivers[name]
            assert process.poll() is None, f"the driver ended: exit code {process.returncode}"
            try:
                ledger = self.read(name)
            except UnknownSweep:  # not created yet
                return False
            try:
                trials = ledger.projection.trials
                done = sum(len(one.folds) for one in trials)
                running = [one for one in trials if one.running_fold is not None]
                return done >= folds and any(
                    len(one.epochs.get(one.running_fold or 0, {})) >= epochs for one in running
                )
            finally:
                ledger.close()

        try:
            self.wait(is_there, f"the middle of {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}; {self._told(name)}") from None

    def _told(self, name: str) -> str:
        """What tells why a sweep does not get on; its drivers end, and say where they stand."""
        told = [
            f"it has {self.scores(name, missing_ok=True)}",
            self.head.run("ray", "status", "-v").stdout,
        ]
        for host in self.network.hosts:
            told += [f"{host.name} runs {title(pid)[:200]}" for pid in host.processes("ray::")]
            host.kill(PROGRAM, signal.SIGABRT)  # its threads' stacks go into its log
        time.sleep(3)
        return "\n".join([*told, self.log(name)[-20_000:]])

    def reached(self, name: str) -> dict[tuple[int, int], int]:
        """The last epoch in the ledger of every fold that is not finished."""
        ledger = self.read(name)
        found = {
            (one.number, fold): max(epochs)
            for one in ledger.projection.trials
            for fold, epochs in one.epochs.items()
            if fold not in one.folds
        }
        ledger.close()
        return found

    def reasons(self, name: str) -> set[str | None]:
        """Why folds were lost so far."""
        ledger = self.read(name)
        log = [attempt for one in ledger.projection.trials for attempt in one.log]
        ledger.close()
        return {attempt.reason for attempt in log if attempt.outcome == "lost"}

    def scores(self, name: str, *, missing_ok: bool = False) -> Scores:
        """Every fold's score; none of a sweep that is not there, where that is allowed."""
        try:
            ledger = self.read(name)
        except UnknownSweep:
            if missing_ok:
                return {}
            raise
        found = {
            (one.number, fold): score.score
            for one in ledger.projection.trials
            for fold, score in one.folds.items()
        }
        ledger.close()
        return found

    def check(self, name: str, calm: Scores) -> None:
        """Nothing lost, nothing trained twice, every score as without the fault."""
        projection = self.check_invariants(name)
        assert {one.state for one in projection.trials} == {State.COMPLETE}
        assert self.scores(name) == calm

    def check_invariants(self, name: str) -> Projection:
        """Whatever was to be trained: no fold twice, none lost, every trial ended, all tracked."""
        ledger = self.read(name)
        projection = ledger.projection
        ledger.close()
        assert projection.sweep_state == "finished"
        for one in projection.trials:
            assert one.state.is_final
            finished = [attempt.fold for attempt in one.log if attempt.outcome == "finished"]
            assert sorted(finished) == sorted(one.folds), "a fold ran twice, or was lost"
            assert not any(attempt.repeated_epochs for attempt in one.log), "an epoch ran twice"
            assert all(attempt.ended_at is not None for attempt in one.log)
        self._check_tracked(name, projection)
        return projection

    def _check_tracked(self, name: str, projection: Projection) -> None:
        """MLflow has the sweep's run and one per trial, all ended, with every fold's score."""
        home = self.homes.get(name)
        client = MlflowClient(
            tracking_uri=f"sqlite:///{home}/mlflow.db" if home else self.mlflow.url
        )
        places = [one.experiment_id for one in client.search_experiments()]
        runs = client.search_runs(places, f"tags.`ptxsweep.sweep` = '{name}'", max_results=1000)
        children = {int(run.data.tags[TRIAL]): run for run in runs if TRIAL in run.data.tags}
        (parent,) = [run for run in runs if TRIAL not in run.data.tags]
        assert parent.info.status == "FINISHED"
        assert set(children) == {one.number for one in projection.trials}
        for one in projection.trials:
            run = children[one.number]
            assert run.info.status == STATUS[one.state]
            sent = {key: value for key, value in run.data.metrics.items() if "score/fold-" in key}
            assert sent == {f"score/fold-{fold}": score.score for fold, score in one.folds.items()}

    def note(self, fault: str, name: str, at: float | None = None) -> Row:
        """Enter a row in the table of faults.

        Args:
            fault: What was done.
            name: Of the sweep.
            at: When, in seconds since the epoch; measures how long detection took.
        """
        ledger = self.read(name)
        trials = ledger.projection.trials
        ledger.close()
        row = Row(
            fault=fault,
            attempts=sum(len(one.log) for one in trials),
            folds=sum(len(one.folds) for one in trials),
            lost_epochs=sum(attempt.repeated_epochs for one in trials for attempt in one.log),
        )
        if at is not None:
            lost = [
                (one.number, attempt)
                for one in trials
                for attempt in one.log
                if attempt.outcome == "lost" and _seconds(attempt.ended_at) > at
            ]
            row.detected_seconds = min(
                (_seconds(one.ended_at) - at for _, one in lost), default=None
            )
            row.restarted_seconds = _first_start(trials, lost, at)
        self.rows.append(row)
        return row


def _first_start(trials: list, lost: list, at: float) -> float | None:  # type: ignore[type-arg]
    """When the first of the lost folds was started again, after the fault."""
    again = {(number, attempt.fold): attempt.attempt + 1 for number, attempt in lost}
    starts = [
        _seconds(attempt.started_at) - at
        for one in trials
        for attempt in one.log
        if again.get((one.number, attempt.fold)) == attempt.attempt
    ]
    return min(starts, default=None)


def _seconds(timestamp: str | None) -> float:
    return float("inf") if timestamp is None else datetime.fromisoformat(timestamp).timestamp()


def table(rows: Iterable[Row]) -> list[str]:
    """The rows as text."""
    head = ("noticed", "again", "attempts", "folds", "epochs again")
    lines = [f"{'fault':<48}" + "".join(f" {word:>12}" for word in head)]
    for row in rows:
        times = [
            "-" if value is None else f"{value:.1f} s"
            for value in (row.detected_seconds, row.restarted_seconds)
        ]
        cells = (*times, row.attempts, row.folds, row.lost_epochs)
        lines.append(f"{row.fault:<48}" + "".join(f" {cell:>12}" for cell in cells))
    return lines
