#!/usr/bin/env bash
# scikit-learn reads its own LIBSVM file of digits with every picture moved by one pixel.
#
# Versions: scikit-learn 1.9.1, SciPy 1.17.1, NumPy 2.4.6.
# Guess:    what dump_svmlight_file writes, load_svmlight_file reads back, both with their defaults.
# Seen:     the writer counts features from 0 and leaves out zeros. The reader takes a file without a feature 0 for one
#           that counts from 1. The first pixel of a digit is never inked, so this is always the case: each pixel moves
#           one place to the left, and the last place disappears. With n_features=64 the shape looks right, the
#           pictures do not. Only zero_based=True reads them as they were.
#
#     defaults: (1797, 63)
#     n_features=64: (1797, 64), pictures equal False, moved by one True
#     n_features=64, zero_based=True: (1797, 64), pictures equal True, moved by one False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
from sklearn.datasets import dump_svmlight_file, load_digits, load_svmlight_file

digits = load_digits()
dump_svmlight_file(digits.data, digits.target, "digits.svm")
shape = load_svmlight_file("digits.svm")[0].shape
print("defaults:", shape)
assert shape == (1797, 63), "no longer so"
for told, equal in (({}, False), ({"zero_based": True}, True)):
    pixels = load_svmlight_file("digits.svm", n_features=64, **told)[0].toarray()
    same = bool((pixels == digits.data).all())
    moved = bool((pixels[:, :63] == digits.data[:, 1:]).all())
    options = ", ".join(["n_features=64", *(f"{name}={value}" for name, value in told.items())])
    print(f"{options}: {pixels.shape}, pictures equal {same}, moved by one {moved}")
    assert (same, moved) == (equal, not equal), "no longer so"
PYTHON
