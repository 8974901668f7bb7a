"""Single cases of a hold-out that was opened: how a winner did on each, and its masks.

Nothing is scored that was not scored before. A picture needs the case store and the weights, which
may be elsewhere by now; the counts of each case lie in the sweep's folder.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import StoreError
from ptxcore.types import CaseTable
from sweep.promotion.confirm import kept_table, load_ensemble
from sweep.promotion.confirmation import Confirmation
from sweep.storage.case_stores import open_store, store_of
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep
from sweep.storage.sweep_files import files_of


@dataclass(frozen=True, kw_only=True)
class SegmentedCase:
    """A case of an opened hold-out.

    Attributes:
        image: Grey values, bright is dense, shape (H, W).
        truth: True mask, likewise.
        prediction: The winner's mask, likewise.
    """

    image: NDArray[Any]
    truth: NDArray[np.bool_]
    prediction: NDArray[np.bool_]


def opened_table(home: Home, known: Confirmation) -> CaseTable:
    """A winner's counts on every case of the hold-out.

    Args:
        home: Where its sweep lives.
        known: The winner on the hold-out, which was opened then.

    Raises:
        UsageError: The table is gone.
        StorageError: Object storage cannot be used.
    """
    files_of(home, known.sweep).bring_folder(f"confirmation/use-{known.use}")
    return kept_table(home.sweep_folder(known.sweep), known)


class OpenedCases:
    """Segments cases of opened hold-outs; the networks of the last one asked for stay loaded."""

    def __init__(self, home: Home) -> None:
        """Nothing is loaded yet.

        Args:
            home: Where the sweeps live.
        """
        self._home = home
        self._lock = threading.Lock()
        self._ready: tuple[object, Callable[[str], SegmentedCase]] | None = None

    def segment(self, known: Confirmation, case_id: str) -> SegmentedCase:
        """A case with the winner's mask.

        Args:
            known: The winner on the hold-out, which was opened then.
            case_id: Id of a case of that hold-out.

        Raises:
            UsageError: The weights are gone.
            CoreError: Store or weights are gone or damaged, or the case is not in the store.
            StorageError: Object storage cannot be used.
        """
        key = (known.sweep, known.use, known.trial)
        with self._lock:
            if self._ready is None or self._ready[0] != key:
                self._ready = (key, self._loaded(known))
            return self._ready[1](case_id)

    def _loaded(self, known: Confirmation) -> Callable[[str], SegmentedCase]:
        with Sweep.open(self._home, known.sweep) as sweep:
            cases: CaseStore = open_store(store_of(sweep.header, self._home.folder))
            if cases.data_hash != known.data_hash:
                raise StoreError(
                    f"found another case store (data hash {cases.data_hash[:12]}), expected "
                    f"the one that was scored ({known.data_hash[:12]})"
                )
            trial = sweep.projection.trials[known.trial]
            sweep.files.bring_folds([trial], weights=True)
            ensemble = load_ensemble(trial, sweep.projection, sweep.folder, known.rule)

        def segmented(case_id: str) -> SegmentedCase:
            index = cases.index(case_id)
            image = cases.image(index)
            mask = ensemble.mask(image)  # which has the rule of the confirmation
            return SegmentedCase(image=image, truth=cases.mask(index), prediction=mask)

        return segmented
