#!/usr/bin/env bash
# Pillow's BOX filter leaves out whole columns at some sizes, so a thin stroke can vanish.
#
# Versions: Pillow 13.0.0, OpenCV 5.0.0.93 (its INTER_AREA for comparison), NumPy 2.4.6.
# Guess:    BOX averages areas, so a stroke one pixel wide keeps its ink wherever it stands. Pillow's documentation says
#           that each pixel goes into one pixel of the result.
# Seen:     from 38 to 28 pixels a white stroke in column 9 leaves nothing behind, while its neighbours keep all of their
#           white. A pixel whose centre lies on the border of two result pixels can end up in neither. 58 of the sizes
#           from 28 to 400 lose a column on the way to 28 pixels, 106 of those from 20 to 400 on the way to 20 pixels,
#           the size in which MNIST fits its digits. The brightest value that is left:
#
#     column  8: BOX 255, area 161
#     column  9: BOX   0, area  94
#     column 10: BOX 255, area 161
#     sizes that lose columns: 58 of 373 to 28 pixels, 106 of 381 to 20 pixels
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
import cv2
import numpy as np
from PIL import Image


def box(picture, width, height):
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


seen = {}
for column in (8, 9, 10):
    picture = np.zeros((38, 38), np.uint8)
    picture[:, column] = 255
    area = cv2.resize(picture, (28, 28), interpolation=cv2.INTER_AREA)
    seen[column] = int(box(picture, 28, 28).max()), int(area.max())
    print(f"column {column:2}: BOX {seen[column][0]:3}, area {seen[column][1]:3}")


def loses(size, target):
    """Tell whether a column of a picture of that size has no weight in any column of the result."""
    strokes = np.eye(size, dtype=np.float32)  # row n has a stroke in column n
    return bool((box(strokes, target, size).sum(axis=1) == 0).any())


losing = [sum(loses(size, target) for size in range(target, 401)) for target in (28, 20)]
print(f"sizes that lose columns: {losing[0]} of 373 to 28 pixels, {losing[1]} of 381 to 20 pixels")
assert seen[9][0] == 0 < seen[9][1] and seen[8][0] == seen[10][0] == 255, "no longer so"
assert losing == [58, 106], "no longer so"
PYTHON
