"""Writes a network as an .npz file, which NumPy alone reads: the arrays under the names of the checkpoint, and facts.

docs/interop.md shows how to read it.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import numpy as np

from cnncli.export.images import Images, logits_of
from cnncli.export.subject import Subject
from cnncli.npz import write_npz
from cnncli.types import FloatArray


def write(subject: Subject) -> dict[str, bytes]:
    """Return the file: `meta`, a JSON object as bytes, then each parameter and buffer under its name, float32."""
    arrays: dict[str, np.ndarray] = {
        "meta": np.frombuffer(json.dumps(subject.facts()).encode("ascii"), np.uint8)
    }
    buffer = BytesIO()
    write_npz(buffer, arrays | subject.weights())
    return {".npz": buffer.getvalue()}


def answers(path: Path, subject: Subject, images: Images) -> FloatArray:
    """Return the logits of the network with the arrays that NumPy reads from the file."""
    with np.load(path, allow_pickle=False) as file:
        return answers_with({name: file[name] for name in file.files if name != "meta"}, subject, images)


def answers_with(weights: Mapping[str, FloatArray], subject: Subject, images: Images) -> FloatArray:
    """Return the logits of a copy of the network with other weights.

    Args:
        weights: by name, from a file; they must be exactly those of the network.
        subject: what was written to the file.
        images: N of them.
    """
    network = deepcopy(subject.model.network)
    network.load_state(weights)
    return logits_of(network, subject.model.normalize, images)
