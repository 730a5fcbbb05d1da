"""Batches of random images; a worker that is a process of its own imports this file, so it imports little."""

import numpy as np

from tests.engine.oracle import batch


class Numbered:
    """Batches in which every image is a function of (epoch, step, position), as `BatchSource` requires."""

    def __init__(self, shape, classes=10, batch_size=8, sizes=(8, 8, 5)):
        self.labels = np.arange(64) % classes
        self.input_shape, self.batch_size, self.sizes = shape, batch_size, sizes
        self.parts = []

    def size(self, step):
        return self.sizes[step] if step < len(self.sizes) else 0

    def whole(self, epoch, step):
        return batch(self.input_shape, self.sizes[step], int(self.labels.max()) + 1, seed=10 * epoch + step)

    has_targets = False

    def write(self, epoch, step, part, x, y, targets=None):
        self.parts.append(part)
        x[...], y[...] = (array[part] for array in self.whole(epoch, step))
