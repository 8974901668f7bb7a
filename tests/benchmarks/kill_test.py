"""`kill -9` at random points of run, resume, promote, report, predict and import.

Every command is a fork of a process that has imported all of it, told where it is (`faulthandler`)
and killed at once. Sweeps are killed and gone on with until they are over, the other commands
killed some times and then left alone. At the end everything equals what nobody disturbed: scores
and curves of every fold, the store, the masks; MLflow has no open run, the registry one champion
that is whole, and nothing lies outside the home. A table of where the kills fell comes first, one
JSON object last; exit code 1 where something differs.

    python tests/benchmarks/kill_test.py [--kills 100] [--seed 29] [--seconds 1500]

A kill of a sweep falls with four chances in five some seconds after the driver began a fold, else
anywhere in its first seconds; one of another command anywhere in the time that the undisturbed one
took.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE.parent / "support"), str(_HERE.parents[1])]

#: What a user's own folder may hold: the key of case ids, and what other libraries keep.
_MAY_BE = re.compile(r"/user/(\.cache|\.ray|ray|\.config$|\.config/ptxsweep)(/|$)?")
#: A folder of the product in a line of a traceback, innermost first.
_OURS = re.compile(r'File "[^"]*/(sweep|ptxcore|dashboards)/([^"]+)\.py", line \d+ in (\w+)')
_ATTEMPT = re.compile(r"fold:\d+:attempt:\d+")
_PORT, _RAY_SECONDS, _SAY_SECONDS = 26379, 120.0, 1.0
_CHAMPION = "ptxsweep-phantom-average_precision"
_EPOCHS = 8


@dataclass
class Kill:
    """One kill: of which command, where it was, and whether a fold was being trained."""

    command: str
    where: str
    in_fold: bool = False


@dataclass
class Bench:
    """Everything in one folder.

    Attributes:
        folder: Holds homes, stores and what commands write.
        chance: Where all randomness comes from.
        kills: What was killed so far.
        until: When no more is killed, by the monotonic clock.
    """

    folder: Path
    chance: random.Random
    until: float
    kills: list[Kill] = field(default_factory=list)

    def start(self, words: Sequence[str | Path]) -> int:
        """A command in a fork of this process; its process id."""
        sys.stdout.flush()
        child = os.fork()
        if child:
            return child
        os.setsid()
        log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(log, number)
        with (self.folder / "where").open("a") as where:
            faulthandler.register(signal.SIGUSR2, where)
            code = 1
            try:
                from sweep.cli import main

                code = main([str(word) for word in words])
            finally:
                os._exit(code)

    def whole(self, *words: str | Path, codes: Sequence[int] = (0,)) -> float:
        """A command that nothing disturbs; its seconds."""
        began = time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(self.start(words), 0)[1])
        if code not in codes:
            tail = (self.folder / "log").read_text(errors="replace")[-3000:]
            raise AssertionError(f"{words} ended with {code}\n{tail}")
        return time.monotonic() - began

    def killed(
        self,
        words: Sequence[str | Path],
        may_die: Callable[[], bool],
        *,
        in_fold: Callable[[], bool] = lambda: False,
        patience_seconds: float = 240.0,
    ) -> bool:
        """Kill a command when it may die; False if it ended before."""
        child, ends = self.start(words), time.monotonic() + patience_seconds
        while not may_die() and time.monotonic() < ends:
            if os.waitpid(child, os.WNOHANG)[0]:
                return False
            time.sleep(0.02)
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        inside = in_fold()
        (self.folder / "where").write_text("")
        os.kill(child, signal.SIGUSR2)
        self._await_where()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.kills.append(Kill(str(words[0 if words[0] != "data" else 1]), self._where(), inside))
        print(f"{len(self.kills)}: {self.kills[-1]}", file=sys.stderr, flush=True)
        return True

    def num_of(self, *commands: str) -> int:
        """Kills of some commands."""
        return sum(kill.command in commands for kill in self.kills)

    def _await_where(self) -> None:
        """Wait for the child to say where it is; a busy machine takes its time."""
        ends, known = time.monotonic() + _SAY_SECONDS, -1
        while time.monotonic() < ends:
            size = (self.folder / "where").stat().st_size
            if size and size == known:
                return
            known = size
            time.sleep(0.01)

    def _where(self) -> str:
        text = (self.folder / "where").read_text(errors="replace")
        main = text[text.rfind("Current thread") :] if "Current thread" in text else text
        found = _OURS.search(main)
        return "before ours" if found is None else f"{found[2]}.{found[3]}"

    @property
    def has_time(self) -> bool:
        return time.monotonic() < self.until


def after(seconds: float) -> Callable[[], bool]:
    """True from so many seconds on."""
    ends = time.monotonic() + seconds
    return lambda: time.monotonic() >= ends


def folds(home: Path, name: str) -> tuple[int, int]:
    """Folds that were begun, and that are not over, read without any library of ours."""
    query = (
        "SELECT key FROM trial_user_attributes a JOIN trials t ON a.trial_id = t.trial_id "
        "JOIN studies s ON t.study_id = s.study_id WHERE s.study_name = ? AND key LIKE 'fold:%'"
    )
    try:
        with closing(sqlite3.connect(f"file:{home}/ledger.db?mode=ro", uri=True)) as database:
            keys = Counter(key for (key,) in database.execute(query, (name,)))
    except sqlite3.Error:
        return 0, 0
    begun = sum(number for key, number in keys.items() if _ATTEMPT.fullmatch(key))
    over = sum(number for key, number in keys.items() if key.endswith((":score", ":lost")))
    return begun, begun - over


def _trains(home: Path, name: str, begun_before: int) -> bool:
    """Whether the present driver has begun a fold that is not over."""
    begun, not_over = folds(home, name)
    return begun > begun_before and not_over > 0


def disturb_sweep(
    bench: Bench, home: Path, name: str, words: Sequence[str | Path], number: int
) -> None:
    """Run a sweep, killed again and again, until it is over or was killed so many times.

    Drivers live longer and longer, so that a slow machine reaches an epoch between two kills.
    """
    command: list[str | Path] = ["run", *words, "--name", name, "--or-resume", "--home", home]
    for turn in range(number):
        if not bench.has_time:
            break
        state: dict[str, Any] = {"begun": folds(home, name)[0], "at": None}
        delay = bench.chance.uniform(0.0, 3.0 + turn)
        early = after(bench.chance.uniform(0.0, 12.0)) if bench.chance.random() < 0.2 else None

        def in_fold(state: dict[str, Any] = state, delay: float = delay) -> bool:
            if state["at"] is None and folds(home, name)[0] > state["begun"]:
                state["at"] = time.monotonic()
            return state["at"] is not None and time.monotonic() >= state["at"] + delay

        inside = lambda begun=state["begun"]: _trains(home, name, begun)  # noqa: E731
        if not bench.killed(command, early or in_fold, in_fold=inside):
            break
        command = (
            ["resume", name, "--home", home, *words[-2:]]
            if bench.chance.random() < 0.5 and has_row(home, name)
            else command
        )
    bench.whole(*["run", *words, "--name", name, "--or-resume", "--home", home])


def has_row(home: Path, name: str) -> bool:
    """Whether the ledger has the sweep."""
    from sweep.ledger import list_sweeps

    return name in list_sweeps(f"sqlite:///{home / 'ledger.db'}")


def disturb(
    bench: Bench,
    words: Callable[[], Sequence[str | Path]],
    number: int,
    seconds: float,
    codes: Sequence[int] = (0,),
) -> None:
    """Kill a command some times, and then let it be."""
    for _ in range(number):
        if not bench.has_time:
            break
        bench.killed(words(), after(bench.chance.uniform(0.0, seconds)))
    bench.whole(*words(), codes=codes)


def scores(home: Path, name: str) -> dict[str, Any]:
    """Every fold's score and curve."""
    from sweep.ledger import Ledger

    ledger = Ledger.open(f"sqlite:///{home / 'ledger.db'}", name)
    try:
        return {
            f"{trial.number}/{fold}": (score.score, list(score.curves["train_loss"]))
            for trial in ledger.projection.trials
            for fold, score in sorted(trial.folds.items())
        }
    finally:
        ledger.close()


def tree(folder: Path, *patterns: str) -> dict[str, str]:
    """Digest of files below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in patterns
        for path in sorted(folder.rglob(pattern))
        if path.is_file()
    }


def open_runs(home: Path) -> int:
    """Runs that MLflow shows as running."""
    query = "SELECT count(*) FROM runs WHERE status IN ('RUNNING', 'SCHEDULED')"
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        return int(database.execute(query).fetchone()[0])


def champions(home: Path) -> list[str]:
    """Versions under the alias, and whether the files of each are whole."""
    from sweep.mlflow.registry import champion_of, is_intact
    from sweep.mlflow.view import connect

    client = connect(f"sqlite:///{home / 'mlflow.db'}", home / "mlartifacts")
    found = champion_of(client, _CHAMPION)
    return [] if found is None else [f"{found.version}:{is_intact(client, found)}"]


def holdout_uses(home: Path, name: str) -> int:
    """How often the hold-out was opened."""
    from sweep.ledger.evidence import Evidence

    return len(Evidence(f"sqlite:///{home / 'ledger.db'}", name).uses())


def start_ray(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A cluster of one slot, which outlives drivers."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--port", str(_PORT), "--num-cpus", "2", "--include-dashboard", "false"),
            *("--node-ip-address", "127.0.0.1", "--disable-usage-stats"),
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    import socket

    ends = time.monotonic() + _RAY_SECONDS
    while time.monotonic() < ends:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", _PORT)) == 0:
                time.sleep(10.0)
                return process
        time.sleep(0.5)
    raise AssertionError("Ray's head did not come up")


def import_all() -> None:
    """So that a fork has nothing to import."""
    import sweep.cli.data
    import sweep.cli.predict
    import sweep.cli.promote
    import sweep.cli.report
    import sweep.cli.run
    import sweep.launch
    import sweep.promotion.promote
    import sweep.report
    import sweep.segment  # noqa: F401


def measure(bench: Bench, number: int) -> dict[str, Any]:
    """All commands, killed about so many times in all; what differs in the end."""
    from command_line import TINY_SPACE

    from ptxcore.data.phantom import write_phantom

    folder, differs = bench.folder, []
    files = write_phantom(folder / "source", num_cases=60, size=128, prevalence=0.5, seed=3)
    calm, rough = folder / "calm", folder / "rough"
    source = ["--dicom", files.dicom, "--rle", files.rle]
    seconds = bench.whole("data", "import", *source, "--store", folder / "store")
    share = max(1, number // 10)

    again = folder / "again"

    def import_anew() -> list[str | Path]:
        if (again / "manifest.json").is_file():  # the kill came after the end
            shutil.rmtree(again)
        return ["data", "import", *source, "--store", again]

    disturb(bench, import_anew, share, seconds)
    kept = ("images.bin", "masks.bin")
    first, second = (tree(folder / name, *kept) for name in ("store", "again"))
    if first != second:
        differs.append("import: the store")

    space = folder / "tiny.yaml"
    space.write_text(TINY_SPACE.replace("POLICY", "standard").replace("EPOCHS", str(_EPOCHS)))
    words: list[str | Path] = [
        *(space, "--store", folder / "store", "--seed", "5", "--precision", "float32"),
        *("--cpus-per-trial", "1", "--address", f"127.0.0.1:{_PORT}"),
    ]
    bench.whole("run", *words, "--name", "tiny", "--home", calm)
    expected = scores(calm, "tiny")
    sweeps = 0
    while not sweeps or (bench.has_time and bench.num_of("run", "resume") < 6 * share):
        name = f"tiny{sweeps}"
        sweeps += 1
        disturb_sweep(bench, rough, name, words, share + 2 if sweeps > 1 else share // 2)
        if scores(rough, name) != expected:
            differs.append(f"{name}: its scores")
        if sweeps == 1:
            disturb_others(bench, files.dicom, calm, rough, share)
    if tree(folder / "out", "*.png") != tree(folder / "out-calm", "*.png"):
        differs.append("predict: the masks")
    if not (rough / "sweeps/tiny0/report.html").is_file():
        differs.append("report: none")
    if [one.partition(":")[2] for one in champions(rough)] != ["True"]:
        differs.append(f"promote: {champions(rough)}")
    if number_open := open_runs(rough):
        differs.append(f"MLflow: {number_open} open runs")
    beside = sorted(path.name for path in rough.iterdir())
    left = [str(path.relative_to(rough)) for path in rough.rglob("*.part")]
    left += [path.name for path in folder.iterdir() if "again" in path.name and path != again]
    left += [name for name in beside if name.startswith(".mlflow.db.") and name[-5:] != ".lock"]
    outside = [str(path) for place in ("cwd", "user") for path in (folder / place).rglob("*")]
    outside = [path for path in outside if not _MAY_BE.search(path)]
    if outside:
        differs.append(f"outside the home: {outside[:5]}")
    return {
        "sweeps": sweeps,
        "differs": differs,
        "drafts_left": left,
        "holdout_uses": holdout_uses(rough, "tiny0"),
        "home": beside,
    }


def disturb_others(bench: Bench, dicom: Path, calm: Path, rough: Path, share: int) -> None:
    """Promotion, report and prediction of the first sweep, each killed some times.

    A promotion that is killed while the hold-out is scored has used it: the next one asks for
    another use, as a person would have to (`--again`).
    """
    folder = bench.folder
    force = ["--force", "--reason", "of the test"]
    commands: dict[str, list[str | Path]] = {
        "promote": ["promote", "tiny0", *force],
        "report": ["report", "tiny0"],
        "predict": [
            *("predict", next(iter(sorted(dicom.rglob("*.dcm"))))),
            *("--champion", _CHAMPION, "--out", folder / "out"),
        ],
    }
    for line in commands.values():
        calm_line = [
            {"tiny0": "tiny", folder / "out": folder / "out-calm"}.get(word, word) for word in line
        ]
        took = bench.whole(*calm_line, "--home", calm)
        more = ["--again"] if line[0] == "promote" else []
        whole = [*line, *more, "--home", rough]
        disturb(bench, lambda whole=whole: whole, share, took)  # type: ignore[misc]


def print_table(kills: Sequence[Kill]) -> None:
    """Where they fell."""
    counts = Counter((kill.command, kill.where, kill.in_fold) for kill in kills)
    print(f"{'command':8}  {'where':44}  in a fold  kills")
    for (command, where, in_fold), count in sorted(counts.items()):
        print(f"{command:8}  {where:44}  {'yes' if in_fold else 'no':9}  {count:5}")


def main() -> int:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=29)
    parser.add_argument("--seconds", type=float, default=3600.0, help="no kill after so long")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        for name in ("cwd", "user", "tmp"):
            (folder / name).mkdir()
        ours = os.pathsep.join([str(_HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
        os.environ |= {
            **{"HOME": str(folder / "user"), "TMPDIR": str(folder / "tmp")},
            **{"PYTHONPATH": ours.rstrip(os.pathsep), "OMP_NUM_THREADS": "1"},
            **{"RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"},
            **{"NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONWARNINGS": "ignore"},
        }
        tempfile.tempdir = None
        os.chdir(folder / "cwd")
        bench = Bench(folder, random.Random(given.seed), began + given.seconds)
        ray = start_ray(dict(os.environ))
        try:
            import_all()
            found = measure(bench, given.kills)
        except BaseException:
            print_table(bench.kills)
            raise
        finally:
            os.killpg(ray.pid, signal.SIGTERM)
            ray.wait()
    print_table(bench.kills)
    figures = {
        "kills": len(bench.kills),
        "in_folds": sum(kill.in_fold for kill in bench.kills),
        "by_command": dict(Counter(kill.command for kill in bench.kills)),
        "seed": given.seed,
        "seconds": round(time.monotonic() - began),
        **found,
    }
    print(json.dumps(figures))
    return int(bool(found["differs"]))


if __name__ == "__main__":
    sys.exit(main())
