"""What we borrow of Optuna's private parts, all of it: its tables, and two ids.

Optuna promises none of this, so pyproject.toml ends below its next minor release, and
`tests/sweep/ledger/test_compat.py` says what is gone when that bound is raised.
"""

from __future__ import annotations

from typing import Any

from optuna.storages._rdb import models
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial

__all__ = [
    "PARAMETERS",
    "STUDIES",
    "STUDY_ATTRIBUTES",
    "TRIALS",
    "TRIAL_ATTRIBUTES",
    "EpochValueRow",
    "FinalValueRow",
    "FrozenStudy",
    "study_id",
    "trial_id",
]

# Typed as anything: a mapped class has its table where the types have a mere "selectable".
STUDIES: Any = models.StudyModel.__table__
TRIALS: Any = models.TrialModel.__table__
PARAMETERS: Any = models.TrialParamModel.__table__
STUDY_ATTRIBUTES: Any = models.StudyUserAttributeModel.__table__
TRIAL_ATTRIBUTES: Any = models.TrialUserAttributeModel.__table__
#: Their tables, and how they store NaN and infinities: `intermediate_value_to_stored_repr`
#: and `value_to_stored_repr`.
EpochValueRow: Any = models.TrialIntermediateValueModel
FinalValueRow: Any = models.TrialValueModel


def trial_id(trial: FrozenTrial) -> int:
    """The id by which a storage knows a trial; its number counts within its study alone."""
    return trial._trial_id


def study_id(study: FrozenStudy) -> int:
    """The id by which a storage knows a study."""
    return study._study_id
