"""What is installed, what works and what is in the way: one finding per line, secrets redacted."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ptxcore.errors import SettingsError
from sweep.storage.bucket import Bucket
from sweep.storage.home import Home
from sweep.util.provenance import differences
from sweep.util.redaction import is_secret, redact
from sweep.util.sqlite import missing_file
from sweep.util.words import count

if TYPE_CHECKING:
    pass

#: Shown by name; the rest of constraints.txt is compared too, and named where it differs.
PACKAGES = (
    "torch", "ray", "optuna", "mlflow", "monai", "albumentations", "pydicom", "numpy", "pandas",
    "plotly", "pillow",
)  # fmt: skip
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        topic: What it is about.
        status: "ok", "note" (works, but know it) or "problem" (something will fail).
        text: What was found, and what to do about it.
    """

    topic: str
    status: str
    text: str


def examine(
    home: Home, *, address: str | None = None, constraints: Path | None = None
) -> list[Finding]:
    """Look at everything a sweep needs. Nothing is created or changed.

    Args:
        home: Where sweeps live.
        address: Address of a running Ray cluster, of which the hosts are asked; None asks none.
        constraints: The tested set of versions; None takes the file beside the code, if any.
    """
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("python", _python),
        ("environment", lambda: _environment(os.environ)),
        ("versions", lambda: _versions(constraints or _own_constraints())),
        ("dicom", _dicom),
        ("encoder", _encoder),
        ("device", _device),
        ("machine", _machine),
        ("memory", _memory),
        ("disk", lambda: _disk(home)),
        ("ledger", lambda: _ledger(home)),
        ("mlflow", lambda: _mlflow(home)),
        ("ray", lambda: _cluster(address)),
    )
    findings: list[Finding] = []
    for topic, check in checks:
        try:
            findings += check()
        except Exception as error:  # a broken installation must not stop the other checks
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"
            findings.append(Finding(topic=topic, status="problem", text=redact(text)[:300]))
    return findings


def _python() -> Iterator[Finding]:
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    fits = sys.version_info >= (3, 11)
    yield Finding(topic="python", status="ok" if fits else "problem", text=found)


def _own_constraints() -> Path | None:
    path = Path(__file__).resolve().parent.parent / "constraints.txt"
    return path if path.is_file() else None


def _versions(constraints: Path | None) -> Iterator[Finding]:
    pinned = {} if constraints is None else read_constraints(constraints.read_text("utf-8"))
    for name in PACKAGES:
        found = installed(name)
        if found is None:
            yield Finding(topic=name, status="problem", text="not installed")
        elif name in pinned and not _same(found, pinned[name]):
            yield Finding(topic=name, status="note", text=f"{found}, tested with {pinned[name]}")
        else:
            yield Finding(topic=name, status="ok", text=found)
    others = [
        f"{name} {found} (tested {wanted})"
        for name, wanted in pinned.items()
        if name not in PACKAGES and (found := installed(name)) and not _same(found, wanted)
    ]
    if others:
        yield Finding(topic="other versions", status="note", text=", ".join(others))
    if constraints is None:
        text = "constraints.txt is not beside the code, so versions were not compared"
        yield Finding(topic="other versions", status="note", text=text)


def read_constraints(text: str) -> dict[str, str]:
    """Names and versions of the lines `name==version`."""
    pairs = (line.split("#")[0].strip().partition("==") for line in text.splitlines())
    return {name.lower(): version for name, equals, version in pairs if equals}


def installed(name: str) -> str | None:
    """Version of an installed distribution, None if it is not there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _same(found: str, wanted: str) -> bool:
    """A local label such as "+cpu" names the same release."""
    return found.split("+")[0] == wanted.split("+")[0]


def _dicom() -> Iterator[Finding]:
    from ptxcore.data.formats.codecs import list_readers

    for name, readers in list_readers():
        if readers.plugins:
            text, status = f"{name}: read by {readers.plugins[0]}", "ok"
        elif readers.remedy:
            text, status = f"{name}: not read; {readers.remedy}", "note"
        else:
            text = f"{name}: not read, nothing that pydicom knows decodes it; convert such files"
            status = "note"
        yield Finding(topic="dicom", status=status, text=text)


def _encoder() -> Iterator[Finding]:
    """The weights that the space for CPUs begins with."""
    from ptxcore.pretrained import read_pretrained

    try:
        read_pretrained()
    except SettingsError as error:
        text = str(error).removeprefix("encoder: ")
        yield Finding(topic="encoder", status="problem", text=text)
    else:
        yield Finding(topic="encoder", status="ok", text="efficientnet_lite0: its weights are here")


def _device() -> Iterator[Finding]:
    from sweep.ray.machine import may_have_gpu

    found, supported = _gpus() if may_have_gpu() or not _torch_loads() else ((), False)
    yield from found
    if not found:
        yield Finding(topic="gpu", status="note", text="none found, folds train on the CPU")
        flags = _cpu_flags()
        supported = bool(flags & {"amx_bf16", "avx512_bf16"})
    text = "in hardware" if supported else "emulated; a sweep measures it and takes float32"
    yield Finding(topic="bfloat16", status="ok" if supported else "note", text=text)


def _torch_loads() -> bool:
    """Whether PyTorch's libraries load, which takes a tenth of the time of importing it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    try:
        ctypes.CDLL(str(Path(spec.origin).with_name("lib") / "libtorch_python.so"))
    except OSError:
        return False
    return True


def _gpus() -> tuple[tuple[Finding, ...], bool]:
    """What PyTorch sees, and whether they have bfloat16 in hardware."""
    import torch

    if not torch.cuda.is_available():
        return (), False
    properties = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    found = [
        Finding(
            topic=f"gpu {index}",
            status="ok",
            text=f"{one.name}, {one.total_memory / _GIB:.0f} GiB",
        )
        for index, one in enumerate(properties)
    ]
    return tuple(found), torch.cuda.is_bf16_supported()


def _machine() -> Iterator[Finding]:
    from sweep.ray.machine import look

    for topic, status, text in look():
        yield Finding(topic=topic, status=status, text=text)


def _cpu_flags() -> set[str]:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return set()
    lines = path.read_text("utf-8").splitlines()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def _memory() -> Iterator[Finding]:
    path = Path("/proc/meminfo")
    if path.is_file():
        found = dict(line.split(":") for line in path.read_text("utf-8").splitlines())
        free = int(found["MemAvailable"].split()[0]) * 1024
        status = "ok" if free >= 4 * _GIB else "note"
        yield Finding(topic="memory", status=status, text=f"{free / _GIB:.1f} GiB available")
    # Looked at alone, nothing is written there.
    shared = Path("/dev/shm")  # nosec B108
    if shared.is_dir():
        from sweep.ray.machine import shared_memory, this_machine

        topic, status, text = shared_memory(shutil.disk_usage(shared).free, this_machine())
        yield Finding(topic=topic, status=status, text=text)


def _disk(home: Home) -> Iterator[Finding]:
    folders = {"home": home.folder}
    if home.bucket is None:
        folders["storage"] = home.storage
    else:
        Bucket(home.bucket, patience_seconds=2.0).check(f".doctor-{uuid.uuid4().hex}")
        yield Finding(topic="storage", status="ok", text=f"{home.bucket} can be written")
    for topic, folder in folders.items():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if not os.access(there, os.W_OK):
            text, status = f"{there} cannot be written", "problem"
        else:
            text = f"{folder}, {free / _GIB:.0f} GiB free"
            status = "ok" if free >= 5 * _GIB else "note"
        yield Finding(topic=topic, status=status, text=text)


def _ledger(home: Home) -> Iterator[Finding]:
    address = redact(home.ledger_url)
    if missing_file(home.ledger_url) is not None:
        yield Finding(topic="ledger", status="ok", text=f"{address}, made by the first sweep")
        return
    from sweep.ledger import list_sweeps

    begun = time.perf_counter()
    sweeps = list_sweeps(home.ledger_url)
    spent = (time.perf_counter() - begun) * 1000
    text = f"{address}, {count(len(sweeps), 'sweep')}, read in {spent:.0f} ms"
    yield Finding(topic="ledger", status="ok", text=text)


def _mlflow(home: Home) -> Iterator[Finding]:
    address = redact(home.tracking_uri)
    if missing_file(home.tracking_uri) is not None:
        yield Finding(topic="mlflow", status="ok", text=f"{address}, made by the first sweep")
        return
    from sweep.mlflow.local import answers

    if not answers(home.tracking_uri):
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=home.tracking_uri).search_experiments(max_results=1)
    yield Finding(topic="mlflow", status="ok", text=f"{address} answers")


def _cluster(address: str | None) -> Iterator[Finding]:
    if address is None:
        return
    import ray

    from sweep.ray.cluster import join
    from sweep.ray.nodes import (
        OPEN_TO_ALL,
        ask,
        gpus_seen,
        hosts_without_token,
        package_version,
        versions_here,
    )

    join(address)
    try:
        here, num_hosts = package_version(), 0
        asked = zip(ask(package_version), ask(gpus_seen), ask(versions_here), strict=True)
        for (host, version), (_, gpus), (_, versions) in asked:
            num_hosts += 1
            status, text = "ok", f"ptxsweep {version}, {host.cpus:g} CPUs, {host.gpus:g} GPUs"
            if isinstance(version, Exception):
                status, text = "problem", f"cannot run ptxsweep ({type(version).__name__})"
            elif version != here:
                status, text = "problem", f"{text}; here is {here}, install the same everywhere"
            elif isinstance(gpus, Exception) or gpus < host.gpus:
                seen = type(gpus).__name__ if isinstance(gpus, Exception) else gpus
                status = "problem"
                text += f" of which PyTorch sees {seen}; install a build with CUDA"
            elif isinstance(versions, dict) and (others := differences(versions_here(), versions)):
                listed = ", ".join(
                    f"{name} {theirs} (here {ours})" for name, ours, theirs in others
                )
                status, text = "problem", f"{text}; {listed}: install the same everywhere"
            yield Finding(topic=host.name, status=status, text=text)
        if names := hosts_without_token():
            yield Finding(topic="ray", status="note", text=f"{', '.join(names)} {OPEN_TO_ALL}")
        if not num_hosts:
            text = f"{redact(address)} answers, but no host is there to train"
            yield Finding(topic="ray", status="problem", text=text)
    finally:
        ray.shutdown()


def _environment(variables: Mapping[str, str]) -> Iterator[Finding]:
    ours = ("PTXSWEEP_", "MLFLOW_", "RAY_", "CUDA_VISIBLE", "OMP_NUM")
    for name in sorted(variables):
        if name.startswith(ours):
            yield Finding(topic=name, status="ok", text=_shown(name, variables[name]))


def _shown(name: str, value: str) -> str:
    """A variable's value without secrets; JSON, such as Ray's job settings, can hold many."""
    if is_secret(name, value):
        return "***"
    return "{...}" if value.lstrip().startswith(("{", "[")) else redact(value)
