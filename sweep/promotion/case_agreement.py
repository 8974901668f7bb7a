"""How an ensemble calls cases: chosen on out-of-fold cases, for what its heads say together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import combinations

from ptxcore.data.splits.fold_plan import FoldPlan, SearchPlan
from ptxcore.data.store.case_store import CaseStore, OnProgress, no_progress
from ptxcore.inference import Ensemble
from ptxcore.metrics import Agreement, averaged, tells_apart
from ptxcore.types import CaseTable, Rule

#: Pairs of networks on cases of a kind that say enough, and cases of a kind that are looked at.
LEAST_PAIRS, MOST_CASES = 10, 48


def table_of_mean(
    ensemble: Ensemble,
    table: CaseTable,
    cases: CaseStore,
    plan: FoldPlan,
    on_progress: OnProgress = no_progress,
) -> tuple[CaseTable, Agreement | None]:
    """Out-of-fold counts with the case logits that the ensemble would have given.

    They are known from the monitors: a case of a fold's monitor was trained on by neither that
    fold's network (early stopping alone looked at it) nor by that of the fold that holds it. No
    case of the hold-out is read.

    Args:
        ensemble: Networks of all folds, in order of fold.
        table: Counts of all out-of-fold cases.
        cases: Where they are.
        plan: Fold plan of the sweep.
        on_progress: Called after every case that networks are compared on.

    Returns:
        The counts, and the agreement that they rest on; the table as it is and None where its
        networks have no case head, heads that tell nothing, or too little is known.
    """
    # Where the fold itself was watched, its monitor was trained on.
    is_watched = any(settings.selection != "monitor" for _, settings in ensemble.members)
    ill = table.truth.sum(1) > 0
    # Classes would be moved apart by their own means where single heads tell nothing.
    if table.case_logits is None or is_watched or not tells_apart(table.case_logits, ill):
        return table, None
    agreement = agreement_of(ensemble, cases, plan.search, on_progress)
    for number, is_needed in ((agreement.num_ill, ill), (agreement.num_healthy, ~ill)):
        if is_needed.any() and number < LEAST_PAIRS:
            return table, None
    found = averaged(table, agreement.correlations(), len(ensemble.members))
    return (table, None) if found is None else (found, agreement)


def agreement_of(
    ensemble: Ensemble, cases: CaseStore, plan: SearchPlan, on_progress: OnProgress = no_progress
) -> Agreement:
    """How far case heads of different folds agree on cases that none of them has trained on.

    Args:
        ensemble: Networks of all folds, in order of fold, with case heads.
        cases: Where the cases are.
        plan: Folds and monitors; up to `MOST_CASES` of a kind are read.
        on_progress: Called after every case.
    """
    innocent: dict[str, list[int]] = defaultdict(list)
    for fold in range(plan.num_folds):
        for name in (*plan.held(fold), *plan.monitor(fold)):
            innocent[name].append(fold)
    alone = [replace(ensemble, members=(member,), rule=Rule()) for member in ensemble.members]
    chosen: list[str] = []
    for is_positive in (True, False):
        names = [
            name
            for name in sorted(innocent)
            if len(innocent[name]) > 1 and cases.cases[cases.index(name)].is_positive is is_positive
        ]
        chosen += names[:MOST_CASES]
    agreement = Agreement()
    for number, name in enumerate(chosen, start=1):
        index = cases.index(name)
        image, is_ill = cases.image(index), cases.cases[index].is_positive
        found = [alone[fold].predict(image).case for fold in innocent[name]]
        for first, second in combinations([one for one in found if one is not None], 2):
            agreement.add(first, second, is_ill=is_ill)
        on_progress(number, len(chosen))
    return agreement
