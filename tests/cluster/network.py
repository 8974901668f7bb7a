"""Hosts on one machine: each a network, process, name and mount namespace on a common bridge.

A host has an address, a host name, a /tmp/ray and a process tree of its own. It shares the file
system, which stands for the shared storage of a cluster. Needs root and iproute2.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SUBNET = "10.213.7"
SERVICES = f"{SUBNET}.1"

_ISOLATE = ("unshare", "--uts", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child")
_INIT = 'hostname "$1"; mkdir -p /tmp/ray; mount -t tmpfs none /tmp/ray; ip link set lo up; \
echo up; while :; do sleep 1000 & wait; done'


def why_not() -> str | None:
    """What keeps this machine from having such hosts, None if nothing does."""
    for tool in ("ip", "unshare", "nsenter"):
        if shutil.which(tool) is None:
            return f"found no {tool}; install iproute2 and util-linux"
    if os.geteuid() != 0:
        return "network namespaces need root here"
    trial = subprocess.run(
        ["unshare", "--net", "--uts", "--pid", "--mount", "--fork", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if trial.returncode == 0 else f"namespaces: {trial.stderr.strip()}"


class Host:
    """One host; boots when made."""

    def __init__(
        self, network: Network, name: str, number: int, environment: Mapping[str, str]
    ) -> None:
        self.name, self.address = f"{network.name}-{name}", f"{network.subnet}.{number}"
        name, self._link = self.name, f"{network.name}{number}"
        self._environment = {**environment, "PTXSWEEP_NODE_IP": self.address}
        _ip("netns", "add", name)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", self._link, "master", network.bridge, "up")
        _ip("-n", name, "address", "add", f"{self.address}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        self.power_on()

    def power_on(self) -> None:
        """Boot, again where it was powered off: nothing of before is left on its own disk."""
        name = self.name
        self._outer = subprocess.Popen(
            [*("ip", "netns", "exec", name), *_ISOLATE, "sh", "-c", _INIT, "init", name],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._started: list[subprocess.Popen[bytes]] = []
        assert self._outer.stdout is not None
        assert self._outer.stdout.readline() == "up\n"
        self._outer.stdout.close()
        self.init = _descendants(self._outer.pid)[1]

    def _inside(self, words: Sequence[str | Path]) -> list[str]:
        enter = ["nsenter", "--target", str(self.init), "--net", "--uts", "--pid", "--mount"]
        return [*enter, "--", *map(str, words)]

    def start(
        self, *words: str | Path, log: Path, more: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command on this host; its output goes to a file."""
        with log.open("ab") as file:
            process = subprocess.Popen(
                self._inside(words),
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**self._environment, **(more or {})},
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def run(
        self, *words: str | Path, timeout: float = 300.0, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this host to its end."""
        return subprocess.run(
            self._inside(words),
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**self._environment, **(more or {})},
            check=False,
        )

    def processes(self, text: str) -> list[int]:
        """Processes of this host, by the machine's numbers, whose title contains a text."""
        inside = os.readlink(f"/proc/{self.init}/ns/pid")
        return [
            int(path.name)
            for path in Path("/proc").glob("[0-9]*")
            if _namespace(path) == inside and text in title(int(path.name))
        ]

    def training(self) -> list[int]:
        """Ray's worker processes that hold an actor: Ray names them after what they run.

        Its own agents are named alike, and a raylet ends with them.
        """
        others = ("ray::IDLE", "Agent")
        return [p for p in self.processes("ray::") if not any(one in title(p) for one in others)]

    def kill(self, text: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to all processes of this host whose title contains a text.

        Returns:
            How many there were.
        """
        found = self.processes(text)
        for pid in found:
            os.kill(pid, number)
        return len(found)

    def cut(self) -> None:
        """Pull the network cable; what runs goes on."""
        _ip("link", "set", self._link, "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("link", "set", self._link, "up")

    def power_off(self) -> None:
        """End everything on the host at once."""
        if self._outer.poll() is None:
            os.kill(self.init, signal.SIGKILL)
            self._outer.wait(timeout=30)
        for process in self._started:
            process.wait(timeout=30)


class Network:
    """A bridge with hosts on it; the machine itself is the first address of the same bridge.

    Networks of two names do not see each other, so that two test runs may have one each.
    """

    def __init__(self, name: str = "ptx", subnet: str = SUBNET) -> None:
        self.hosts: list[Host] = []
        self.name, self.subnet, self.bridge = name, subnet, f"{name}bridge"
        self._remove_leftovers()
        _ip("link", "add", self.bridge, "type", "bridge")
        _ip("address", "add", f"{subnet}.1/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")

    def add(self, name: str, environment: Mapping[str, str]) -> Host:
        """Boot a host."""
        host = Host(self, name, 10 + len(self.hosts), environment)
        self.hosts.append(host)
        return host

    def close(self) -> None:
        """Power everything off and take the network down."""
        for host in self.hosts:
            host.power_off()
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        """Take down what an earlier, interrupted run has left."""
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            name = line.split()[0]
            if name.startswith(f"{self.name}-"):
                pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
                for pid in pids.stdout.split():
                    os.kill(int(pid), signal.SIGKILL)
                _ip("netns", "delete", name)
        # Deleting a namespace removes its end of the cable, and with it the other one.
        if Path(f"/sys/class/net/{self.bridge}").exists():
            _ip("link", "delete", self.bridge)
        for _ in range(50):
            if not any(Path("/sys/class/net").glob(f"{self.name}[0-9]*")):
                return
            time.sleep(0.1)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _descendants(pid: int) -> list[int]:
    """A process and all below it, parents first."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop(0)
        found.append(one)
        try:
            children = Path(f"/proc/{one}/task/{one}/children").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        waiting += [int(child) for child in children.split()]
    return found


def _namespace(process: Path) -> str:
    try:
        return os.readlink(process / "ns" / "pid")
    except OSError:
        return ""


def title(pid: int) -> str:
    """The command line of a process, or what it calls itself; nothing once it is gone."""
    try:
        content = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return content.replace(b"\0", b" ").decode(errors="replace")
