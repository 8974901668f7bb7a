"""What a machine offers to Ray, looked at before Ray is started there."""

from __future__ import annotations

import os
import resource
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from ptxcore.data.parallel import num_processors
from sweep.errors import UsageError
from sweep.ray.resources import Host, ResourceRequest, decide
from sweep.ray.start import NICENESS, can_write_home, ray_folder

#: Ray's processes and workers hold some hundreds of files and sockets open.
ENOUGH_FILES = 4096
#: Below this a sweep of a few workers runs out of them.
FEW_FILES = 256
_MIB, _GIB = 2**20, 2**30
#: Shared memory below which Ray writes its objects to disk.
RAY_BYTES = 2 * _GIB
#: Of one process that makes batches: two of eight patches of 512 px, image and mask of 1 MiB each.
LOADER_BYTES = 2 * 8 * 2 * _MIB


def this_machine() -> Host:
    """This machine as a host; a GPU counts where PyTorch can use it."""
    gpus = 0
    if may_have_gpu():
        import torch

        gpus = torch.cuda.device_count()
    return Host(name=socket.gethostname(), cpus=num_processors(), gpus=gpus)


def may_have_gpu() -> bool:
    """Whether the system has a device of NVIDIA's or AMD's; a Linux without one has no GPU."""
    known = ("nvidia*", "kfd", "dxg")
    return sys.platform != "linux" or any(any(Path("/dev").glob(name)) for name in known)


def look() -> Iterator[tuple[str, str, str]]:
    """Folder, token, limits and neighbours.

    Yields:
        Topic, "ok", "note" or "problem", and a sentence.
    """
    yield _processors()
    yield _folder()
    if not can_write_home():
        yield (
            "user's folder",
            "note",
            f"{os.environ.get('HOME') or 'HOME'} cannot be written: Ray's token stays in the "
            "process, and copies of case stores want PTXSWEEP_CACHE, the key of case ids "
            "PTXSWEEP_KEY",
        )
    yield _open_files()
    yield _neighbours()


def shared_memory(free_bytes: int, host: Host) -> tuple[str, str, str]:
    """What is free in /dev/shm beside what a sweep on a machine puts there.

    Args:
        free_bytes: Bytes that are free.
        host: The machine; a trial takes one GPU, and the processes that it has for it.

    Returns:
        Topic, "ok", "note" (Ray writes to disk, patches of 1024 px do not fit) or "problem"
        (batches of 512 px do not fit, which kills the process that makes them), and a sentence.
    """
    text = f"{free_bytes / _GIB:.1f} GiB free in /dev/shm"
    batches = int(host.gpus) * decide(ResourceRequest(), [host]).cpus * LOADER_BYTES
    wanted = [] if free_bytes >= RAY_BYTES else ["Ray wants 2 GiB, else it writes to disk"]
    if batches:
        text += (
            f"; batches of {int(host.gpus)} GPUs wait there, up to {batches / _MIB:,.0f} MiB at "
            "512 px and four times that at 1024 px"
        )
        if free_bytes < 4 * batches:
            wanted.append("they do not fit" if free_bytes < batches else "at 1024 px they do not")
    if not wanted:
        return "shared memory", "ok", text
    text += f"; {', and '.join(wanted)}: enlarge it (docker: --shm-size)"
    if batches:
        text += " or take fewer --cpus-per-trial"
    return "shared memory", "problem" if free_bytes < batches else "note", text


def _processors() -> tuple[str, str, str]:
    usable, there = num_processors(), os.cpu_count() or 1
    text = f"{usable} cores for this process"
    if usable < there:
        text += f" of {there}, by its affinity or the quota of its control group"
    return "cpu", "ok", text


def _folder() -> tuple[str, str, str]:
    try:
        folder = ray_folder()
    except UsageError as error:
        return "ray folder", "problem", str(error)
    if folder.parent.name != f"ptxsweep-{os.getuid()}":
        return "ray folder", "ok", str(folder)
    text = f"{folder}, for TMPDIR cannot be written or is too long for sockets"
    return "ray folder", "note", text


def _open_files() -> tuple[str, str, str]:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # which Ray raises its own limit to
    if limit == resource.RLIM_INFINITY or limit >= ENOUGH_FILES:
        return "open files", "ok", "enough may be open"
    text = f"{limit} may be open at once, Ray wants {ENOUGH_FILES}; raise `ulimit -Hn`"
    return "open files", "problem" if limit < FEW_FILES else "note", text


def _neighbours() -> tuple[str, str, str]:
    load, usable = os.getloadavg()[0], num_processors()
    text = f"trials run at niceness {os.environ.get('PTXSWEEP_NICENESS') or NICENESS} (--niceness)"
    others = _raylets()
    if others:
        text += f"; Ray runs here already ({others} hosts), and a sweep shares the cores with it"
    if load > 2 * usable:
        text += f"; {load:.0f} processes want {usable} cores: Ray comes up slowly"
    return "neighbours", "note" if others or load > 2 * usable else "ok", text


def _raylets() -> int:
    """Raylets on this machine, whoever's."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_bytes().split(b"\0")[0].endswith(b"/raylet/raylet")
        except OSError:  # it ended
            continue
    return found
