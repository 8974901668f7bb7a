"""`--profile`: where a cluster and its services are, written down once instead of on every line.

What a command line gives wins over the environment, that over the profile, that over defaults.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from sweep.cli._help import SharedOption
from sweep.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class _Key:
    """What a profile may say.

    Attributes:
        option: The parameter of the commands that it is the default of.
        kinds: Types that its value may have.
        variables: Variables of the environment, any of which wins over it.
        is_path: Whether it names a file or folder, which may be relative to the profile's own.
    """

    option: str
    kinds: tuple[type, ...] = (str,)
    variables: tuple[str, ...] = ()
    is_path: bool = False


_Command = TypeVar("_Command", bound=Callable[..., Any])
_NUMBER = (int, float)
_LEDGER = ("PTXSWEEP_LEDGER", "PTXSWEEP_LEDGER_FILE")
KEYS = {
    "address": _Key(option="address", variables=("PTXSWEEP_ADDRESS",)),
    "home": _Key(option="home_folder", variables=("PTXSWEEP_HOME",), is_path=True),
    "storage": _Key(option="storage", variables=("PTXSWEEP_STORAGE",), is_path=True),
    "store": _Key(option="store", variables=("PTXSWEEP_STORE",), is_path=True),
    "ledger": _Key(option="ledger", variables=_LEDGER),
    "ledger_file": _Key(option="ledger", variables=_LEDGER, is_path=True),
    "tracking_uri": _Key(option="tracking_uri", variables=("MLFLOW_TRACKING_URI",)),
    "workers": _Key(option="workers", kinds=(int,), variables=("PTXSWEEP_WORKERS",)),
    "cpus_per_trial": _Key(option="cpus", kinds=(int,)),
    "gpus_per_trial": _Key(option="gpus", kinds=_NUMBER),
    "niceness": _Key(option="niceness", kinds=(int,), variables=("PTXSWEEP_NICENESS",)),
    "hours": _Key(option="hours", kinds=_NUMBER),
    "gpu_hours": _Key(option="gpu_hours", kinds=_NUMBER),
    "max_cost": _Key(option="max_cost", kinds=_NUMBER),
    "price_per_gpu_hour": _Key(option="price_per_gpu_hour", kinds=_NUMBER),
    "price_per_cpu_hour": _Key(option="price_per_cpu_hour", kinds=_NUMBER),
    "precision": _Key(option="precision"),
}


def read_profile(path: Path, *, on_cluster: bool = False) -> dict[str, Any]:
    """Defaults of the commands' options, by parameter.

    Args:
        path: YAML file of keys and values; `ledger_file` names a file with the ledger's address,
            which holds a password.
        on_cluster: Whether that file lies on a cluster; then `ledger_file` stays its path.

    Raises:
        UsageError: The file cannot be read or says something that no command knows.
    """
    from sweep.storage.bucket import is_bucket

    values = _load(path)
    if {"ledger", "ledger_file"} <= set(values):
        raise UsageError(f"{path}: found both ledger and ledger_file, expected one of them")
    defaults: dict[str, Any] = {}
    for name, value in values.items():
        key = KEYS.get(name)
        if key is None:
            from ptxcore.hints import did_you_mean

            raise UsageError(f"{path}: {name}: no such key; {did_you_mean(str(name), KEYS)}")
        if not isinstance(value, key.kinds) or isinstance(value, bool):
            wanted = " or ".join(kind.__name__ for kind in key.kinds)
            # Not the value itself: it may be a secret in the wrong place.
            raise UsageError(f"{path}: {name}: found {type(value).__name__}, expected {wanted}")
        if any(os.environ.get(variable) for variable in key.variables):
            continue
        if key.is_path and not is_bucket(value):
            value = str(path.parent / str(value))  # an absolute one stays what it is
        if name == "ledger_file":
            if on_cluster:
                defaults["ledger_file"] = value
                continue
            value = _first_line(path, value)
        defaults[key.option] = value
    return defaults


def _load(path: Path) -> dict[str, Any]:
    from sweep.util.yaml_lines import load_yaml, read_text

    return load_yaml(read_text(path), str(path), expected="lines of `key: value`")[0]


def _first_line(profile: Path, name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(
            f"{profile}: ledger_file: cannot read {name} ({error.strerror})"
        ) from error


def _apply(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is not None:
        context.meta["ptxsweep.profile"] = path
        context.default_map = {**(context.default_map or {}), **read_profile(path)}


def _apply_on_cluster(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is not None:
        found = read_profile(path, on_cluster=True)
        home = {"home": found["home_folder"]} if "home_folder" in found else {}
        context.default_map = {**(context.default_map or {}), **found, **home}


def _option(
    callback: Callable[[click.Context, click.Parameter, Path | None], None],
) -> Callable[[_Command], _Command]:
    return click.option(
        "--profile",
        cls=SharedOption,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="PTXSWEEP_PROFILE",
        is_eager=True,
        expose_value=False,
        callback=callback,
        help="YAML file with any of these settings: " + ", ".join(KEYS) + " [PTXSWEEP_PROFILE].",
    )


profile_option = _option(_apply)
#: For commands that hand addresses on and read no secrets themselves.
cluster_profile_option = _option(_apply_on_cluster)
