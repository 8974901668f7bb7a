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

    Raises:
        importlib.metadata.PackageNotFoundError: One is not installed.
    """
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]
