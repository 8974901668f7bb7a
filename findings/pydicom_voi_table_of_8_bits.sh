#!/usr/bin/env bash
# pydicom 3.0.2, pydicom.pixels.apply_voi_lut: a VOI table whose entries have 8 bits is looked up with an index of 8
# bits, so an input above 255 gets the entry of itself modulo 256, without a word: a ramp becomes a saw. Entries of 10,
# 12 and 16 bits are right.
# Seen: 3,840 of 4,096 inputs wrong with entries of 8 bits, none with 10, 12, 16.
# Here: the DICOM reader looks tables up itself, with wide indices (tests of VOI tables in tests/ptxcore).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.pixels import apply_voi_lut

print("pydicom", pydicom.__version__, "numpy", np.__version__)
expected = {8: 3840, 10: 0, 12: 0, 16: 0}
found = {}
for bits in expected:
    table = np.arange(4096) * (2**bits - 1) // 4095
    item = Dataset()
    item.LUTDescriptor = [4096, 0, bits]
    item.LUTData = table.tolist()
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    image = Dataset()
    image.VOILUTSequence, image.PixelRepresentation, image.BitsStored = [item], 0, 12
    ramp = np.arange(4096, dtype=np.uint16)
    found[bits] = int(np.count_nonzero(apply_voi_lut(ramp, image) != table))
print("wrong of 4096 inputs, by bits of an entry:", found)
assert found == expected, f"expected {expected}"
PY
