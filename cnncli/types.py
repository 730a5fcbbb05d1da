"""The array types used in signatures. Every module may import this one."""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
"""float32 by default, float64 where a test needs it."""

IntArray = npt.NDArray[np.integer[Any]]
ByteArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]

MeanStd = tuple[float, float]
"""What images are normalized by: their mean and standard deviation, for pixels in 0..1."""

Shape = tuple[int, ...]
"""The shape of one sample, without the batch axis: (C, H, W) or (features,)."""

OF_NO_CLASS = -1
"""The label of a training image that belongs to no class: the network learns to be unsure of it."""
