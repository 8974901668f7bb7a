"""A DICOM file for the model's input example: drawn, small, of nobody."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

#: SOP class of digital X-ray images for presentation.
_DX_STORAGE = UID("1.2.840.10008.5.1.4.1.1.1.1")
_INSTANCE = UID("2.25.1")
SIDE_PX = 64


def input_example(side_px: int = SIDE_PX) -> pd.DataFrame:
    """One row with one DICOM file: two dark lungs on bright tissue.

    Args:
        side_px: Height and width.
    """
    rows, columns = np.mgrid[:side_px, :side_px] / side_px
    # Shades: a picture of two grey values shows nothing.
    pixels = (170 + 60 * rows).astype(np.uint8)
    for centre in (0.3, 0.7):
        lung = ((columns - centre) / 0.16) ** 2 + ((rows - 0.5) / 0.32) ** 2 <= 1
        pixels[lung] -= np.uint8(120)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = _DX_STORAGE
    dataset.file_meta.MediaStorageSOPInstanceUID = _INSTANCE
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = _DX_STORAGE, _INSTANCE
    dataset.Modality, dataset.ImageComments = "DX", "PHANTOM"
    dataset.Rows = dataset.Columns = side_px
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = pixels.tobytes()
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return pd.DataFrame({"dicom": [file.getvalue()]})
