"""Ray started on this machine: its folder, its token, its patience, its errors."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sweep.errors import ClusterError, SweepError, UsageError
from sweep.util.redaction import redact

_log = logging.getLogger(__name__)

#: What Ray appends to its folder for a socket, with the largest process number of Linux.
_SOCKET = "session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
#: The system's limit for the path of a socket, in bytes.
MAX_SOCKET_BYTES = 103 if sys.platform == "darwin" else 107
#: Niceness of the processes that train. Ray's own 15 gets next to nothing of a busy machine.
NICENESS = 0
#: On a busy machine Ray's own processes may not be up in the 30 s that it gives them.
_TRIES = 4
_SLOW = ("timed out during startup", "GCS has become overloaded", "Failed to connect to GCS")


def start_here(num_cpus: int, num_gpus: int, niceness: int | None = None) -> None:
    """Start Ray on this machine and connect to it; `ray.shutdown` ends both.

    Args:
        num_cpus: CPUs that it gives away.
        num_gpus: GPUs likewise.
        niceness: Priority of the processes that train, 0 (full) to 19; `NICENESS` unless given.

    Raises:
        UsageError: Something of this machine must change first.
        ClusterError: Ray does not come up.
    """
    import ray

    folder = ray_folder()
    variables = {"RAY_worker_niceness": str(NICENESS if niceness is None else niceness)}
    if niceness is None and "RAY_worker_niceness" in os.environ:
        del variables["RAY_worker_niceness"]
    if folder != _default_folder():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # Ray opens its own to all
        variables["TMPDIR"] = str(folder.parent)  # where PyTorch's processes have sockets, too
    _token_without_home()
    with explained("Ray does not start on this machine"), _variables(variables):
        patiently(
            lambda: ray.init(
                address="local",
                num_cpus=num_cpus,
                num_gpus=num_gpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
                _temp_dir=str(folder),
            )
        )


def ray_folder() -> Path:
    """Folder for Ray's sessions: Ray's own choice, or a short one where its sockets have no place.

    Nothing is made.

    Raises:
        UsageError: There is none.
    """
    ours = f"ptxsweep-{os.getuid()}"
    tried = [_default_folder(), *(Path(place, ours, "ray") for place in ("/tmp", "/var/tmp"))]  # nosec B108
    for folder in tried:
        if fits_sockets(folder) and _can_be_written(folder):
            return folder
    raise UsageError(
        f"found no folder for Ray's sockets: {', '.join(map(str, tried))} cannot be written, or "
        f"make paths of more than {MAX_SOCKET_BYTES} bytes; set RAY_TMPDIR to a short folder on "
        "this machine's own disk"
    )


def fits_sockets(folder: Path) -> bool:
    """Whether the paths of Ray's sockets in that folder are as short as the system wants them."""
    return len(os.fsencode(folder / _SOCKET)) <= MAX_SOCKET_BYTES


def _default_folder() -> Path:
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray")  # nosec B108


def _can_be_written(folder: Path) -> bool:
    """Whether it, or what it would be made in, can be; a closed folder in our name is our own."""
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        read_only = bool(os.statvfs(there).f_flag & os.ST_RDONLY)  # root may write anything else
        closed = folder.parent
        stolen = (
            closed.name.startswith("ptxsweep-")
            and os.path.lexists(closed)
            and closed.lstat().st_uid != os.getuid()
        )
    except OSError:
        return False
    in_kernel = there.parts[1:2] in (("proc",), ("sys",))
    return not (read_only or stolen or in_kernel) and os.access(there, os.W_OK | os.X_OK)


def can_write_home() -> bool:
    """Whether the user's own folder is there and can be written."""
    try:
        home = Path.home()
    except RuntimeError:
        return False
    return home.is_dir() and os.access(home, os.W_OK)


def _token_without_home() -> None:
    """Ray writes its token into the user's folder; without one, this process keeps it."""
    given = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if not given and not can_write_home():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def patiently(start: Callable[[], object]) -> None:
    """Start Ray, again while it is only slow."""
    import ray

    for left in reversed(range(_TRIES)):
        try:
            start()
        except Exception as error:
            if not left or not _is_slow(error):
                raise
            _log.warning("Ray is slow to come up on this busy machine; trying again")
            ray.shutdown()
            time.sleep(1)
        else:
            return


def _is_slow(error: Exception) -> bool:
    import ray

    return isinstance(error, ray.exceptions.GetTimeoutError) or says_slow(str(error))


def says_slow(text: str) -> bool:
    """Whether Ray says that it was not up in time, which another try may mend."""
    return any(known in text for known in _SLOW)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """What Ray raises in the block becomes an error of ours that says what to do.

    Args:
        what: Begin of the sentence.

    Raises:
        UsageError: What was asked for cannot work here.
        ClusterError: Another try may work.
    """
    try:
        yield
    except SweepError:
        raise
    except Exception as error:
        text = " ".join(redact(str(error)).split())[:300] or type(error).__name__
        if _is_slow(error):
            load = f"{os.getloadavg()[0]:.0f} processes want {os.cpu_count()} CPUs"
            raise ClusterError(
                f"{what}: it was not up in time, in {_TRIES} tries ({load}); try again when "
                "the machine is less busy"
            ) from error
        if isinstance(error, (OSError, ValueError)) and not isinstance(error, ConnectionError):
            raise UsageError(
                f"{what} ({text}); `ptxsweep doctor` looks at folders, memory and limits that it "
                "needs"
            ) from error
        raise ClusterError(
            f"{what} ({type(error).__name__}: {text}); `ptxsweep doctor` looks at what it needs, "
            "and its logs lie in session_latest/logs of its temporary folder"
        ) from error


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that Ray's processes inherit."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
