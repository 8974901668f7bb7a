"""Which code and which packages a number was made with."""

from __future__ import annotations

import getpass
import importlib.metadata
import socket
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

PRODUCT = "ptxsweep"
#: Packages with versions that change pixels or scores: ours, what resamples, warps, trains and
#: counts, and what decodes DICOM files. Decoders that are not installed are left out.
PIXEL_PACKAGES = (
    PRODUCT,
    *("numpy", "scipy", "torch", "monai", "albumentations", "albucore", "simpleitk"),
    *("pydicom", "pillow", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg"),
    *("pylibjpeg-rle", "python-gdcm", "pyjpegls"),
)
#: Packages that each bring OpenCV under one import name; of two the one installed last is imported.
OPENCV = "opencv"


def installed_packages() -> list[str]:
    """Every installed distribution as `name==version`, sorted: what `constraints.txt` pins."""
    found = {
        (distribution.name.lower().replace("_", "-"), distribution.version)
        for distribution in importlib.metadata.distributions()
    }
    return [f"{name}=={version}" for name, version in sorted(found)]


@cache
def pixel_versions() -> dict[str, str]:
    """Versions of what changes pixels or scores, by name: OpenCV and `PIXEL_PACKAGES` as installed.

    A local part such as "+cpu" is left out: hosts with and without a GPU have other builds of one
    version. OpenCV is asked itself, since four packages bring it and the last one wins.
    """
    found = {OPENCV: _opencv()}
    for name in PIXEL_PACKAGES:
        try:
            found[name] = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def recorded_versions(installed: Sequence[str]) -> dict[str, str]:
    """The part of `pixel_versions` that a list of installed packages tells.

    Args:
        installed: Versions from `installed_packages`, of whatever host.

    Returns:
        Nothing unless the list names one OpenCV: that of two is not known.
    """
    known = {
        name: version for name, _, version in (package.partition("==") for package in installed)
    }
    opencv = [version for name, version in known.items() if name.startswith("opencv-")]
    if len(opencv) != 1:
        return {}
    found = {
        name: known[name].partition("+")[0] for name in PIXEL_PACKAGES if name in known
    }  # the packages of OpenCV count their own builds behind its version
    return dict(sorted({OPENCV: ".".join(opencv[0].split(".")[:3]), **found}.items()))


def differences(
    expected: Mapping[str, str], found: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """Packages that are not the same: name, expected and found version, "none" where missing.

    Earlier versions of ours did not count themselves among them, so a missing one is no difference.
    """
    pairs = (
        (name, expected.get(name, "none"), found.get(name, "none"))
        for name in sorted(expected.keys() | found.keys())
    )
    return [
        (name, ours, theirs)
        for name, ours, theirs in pairs
        if ours != theirs and not (name == PRODUCT and "none" in (ours, theirs))
    ]


def _opencv() -> str:
    import cv2

    return str(cv2.__version__)


def pins(*names: str) -> list[str]:
    """Requirements that ask for the versions that are installed here.

    A local part such as "+cpu" is left out: any build of a version fits.

    Raises:
        importlib.metadata.PackageNotFoundError: One is not installed.
    """
    versions = (importlib.metadata.version(name).partition("+")[0] for name in names)
    return [f"{name}=={version}" for name, version in zip(names, versions, strict=True)]


def login() -> str:
    """Who runs this, and on which machine."""
    try:
        name = getpass.getuser()
    except (KeyError, ImportError, OSError):  # a container's user without an entry
        name = "unknown"
    return f"{name}@{socket.gethostname()}"


def git_sha() -> str:
    """Commit of the code that runs, with "+dirty" where files changed; "unknown" outside git.

    A repository that does not track this file is another's: it holds the environment that we are
    installed in.
    """
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        # Whichever git the user's PATH has: it only tells a commit.
        done = subprocess.run(  # nosec B607
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise OSError(done.stderr.strip())
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD") + ("+dirty" if git("status", "--porcelain") else "")
    except OSError:
        return "unknown"
