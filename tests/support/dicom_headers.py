"""Headers of projection radiographs as modalities write them, small, with identifiers made up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)
from tiny_dicom import write_dicom

NAME, PATIENT_ID = "Doe^Jane", "P-0042"
SHAPE = (30, 45)  # 1,350 bits, which do not end on a byte
_STUDY = {
    "PatientID": PATIENT_ID,
    "PatientName": NAME,
    "PatientBirthDate": "",
    "PatientSex": "F",
    "StudyInstanceUID": "1.2.3.1",
    "SeriesInstanceUID": "1.2.3.2",
    "StudyDate": "20200101",
    "StudyTime": "101010",
    "StudyID": "1",
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
}
KINDS: dict[str, dict[str, Any]] = {
    "dx": {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "ImagerPixelSpacing": [0.2, 0.2],
        "PatientOrientation": ["L", "F"],
    },
    "dx-calibrated": {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "ImagerPixelSpacing": [0.2, 0.2],
        "PixelSpacing": [0.15, 0.15],
    },
    "cr": {
        "SOPClassUID": ComputedRadiographyImageStorage,
        "Modality": "CR",
        "ImagerPixelSpacing": [0.2, 0.2],
    },
    "cr-without-spacing": {"SOPClassUID": ComputedRadiographyImageStorage, "Modality": "CR"},
    "sc": {"SOPClassUID": SecondaryCaptureImageStorage, "PixelSpacing": [0.168, 0.168]},
    "sc-with-nonsense": {"SOPClassUID": SecondaryCaptureImageStorage, "PixelSpacing": [0, 0]},
    # What anonymisers leave: no patient, no date, and a word for the sex that no standard has.
    "bare": {
        "SOPClassUID": SecondaryCaptureImageStorage,
        "PatientSex": "MALE",
        "remove": tuple(name for name in _STUDY if not name.endswith("UID")),
    },
}


def write_projection(folder: Path, kind: str, **elements: Any) -> Path:
    """A file of one of `KINDS`."""
    pixels = np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint16).reshape(SHAPE)
    known = {**_STUDY, **KINDS[kind]}
    removed = known.pop("remove", ())
    known = {name: value for name, value in known.items() if name not in removed}
    return write_dicom(folder / f"{kind}.dcm", pixels, uid="1.2.3.4.5", **{**known, **elements})


def dciodvfy_errors(path: Path) -> set[str]:
    """What David Clunie's validator finds wrong with an object."""
    program = Path(sys.executable).with_name("dciodvfy")
    done = subprocess.run([program, path], capture_output=True, text=True, check=False)
    return {line for line in done.stderr.splitlines() if line.startswith("Error")}
