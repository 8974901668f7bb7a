"""What MLflow, its server, its database or its folder may raise: what passes, and what does not."""

from __future__ import annotations

from alembic.util.exc import CommandError
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

#: All that a store that cannot be used raises.
OUTAGES = (MlflowException, SQLAlchemyError, OSError, ImportError, CommandError)
#: What MLflow answers to what it will not do another time either.
_CODES = frozenset(
    (
        *("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND"),
        *("PERMISSION_DENIED", "UNAUTHENTICATED", "FEATURE_DISABLED", "INVALID_STATE"),
    )
)
_LASTING = (ImportError, CommandError, FileNotFoundError, PermissionError, NotADirectoryError)
#: What databases say of files that are none of MLflow's, or that may not be written.
_SAID = ("file is not a database", "no such table", "no such column", "readonly database")


def lasts(error: BaseException) -> bool:
    """Whether another try fails as well, until a person mends something.

    Args:
        error: One of `OUTAGES`.
    """
    if isinstance(error, _LASTING) or getattr(error, "error_code", None) in _CODES:
        return True
    return any(words in str(error) for words in _SAID)
