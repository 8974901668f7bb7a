#!/usr/bin/env bash
# pydicom 3.0.2, pydicom.pixels.apply_windowing: behind a rescale with a negative slope the picture is turned round. The
# ends of the output are the rescaled ends of the stored values, taken in the order of the stored values, so that black
# is the greater of the two; PS3.3 C.11.2.1.2.1 has ymin, the least, for values below the window.
# Seen: slope -1 and intercept 4095, window over the whole range: the greatest input gives the least output.
# Here: the DICOM reader applies windows itself (test_a_negative_slope_does_not_turn_the_window_round).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_windowing

print("pydicom", pydicom.__version__, "numpy", np.__version__)
image = Dataset()
image.PhotometricInterpretation, image.BitsStored, image.PixelRepresentation = "MONOCHROME2", 12, 0
image.WindowCenter, image.WindowWidth = 2048, 4096
found = {}
for slope, intercept in ((1, 0), (-1, 4095)):
    image.RescaleSlope, image.RescaleIntercept = slope, intercept
    values = apply_modality_lut(np.arange(4096, dtype=np.uint16), image)
    shown = apply_windowing(values, image)
    found[slope] = "rises" if shown[values.argmax()] > shown[values.argmin()] else "falls"
print("output with rising input, by slope:", found)
assert found == {1: "rises", -1: "falls"}, "expected 'rises' for 1 and 'falls' for -1"
PY
