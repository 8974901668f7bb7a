"""A small real store with its plan, and settings that train a fold in a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_store import drawn_store

from ptxcore.data.splits.fold_plan import FoldPlan, SearchPlan, make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.settings import FoldSettings
from ptxcore.training import train_fold
from ptxcore.types import EpochReport, Runtime

SMALL = FoldSettings(
    image_size=32,
    patch_size=0,
    channels=2,
    levels=2,
    batch_size=4,
    max_epochs=4,
    patience=4,
    learning_rate=1e-2,
    augmentation_strength=0.5,
)


@dataclass(frozen=True)
class Bench:
    """What folds are trained on; `store` may be exchanged."""

    store: CaseStore
    whole_plan: FoldPlan

    @property
    def plan(self) -> SearchPlan:
        return self.whole_plan.search_part()

    def train(
        self,
        settings: FoldSettings = SMALL,
        *,
        fold: int = 0,
        seed: int = 0,
        runtime: Runtime | None = None,
        directory: Path | None = None,
        store: CaseStore | None = None,
        plan: SearchPlan | None = None,
    ) -> list[EpochReport]:
        """Every report of a fold."""
        return list(
            train_fold(
                settings,
                store or self.store,
                plan or self.plan,
                fold,
                seed=seed,
                runtime=runtime or Runtime(),
                directory=directory,
            )
        )


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    store = drawn_store(
        tmp_path_factory.mktemp("bench") / "store", num_cases=32, num_positive=16, side_px=48
    )
    return Bench(store=store, whole_plan=make_plan(store, num_folds=3))


@pytest.fixture(scope="session")
def small() -> FoldSettings:
    return SMALL
