"""Random streams named by their place, so that a resumed run draws exactly what the uninterrupted one drew.

Nothing here has state that would have to be saved: the generator for the shuffle of epoch 3, or for the dropout
of step 17, is a pure function of the seed and of that place.
"""

from zlib import crc32

import numpy as np


def stream(seed: int, purpose: str, *place: int) -> np.random.Generator:
    """Return the generator for one purpose at one place.

    Args:
        seed: the run's seed, not negative.
        purpose: what is drawn: "init", "split", "shuffle", "augment", "dropout", ...
        place: where in the run: usually epoch and step, each not negative.

    Example:
        >>> bool(stream(42, "shuffle", 3).random() == stream(42, "shuffle", 3).random())
        True
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(crc32(purpose.encode()), *place))
    return np.random.Generator(np.random.SFC64(sequence))
