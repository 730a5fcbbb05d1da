"""Initial weights, scaled so that activations neither vanish nor explode in a deep network.

Biases start at zero, except with `uniform`.

The weights are drawn in float32 for every dtype of the network, so that a float64 network starts from the same
weights as a float32 network and the two can be compared.

Derivation: docs/backward-passes.md#he-initialization.
"""

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np
import numpy.typing as npt

from cnncli.nn.parameters import Parameter
from cnncli.options import choice, flag
from cnncli.types import FloatArray, Shape


def he_normal(
    shape: Shape, fan_in: int, fan_out: int, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32
) -> FloatArray:
    """Draw from a normal distribution with standard deviation sqrt(2 / fan_in), which suits a ReLU.

    Args:
        shape: of the weight.
        fan_in: the number of inputs that each output sums over: C·KH·KW for a convolution.
        fan_out: not used; all initializers have the same signature.
        rng: the generator.
        dtype: of the result.

    Source: He et al., Delving Deep into Rectifiers (2015), section 2.2.
    """
    weight = rng.standard_normal(shape, dtype=np.float32)
    weight *= np.sqrt(2.0 / fan_in)
    return weight.astype(dtype, copy=False)


def glorot_uniform(
    shape: Shape, fan_in: int, fan_out: int, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32
) -> FloatArray:
    """Draw uniformly from ±sqrt(6 / (fan_in + fan_out)), which suits a tanh or a sigmoid.

    Args:
        shape: of the weight.
        fan_in: the number of inputs that each output sums over: C·KH·KW for a convolution.
        fan_out: the number of outputs that each input contributes to: F·KH·KW for a convolution.
        rng: the generator.
        dtype: of the result.

    Source: Glorot and Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks
    (2010), equation 16.
    """
    limit = np.sqrt(6.0 / (fan_in + fan_out))
    weight = rng.random(shape, dtype=np.float32)  # in [0, 1)
    weight *= 2 * limit
    weight -= limit
    return weight.astype(dtype, copy=False)


def fan_in_uniform(
    shape: Shape, fan_in: int, fan_out: int, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32
) -> FloatArray:
    """Draw uniformly from ±1 / sqrt(fan_in): 0.41 of the standard deviation of `he_normal`.

    Args:
        shape: of the weight or of the bias.
        fan_in: the number of inputs that each output sums over: C·KH·KW for a convolution.
        fan_out: not used; all initializers have the same signature.
        rng: the generator.
        dtype: of the result.

    Source: the range is that of the Linear and Conv2d of PyTorch, for weights and biases.
    """
    limit = 1 / np.sqrt(fan_in)
    weight = rng.random(shape, dtype=np.float32)  # in [0, 1)
    weight *= 2 * limit
    weight -= limit
    return weight.astype(dtype, copy=False)


Initializer = Callable[[Shape, int, int, np.random.Generator, npt.DTypeLike], FloatArray]

INITIALIZERS: dict[str, Initializer] = {
    "he": he_normal,
    "glorot": glorot_uniform,
    "uniform": fan_in_uniform,
}


def weight_and_bias(
    shape: Shape,
    init: str,
    bias: bool,
    rng: np.random.Generator | None,
    dtype: npt.DTypeLike,
    groups: int = 1,
) -> dict[str, Parameter]:
    """Return the parameters of a convolution or a linear layer: the weight, and the bias if there is one.

    Args:
        shape: of the weight: outputs, inputs, then the size of the kernel, if any.
        init: a name of INITIALIZERS.
        bias: whether each output has a bias.
        rng: the generator for the initial weights; None for a fresh one.
        dtype: of the parameters.
        groups: each input contributes to this fraction of the outputs.

    Raises:
        ModelError: `init` or `bias` is not valid.
    """
    draw_weight = INITIALIZERS[choice("init", init, tuple(INITIALIZERS))]
    outputs, inputs, *kernel = shape
    fan_in, fan_out = inputs * prod(kernel), outputs // groups * prod(kernel)
    # a generator of its own: the weights do not depend on the order in which layers are first used
    (own_rng,) = (rng or np.random.default_rng()).spawn(1)
    weight = Parameter.drawn(shape, dtype, partial(draw_weight, shape, fan_in, fan_out, own_rng, dtype))
    if not flag("bias", bias):
        return {"weight": weight}
    if draw_weight is fan_in_uniform:
        (bias_rng,) = own_rng.spawn(1)
        draw_bias = partial(fan_in_uniform, (outputs,), fan_in, fan_out, bias_rng, dtype)
    else:
        draw_bias = partial(np.zeros, outputs, dtype)
    return {"weight": weight, "bias": Parameter.drawn((outputs,), dtype, draw_bias, decay=False)}
