"""Where weights start, so that signals neither fade nor explode through the depth; biases start at zero.

Numbers are drawn in float32 whatever the network's dtype, so that a float64 network starts from the very
weights of its float32 twin and the two can be compared.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cnncli.types import FloatArray, Shape


def he_normal(
    shape: Shape, fan_in: int, fan_out: int, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32
) -> FloatArray:
    """Draw from a normal distribution with std = sqrt(2 / fan_in): right before a ReLU.

    Args:
        shape: of the weight.
        fan_in: how many inputs each output sums over: C·KH·KW for a convolution.
        fan_out: not looked at; here so that all initializers are called alike.
        rng: where the numbers come from.
        dtype: of the result.

    Source: He et al., Delving Deep into Rectifiers (2015), section 2.2.
    """
    weight = rng.standard_normal(shape, dtype=np.float32)
    weight *= np.sqrt(2.0 / fan_in)
    return weight.astype(dtype, copy=False)


def glorot_uniform(
    shape: Shape, fan_in: int, fan_out: int, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32
) -> FloatArray:
    """Draw uniformly from ±sqrt(6 / (fan_in + fan_out)): right before a tanh or a sigmoid.

    Args:
        shape: of the weight.
        fan_in: how many inputs each output sums over: C·KH·KW for a convolution.
        fan_out: how many outputs each input goes into: F·KH·KW for a convolution.
        rng: where the numbers come from.
        dtype: of the result.

    Source: Glorot and Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks
    (2010), equation 16.
    """
    limit = np.sqrt(6.0 / (fan_in + fan_out))
    weight = rng.random(shape, dtype=np.float32)  # in [0, 1)
    weight *= 2 * limit
    weight -= limit
    return weight.astype(dtype, copy=False)


Initializer = Callable[[Shape, int, int, np.random.Generator, npt.DTypeLike], FloatArray]

INITIALIZERS: dict[str, Initializer] = {"he": he_normal, "glorot": glorot_uniform}
