"""Other names for studies of a ledger: all of them change, or none."""

from __future__ import annotations

import json
from collections.abc import Mapping

import sqlalchemy
from optuna.storages import RDBStorage

from sweep.errors import NameTaken
from sweep.ledger.catalog import HEADER_KEY, read_header
from sweep.ledger.compat import STUDIES, STUDY_ATTRIBUTES
from sweep.ledger.connection import read_attribute
from sweep.ledger.header import SweepHeader


def study_of(storage: RDBStorage, name: str) -> int | None:
    """Optuna's id of a study, None where there is none of that name."""
    try:
        return storage.get_study_id_from_name(name)
    except KeyError:
        return None


def header_of(storage: RDBStorage, study_id: int) -> SweepHeader | None:
    """What was fixed when a sweep was created; None of another study."""
    text = read_attribute(storage, study_id, HEADER_KEY)
    return None if text is None else read_header(text)


def rename_studies(
    storage: RDBStorage, names: Mapping[int, str], headers: Mapping[int, SweepHeader]
) -> None:
    """Give studies other names, and sweeps among them another header, in one transaction.

    Args:
        storage: Where they are.
        names: New name of each, by Optuna's id.
        headers: New header of sweeps, likewise.

    Raises:
        NameTaken: There is a study of such a name; nothing has changed.
    """
    try:
        with storage.engine.begin() as connection:
            for study, name in names.items():
                connection.execute(
                    sqlalchemy.update(STUDIES)
                    .where(STUDIES.c.study_id == study)
                    .values(study_name=name)
                )
            for study, header in headers.items():
                text = json.dumps(header.to_stored(), sort_keys=True)
                connection.execute(
                    sqlalchemy.update(STUDY_ATTRIBUTES)
                    .where(
                        STUDY_ATTRIBUTES.c.study_id == study, STUDY_ATTRIBUTES.c.key == HEADER_KEY
                    )
                    .values(value_json=text)
                )
    except sqlalchemy.exc.IntegrityError as error:
        raise NameTaken(
            f"a study of the ledger has one of the names {', '.join(names.values())}"
        ) from error
