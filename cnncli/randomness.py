"""Random generators that are a function of the seed, a purpose and counters such as epoch and step.

A resumed run therefore draws the same numbers as an uninterrupted one, and no generator state is saved: the generator
for the shuffle of epoch 3 depends on nothing but the seed, "shuffle" and 3.
"""

from zlib import crc32

import numpy as np


def stream(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """Return the generator for one purpose at one point of a run.

    Args:
        seed: the run's seed, not negative.
        purpose: what is drawn: "init", "split", "shuffle", "augment", "dropout", ...
        counters: usually epoch and step, not negative.

    Example:
        >>> bool(stream(42, "shuffle", 3).random() == stream(42, "shuffle", 3).random())
        True
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(crc32(purpose.encode()), *counters))
    return np.random.Generator(np.random.SFC64(sequence))
