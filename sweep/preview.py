"""From a search space and a case store to a sheet of patches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptxcore.atomic_file import whole_file
from ptxcore.settings import FoldSettings
from sweep.errors import UsageError
from sweep.space.overrides import Overrides, effective_space

if TYPE_CHECKING:
    from ptxcore.data.studies.preview import Preview


def write_preview(
    store: Path,
    space: str,
    fixed: Mapping[str, Any],
    out: Path,
    *,
    seed: int,
    num_cases: int,
    num_draws: int,
) -> Preview:
    """Write the sheet for the defaults of a space.

    Args:
        store: Folder of the case store.
        space: A file, or the name of a shipped space.
        fixed: Settings that differ from its defaults.
        out: PNG file; its folder is made, a file of that name is replaced.
        seed: Same seed, same sheet.
        num_cases: Rows.
        num_draws: Augmented draws at each strength.

    Returns:
        What the sheet shows.

    Raises:
        SpaceError: The space or a setting is refused.
        SettingsError: Likewise, of a combination.
        StoreError: The store is damaged.
        UsageError: The name does not end in `.png`.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out: found {out.name!r}, expected a name that ends in .png")
    chosen = effective_space(space, Overrides(fixed=dict(fixed)))
    settings = FoldSettings.from_mapping(chosen.complete({}))

    from ptxcore.data.store.case_store import CaseStore
    from ptxcore.data.studies.preview import draw_sheet, preview

    found = preview(
        CaseStore.open(store), settings, seed=seed, num_cases=num_cases, num_draws=num_draws
    )
    with whole_file(out) as draft:
        draw_sheet(found).save(draft, format="PNG")
    return found
