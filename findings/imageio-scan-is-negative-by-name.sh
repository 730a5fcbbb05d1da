#!/usr/bin/env bash
# imageio reads a white-is-zero scan as its negative by its file name, and as it is from the same bytes.
#
# Versions: imageio 2.38.1 (also with tifffile 2026.3.3 beside it), Pillow 13.0.0, NumPy 2.4.6.
# Guess:    the same file gives the same array, whether `imread` gets its name or its content. The TIFF tag
#           PhotometricInterpretation says whether 0 is white, as fax machines and scanners write it, or black.
# Seen:     a name that ends in .tif leads to the tifffile reader, which returns the numbers in the file and ignores the
#           tag. Bytes have no name, so Pillow reads them, which applies the tag. A program that takes uploads and
#           files sees ink dark in one and bright in the other:
#
#     by name: paper 0, ink 255
#     from bytes: paper 255, ink 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  imageio==2.38.1 pillow==13.0.0 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from PIL import Image

PHOTOMETRIC_INTERPRETATION = 262
scan = np.full((12, 12), 255, np.uint8)
scan[2:10, 5:7] = 0  # a dark stroke on white paper
Image.fromarray(scan).save("scan.tif", tiffinfo={PHOTOMETRIC_INTERPRETATION: 0})
seen = []
for way, source in (("by name", "scan.tif"), ("from bytes", Path("scan.tif").read_bytes())):
    found = iio.imread(source)
    print(f"{way}: paper {found[0, 0]}, ink {found[5, 5]}")
    seen.append((int(found[0, 0]), int(found[5, 5])))
assert seen == [(0, 255), (255, 0)], "no longer so"
PYTHON
