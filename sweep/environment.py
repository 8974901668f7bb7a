"""Which packages a number was made with."""

from __future__ import annotations

import importlib.metadata


def installed_packages() -> list[str]:
    """Every installed distribution as `name==version`, sorted: what `constraints.txt` pins."""
    found = {
        (one.name.lower().replace("_", "-"), one.version)
        for one in importlib.metadata.distributions()
    }
    return [f"{name}=={version}" for name, version in sorted(found)]


def pins(*names: str) -> list[str]:
    """Requirements that ask for the versions that are installed here.

    A local part such as "+cpu" is left out: any build of a version fits.

    Raises:
        importlib.metadata.PackageNotFoundError: One is not installed.
    """
    versions = (importlib.metadata.version(name).partition("+")[0] for name in names)
    return [f"{name}=={version}" for name, version in zip(names, versions, strict=True)]
