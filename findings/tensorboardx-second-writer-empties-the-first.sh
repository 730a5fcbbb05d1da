#!/usr/bin/env bash
# tensorboardX gives two writers of one folder the same file if they start in the same second, and the first one's values
# are gone.
#
# Versions: tensorboardX 2.6.5, TensorBoard 2.21.0 (which reads the folder).
# Guess:    every writer makes an event file of its own, as TensorBoard's own writer does with the process and a counter
#           in its name, so a run that stops and is resumed at once keeps all its points.
# Seen:     the name is the second of the start and the name of the host. The second writer opens it for writing anew.
#
#     same second:    files 1, steps [2]
#     another suffix: files 2, steps [1, 2]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  tensorboardX==2.6.5 tensorboard==2.21.0 setuptools==80.9.0
cd "$work"
venv/bin/python - 2> /dev/null <<'PYTHON'
import os
import time

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter


def log(folder, suffixes):
    # both writers start within one second
    time.sleep(1 - time.time() % 1)
    for step, suffix in enumerate(suffixes, start=1):
        with SummaryWriter(folder, filename_suffix=suffix) as writer:
            writer.add_scalar("loss", 1.0 / step, step)
    events = EventAccumulator(folder)
    events.Reload()
    return len(os.listdir(folder)), [event.step for event in events.Scalars("loss")]


same = log("same", ["", ""])
print(f"same second:    files {same[0]}, steps {same[1]}")
apart = log("apart", ["", ".1"])
print(f"another suffix: files {apart[0]}, steps {sorted(apart[1])}")
assert same == (1, [2]), "no longer so"
assert (apart[0], sorted(apart[1])) == (2, [1, 2]), "no longer so"
PYTHON
