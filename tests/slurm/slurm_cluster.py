"""A whole Slurm cluster on one machine: a controller and two hosts in network namespaces."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import network
from command_line import TINY_SPACE
from network import Host, Network

from sweep.errors import UnknownSweep
from sweep.ledger import Ledger
from sweep.records import State

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
STANDARD = TINY_SPACE.replace("POLICY", "standard")
#: Each host's own disk; the rest of the file system stands for the shared one.
LOCAL = "/tmp/ray"
#: Two people who may not see each other's files, with their numbers.
USERS = {"ptx-alice": 51_001, "ptx-bob": 51_002}
#: An interpreter below a closed folder of root is opened to them in the hosts' own view of it.
_OPEN = """
mkdir -p {above} && mount -t tmpfs none {above} && mkdir {above}/upper {above}/work
mount -t overlay -o lowerdir={closed},upperdir={above}/upper,workdir={above}/work none {closed}
chmod o+x {closed}
"""
Scores = dict[tuple[int, int], float]

_CONFIGURATION = """
ClusterName=ptxsweep
SlurmctldHost={controller}({controller_address})
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobSubmitPlugins=lua
SchedulerParameters=bf_interval=2,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=15
SlurmdTimeout=15
{nodes}
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=30 State=UP
PartitionName=high Nodes=ALL MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF State=UP
"""

#: Without a database of accounts Slurm takes any QOS; a site's own rule refuses it as one with such
#: a database does: 2066 is its "Invalid qos specification".
_RULE = """
function slurm_job_submit(description, partitions, user)
   if description.qos ~= nil and description.qos ~= "" then return 2066 end
   return slurm.SUCCESS
end
function slurm_job_modify(description, job, partitions, user) return slurm.SUCCESS end
"""


def why_not() -> str | None:
    """What keeps this machine from having such a cluster, None if nothing does."""
    for program in PROGRAMS:
        if shutil.which(program) is None:
            return f"found no {program}; tests/slurm/install-debian.sh installs it"
    return network.why_not()


@dataclass
class SlurmCluster:
    """Boots when made; `close` takes everything down, and so does a boot that fails."""

    folder: Path
    store: Path
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        with ExitStack() as stack:
            self._boot(stack)
            self._down = stack.pop_all()

    def _boot(self, stack: ExitStack) -> None:
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        self.network = Network("slurm", "10.213.9")
        stack.callback(self.network.close)
        self.controller, self.a, self.b = (
            self.network.add(name, environment) for name in ("controller", "n1", "n2")
        )
        self._admit_users(self.controller)
        self._configure()
        self._munge(stack)
        self.controller.start("slurmctld", "-D", log=self.folder / "slurmctld.out")
        for host in (self.a, self.b):
            self.join(host)
        self.wait(self.is_whole, "two idle hosts")

    def join(self, host: Host) -> None:
        """A booted host becomes one of Slurm's."""
        self._admit_users(host)
        host.start("slurmd", "-D", "-N", host.name, log=self.folder / f"{host.name}.out")

    def _configure(self) -> None:
        (self.folder / "state").mkdir()
        lines = []
        for host in (self.a, self.b):
            (self.folder / f"spool-{host.name}").mkdir()
            lines.append(f"NodeName={host.name} NodeAddr={host.address} CPUs=2 State=UNKNOWN")
        text = _CONFIGURATION.format(
            folder=self.folder,
            controller=self.controller.name,
            controller_address=self.controller.address,
            nodes="\n".join(lines),
        )
        (self.folder / "slurm.conf").write_text(text, encoding="ascii")
        (self.folder / "job_submit.lua").write_text(_RULE, encoding="ascii")
        # Not looked for on this machine, whose own may be of either version, or hidden.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n", encoding="ascii")

    def _admit_users(self, host: Host) -> None:
        """Make the two users known on a host, and the interpreter readable to them."""
        lines = {"passwd": "{0}:x:{1}:{1}::{2}/{0}:/bin/sh\n", "group": "{0}:x:{1}:\n"}
        for kind, line in lines.items():
            file = self.folder / f"{kind}-{host.name}"
            known = Path("/etc", kind).read_text(encoding="utf-8")
            more = [line.format(name, number, self.folder) for name, number in USERS.items()]
            file.write_text("".join([known, *more]), encoding="utf-8")
            self.on(host, "mount", "--bind", file, f"/etc/{kind}")
        for name, number in USERS.items():
            (self.folder / name).mkdir(exist_ok=True)
            os.chown(self.folder / name, number, number)
        for folder in reversed(Path(sys.executable).resolve().parents):
            if not folder.stat().st_mode & 0o001:
                text = _OPEN.format(closed=folder, above=f"{LOCAL}/above")
                self.on(host, "sh", "-ec", text)

    def on(self, host: Host, *words: str | Path) -> str:
        """What a command says on a host."""
        done = host.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def as_user(self, user: str, *words: str | Path) -> tuple[str | Path, ...]:
        """A command as one of the two users runs it."""
        number = str(USERS[user])
        change = ("setpriv", "--reuid", number, "--regid", number, "--clear-groups")
        return (*change, "env", f"HOME={self.folder / user}", *words)

    def _munge(self, stack: ExitStack) -> None:
        """One for all hosts: it speaks over a socket of the shared file system."""
        key, socket = self.folder / "munge.key", self.folder / "munge.socket"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        process = subprocess.Popen(
            [
                "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={socket}",
                f"--pid-file={self.folder / 'munged.pid'}",
                f"--seed-file={self.folder / 'munged.seed'}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(process.wait, timeout=30)
        stack.callback(process.terminate)
        self.wait(socket.exists, "munged")

    def close(self) -> None:
        """Everything down, whatever state it is in."""
        self._down.close()

    # Slurm.

    def ask(self, *words: str | Path) -> str:
        """What a command of Slurm says on the controller."""
        return self.on(self.controller, *words)

    def is_whole(self) -> bool:
        """Whether both hosts are idle."""
        listed = self.controller.run("sinfo", "-h", "-N", "-p", "low", "-o", "%T").stdout
        return listed.split() == ["idle", "idle"]

    def state(self, job: str) -> dict[str, str]:
        """What Slurm knows of a job."""
        words = self.ask("scontrol", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait(
        self, condition: Callable[[], bool], what: str, patience_seconds: float = 120.0
    ) -> None:
        """Poll until a condition holds; what Slurm would start again later starts at once."""
        deadline = time.monotonic() + patience_seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {patience_seconds:.0f} s for {what}"
            self._hurry()
            time.sleep(0.5)

    def _hurry(self) -> None:
        """Slurm lets a job that is queued again wait two minutes, in which nothing happens."""
        if not (self.folder / "slurmctld.pid").exists():
            return
        listed = self.controller.run("squeue", "-h", "-t", "PD", "-o", "%A %r").stdout
        for line in listed.splitlines():
            job, reason = line.split(maxsplit=1)
            if reason == "BeginTime":
                self.controller.run("scontrol", "update", f"JobId={job}", "StartTime=now")

    # Sweeps.

    def submit(
        self, name: str, *words: str | Path, home: Path | None = None, user: str | None = None
    ) -> str:
        """Submit a sweep as a user does on a login node; the job's number."""
        done = self.ptxsweep(name, *words, home=home, user=user)
        assert done.returncode == 0, done.stderr
        assert "submitted as job" in done.stderr
        return done.stderr.split("submitted as job ")[1].split(";")[0]

    def ptxsweep(
        self,
        name: str,
        *words: str | Path,
        home: Path | None = None,
        user: str | None = None,
        path: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """`ptxsweep slurm` on the controller's host."""
        space = self.folder / f"{name}.yaml"
        text = STANDARD.replace("EPOCHS", "16").replace("name: tiny", f"name: {name}")
        space.write_text(text, encoding="utf-8")
        command = (
            "ptxsweep", "slurm", space, "--store", self.store, "--home", home or self.home,
            "--nodes", "2", "--cpus-per-node", "1", "--local", LOCAL, "--precision", "float32",
            *words,
        )  # fmt: skip
        command = command if user is None else self.as_user(user, *command)
        return self.controller.run(*(() if path is None else ("env", f"PATH={path}")), *command)

    def log(self, name: str, home: Path | None = None) -> str:
        """What the jobs of a sweep printed."""
        files = sorted(((home or self.home) / "slurm" / name).glob("*.log"))
        return "\n".join(file.read_text(encoding="utf-8") for file in files)

    def ended(
        self,
        job: str,
        name: str,
        state: str = "COMPLETED",
        *,
        home: Path | None = None,
        patience: float = 900.0,
    ) -> None:
        """Wait until a job has ended in a state."""
        final = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED")
        try:
            self.wait(lambda: self.state(job)["JobState"] in final, f"job {job}", patience)
            assert self.state(job)["JobState"] == state
        except AssertionError as error:
            raise AssertionError(
                f"{error}\n{self.state(job)}\n{self.log(name, home)[-4000:]}"
            ) from None

    def scores(self, name: str, home: Path | None = None) -> Scores:
        """Every fold's score; none while the sweep is not there."""
        file = (home or self.home) / "ledger.db"
        if not file.is_file():
            return {}
        try:
            ledger = Ledger.open(f"sqlite:///{file}", name)
        except UnknownSweep:
            return {}
        try:
            return {
                (one.number, fold): score.score
                for one in ledger.projection.trials
                for fold, score in one.folds.items()
            }
        finally:
            ledger.close()

    def in_the_middle(self, job: str, name: str, home: Path | None = None) -> None:
        """Wait until some folds are finished."""

        def is_there() -> bool:
            assert self.state(job)["JobState"] in ("PENDING", "RUNNING"), self.log(name, home)
            return len(self.scores(name, home)) >= 2

        self.wait(is_there, f"the middle of {name}", 600.0)

    def check(
        self, fault: str, job: str, name: str, calm: Scores, home: Path | None = None
    ) -> None:
        """Nothing lost, nothing trained twice, every score as without the fault; a row for it."""
        ledger = Ledger.open(f"sqlite:///{(home or self.home) / 'ledger.db'}", name)
        projection = ledger.projection
        ledger.close()
        assert projection.sweep_state == "finished"
        assert {one.state for one in projection.trials} == {State.COMPLETE}
        for one in projection.trials:
            finished = [attempt.fold for attempt in one.log if attempt.outcome == "finished"]
            assert sorted(finished) == sorted(one.folds), "a fold ran twice, or was lost"
            assert all(attempt.repeated_epochs <= 1 for attempt in one.log)
            assert all(attempt.ended_at is not None for attempt in one.log)
        assert self.scores(name, home) == calm
        attempts = sum(len(one.log) for one in projection.trials)
        again = sum(attempt.repeated_epochs for one in projection.trials for attempt in one.log)
        restarts = self.restarts(job)
        self.rows.append((fault, str(restarts), str(attempts), str(again)))

    def told(self, fault: str) -> None:
        """A row for what is refused before anything is trained."""
        self.rows.append((fault, "told", "-", "-"))

    def restarts(self, job: str) -> int:
        """How often a job was queued again."""
        return int(self.state(job)["Restarts"])

    def is_clean(self, job: str) -> None:
        """Nothing of a job is left on the hosts' own disks."""
        for host in (self.a, self.b):
            left = host.run("ls", LOCAL).stdout.split()
            assert f"ptxsweep-{job}" not in left
