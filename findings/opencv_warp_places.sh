#!/usr/bin/env bash
# OpenCV 4.12 rounds the place that a warp reads from to 1/32 of a pixel, OpenCV 5.0 interpolates at the exact place.
# So the same Albumentations 2.0.8 seed gives other pixels under the two, while Albumentations itself allows both.
# Seen: a shift by 0.51 px of a ramp of 32 grey levels a pixel gives a rest of 16.0 (4.12: 16/32 px) and 16.32 (5.0).
# Here: OpenCV's version stands in a sweep's header, hosts that differ are refused, a resume under another one says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/shift.py" <<'PY'
import cv2
import numpy as np

ramp = np.tile(np.arange(64, dtype=np.float32) * 32, (8, 1))
shift = np.float32([[1, 0, 0.51], [0, 1, 0]])
moved = cv2.warpAffine(ramp, shift, (64, 8), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
print(cv2.__version__, f"{float(moved[4, 30] - ramp[4, 30]):.2f}")
PY
for version in 4.12.0.88 5.0.0.93; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet "opencv-python-headless==$version"
  "$folder/$version/bin/python" "$folder/shift.py"
done | tee "$folder/found"
diff "$folder/found" - <<'END'
4.12.0 16.00
5.0.0 16.32
END
