"""A hold-out is spent: each use of the same cases gets a smaller share of the chance of an error.

A champion that is no better passes one gate in at most 2.5% by luck, but among many that were
judged on the same cases some luck is certain. So the error of all uses together is bounded and
spent, use by use (alpha spending: Foster and Stine, Journal of the Royal Statistical Society B 70,
2008; as online control of the family-wise error rate: Tian and Ramdas, Statistical Methods in
Medical Research 30, 2021). Use i gets 5% / (i (i + 1)): 2.5%, 0.83%, 0.42%, 0.25%, ... Their sum
stays below 5% however many follow, whatever they have in common, and the first use is decided on
intervals of 95% as if there were no other. `make bench-evidence` holds other schedules against it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from ptxcore.data.splits.fold_plan import FoldPlan
from sweep.promotion.checks import Check, check
from sweep.promotion.holdout import holdout_digest
from sweep.storage.holdout_uses import note_use, noted_uses
from sweep.storage.sweep import Sweep
from sweep.util.provenance import git_sha
from sweep.util.words import count

#: Chance that any of all promotions on one hold-out is of a model that is no better.
TOTAL_ERROR = 0.05
#: Uses of the same cases after which a promotion is refused before they are used once more.
MAX_USES = 20


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A use of a hold-out that is written down, so that it may be opened.

    Attributes:
        number: Number among the uses by this sweep, 1 for the first.
        num_uses: Uses of these cases by all sweeps, this one included.
        is_shared: Whether the record beside the store has it, too.
    """

    number: int
    num_uses: int
    is_shared: bool

    @property
    def confidence(self) -> float:
        """Confidence of intervals that are decided on."""
        return confidence_of(self.num_uses)


def confidence_of(num_uses: int) -> float:
    """Confidence of the two-sided intervals of a use, whose lower ends decide.

    Args:
        num_uses: Number of the use of the same cases, 1 for the first.
    """
    return 1 - 2 * TOTAL_ERROR / (num_uses * (num_uses + 1))


def count_uses(sweep: Sweep, plan: FoldPlan, store: str) -> int:
    """How often the hold-out's most used case was used, by the store's record and the ledger's.

    The record beside the store knows uses by sweeps of other ledgers, and those of other plans that
    have cases in common; the ledger knows those of these very cases that were never kept there, as
    by earlier versions. A use that stands in both counts once.

    Args:
        sweep: Sweep with the ledger that is asked.
        plan: Its plan.
        store: Where its case store is, see `sweep.storage.case_stores.store_of`.

    Raises:
        StoreError: The record beside the store is damaged.
        StorageError: Object storage cannot be used.
    """
    noted = noted_uses(store)
    unnoted = sweep.evidence.ids_of_uses(holdout_digest(plan)) - noted.keys()
    of_case = (sum(case in cases for cases in noted.values()) for case in plan.holdout)
    return max(of_case, default=0) + len(unnoted)


def open_holdout(
    sweep: Sweep,
    plan: FoldPlan,
    store: str,
    *,
    purpose: str,
    trials: Sequence[int],
    again: bool,
) -> Opening:
    """Write a use down, in the ledger and beside the store. Only then may the hold-out be opened.

    Args:
        sweep: Sweep that uses its hold-out.
        plan: Its plan.
        store: Where its case store is.
        purpose: What for.
        trials: Numbers of the trials to be scored.
        again: Whether a use by this sweep after the first is meant.

    Raises:
        HoldoutUsed: See `sweep.ledger.evidence.Evidence.begin`.
        StoreError: The record beside the store is damaged.
        StorageError: Object storage cannot be used.
    """
    noted_uses(store)  # what is damaged must not cost a use
    use_id = uuid.uuid4().hex
    number = sweep.evidence.begin(
        purpose=purpose,
        git_sha=git_sha(),
        holdout_digest=holdout_digest(plan),
        trials=trials,
        again=again,
        use_id=use_id,
    )
    is_shared = note_use(store, use_id, plan.holdout)
    return Opening(number=number, num_uses=count_uses(sweep, plan, store), is_shared=is_shared)


def unspent(num_uses: int) -> list[Check]:
    """Whether a hold-out may be used once more. Known before it is opened.

    Args:
        num_uses: Uses of its cases so far.
    """
    if num_uses < MAX_USES:
        return []
    return [
        check(
            "uses of the hold-out",
            False,
            f"{count(num_uses, 'use')} of the same cases",
            f"fewer than {MAX_USES}: nothing can be shown on them any more, and new cases "
            "are needed (`--force --reason` opens them all the same)",
        )
    ]
