#!/usr/bin/env bash
# OpenCV scales an ASCII PGM by its maximum value, but not a binary PGM of the same picture.
#
# Versions: opencv-python-headless 5.0.0.93, Pillow 13.0.0, NumPy 2.4.6.
# Guess:    `imread` gives the same grey values for both forms (P2 and P5), white being 255. Pillow does.
# Seen:     small digit sets with 17 grey levels (0 to 16) come out of the binary form 16 times too dark:
#
#     P2 OpenCV [0, 127, 255] Pillow [0, 128, 255]
#     P5 OpenCV [0, 8, 16] Pillow [0, 128, 255]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
import cv2
import numpy as np
from PIL import Image

files = {"P2": b"P2\n3 1\n16\n0 8 16\n", "P5": b"P5\n3 1\n16\n" + bytes([0, 8, 16])}
seen = {}
for kind, content in files.items():
    with open(f"{kind}.pgm", "wb") as file:
        file.write(content)
    ours = cv2.imread(f"{kind}.pgm", cv2.IMREAD_GRAYSCALE)[0].tolist()
    theirs = np.asarray(Image.open(f"{kind}.pgm"))[0].tolist()
    print(kind, "OpenCV", ours, "Pillow", theirs)
    seen[kind] = ours, theirs
assert seen == {"P2": ([0, 127, 255], [0, 128, 255]), "P5": ([0, 8, 16], [0, 128, 255])}, "no longer so"
PYTHON
