"""This very package as a wheel that travels with a model.

No index has it: a requirement by name would find nothing on another machine, or what somebody else
put there under our name. Nothing is built, so neither a build tool nor a network is needed: the
files that run here are packed with the metadata they were installed with, alike from a checkout
and from an installed wheel (the format is that of PEP 427).
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import zipfile
from pathlib import Path

NAME = "ptxsweep"
PACKAGES = ("dashboards", "gates", "ptxcore", "search_spaces", "sweep")
#: Of the files of a checkout, those that are code or that code reads.
SUFFIXES = frozenset((".css", ".js", ".json", ".py", ".txt", ".typed", ".yaml"))
#: Where the packages lie: beside each other, installed or not.
_ROOT = Path(__file__).resolve().parents[3]
_WHEEL = "Wheel-Version: 1.0\nGenerator: ptxsweep\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
#: The same content gives the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


def write_wheel(folder: Path) -> Path:
    """Pack what runs here.

    Args:
        folder: Made if absent.

    Returns:
        The file, `ptxsweep-VERSION-py3-none-any.whl`.
    """
    installed = importlib.metadata.distribution(NAME)
    about = f"{NAME}-{installed.version}.dist-info"
    content = {
        path.relative_to(_ROOT).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in sorted((_ROOT / package).rglob("*"))
        if path.suffix in SUFFIXES and path.is_file()
    }
    for name in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
        if (text := installed.read_text(name)) is not None:
            content[f"{about}/{name}"] = text.encode()
    content[f"{about}/WHEEL"] = _WHEEL.encode()
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in content.items()]
    content[f"{about}/RECORD"] = "\n".join([*lines, f"{about}/RECORD,,\n"]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}-{installed.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o644 << 16
            wheel.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
