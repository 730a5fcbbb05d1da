#!/usr/bin/env bash
# A bilevel picture whose paper was drawn with 1 is blank after Pillow saves it as a white-is-zero TIFF.
#
# Versions: Pillow 13.0.0, NumPy 2.4.6.
# Guess:    in mode "1" the colours 1 and 255 are both white, so both pictures of a stroke survive the file. They look
#           the same as arrays, and as white-is-zero (PhotometricInterpretation 0, what fax machines and scanners
#           write) Pillow inverts the picture for the file and back when it reads it.
# Seen:     the inversion for the file takes only 255 for white. Paper drawn with 1 becomes ink, and so does the ink:
#
#     paper 255: 12 pixels of ink before, 12 after
#     paper 1: 12 pixels of ink before, 100 after
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
import numpy as np
from PIL import Image

PHOTOMETRIC_INTERPRETATION = 262
seen = {}
for white in (255, 1):
    picture = Image.new("1", (10, 10), white)
    picture.paste(0, (4, 2, 6, 8))  # a stroke of 2 x 6 pixels
    before = int((~np.asarray(picture)).sum())
    picture.save("stroke.tif", tiffinfo={PHOTOMETRIC_INTERPRETATION: 0})
    after = int((~np.asarray(Image.open("stroke.tif"))).sum())
    print(f"paper {white}: {before} pixels of ink before, {after} after")
    seen[white] = before, after
assert seen == {255: (12, 12), 1: (12, 100)}, "no longer so"
PYTHON
