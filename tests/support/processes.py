"""Processes that a test starts, waits for and ends, and ports that nobody else has."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_until(condition: Callable[[], Any], seconds: float = 40.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:.0f} s in vain")


def answers(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def processes() -> Iterator[tuple[int, int, str]]:
    """Id, parent's id and command line of every process."""
    shown = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,args=", "-ww"], capture_output=True, text=True, check=True
    )
    for line in shown.stdout.splitlines():
        number, parent, *rest = line.split(maxsplit=2)
        yield int(number), int(parent), " ".join(rest)


def below(number: int) -> list[int]:
    """Ids of a process's children and theirs."""
    family = [number]
    known = list(processes())
    for one in family:
        family += [child for child, parent, _ in known if parent == one]
    return family[1:]


def kill(number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def end_with_children(process: subprocess.Popen[bytes]) -> None:
    """Ends a process, by force after three seconds, and all that it started."""
    family = below(process.pid)
    process.terminate()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for one in family:
        kill(one)
