"""Fixtures of whole sweeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import TINY_SPACE


@pytest.fixture(scope="session")
def phantom_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 60 small phantoms, one in two positive, imported from DICOM and RLE."""
    from ptxcore.data.importing.run import import_cases
    from ptxcore.data.phantom import write_phantom

    folder = tmp_path_factory.mktemp("phantom")
    files = write_phantom(folder / "source", num_cases=60, size=128, prevalence=0.5, seed=3)
    import_cases(files.dicom, files.rle, folder / "store")
    return folder / "store"


@pytest.fixture
def space_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny search space."""

    def write(policy: str = "standard", epochs: int = 3) -> Path:
        path = tmp_path / f"{policy}.yaml"
        path.write_text(TINY_SPACE.replace("POLICY", policy).replace("EPOCHS", str(epochs)))
        return path

    return write
