"""Optimizers: the update of the weights by the gradient, on one flat vector, in chunks that fit into the cache.

Derivation: docs/backward-passes.md#adam.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnncli.errors import ModelError
from cnncli.nn.aligned import aligned_empty, aligned_zeros
from cnncli.nn.parameters import FlatParameters, check_arrays
from cnncli.options import build_entry, flag, real
from cnncli.types import FloatArray

CHUNK = 32_768  # elements: five float32 chunks of this size fit into a typical second-level cache

Allocate = Callable[[int, np.dtype[Any]], FloatArray]


class Optimizer(ABC):
    """Owns the state of one training run: flat vectors of the same length as the parameters, and a step count.

    A step adds 1 to `step_count`, then calls `apply(...)` on every element, in any slices and from any threads. Each
    element is updated by itself, so slices give the same bits as one call for the whole vector.

    Args:
        parameters: their values are updated, their gradients are read.
        state: the names of the state vectors.
        weight_decay: pulls weights towards zero; it does not apply to biases, gammas and betas.
    """

    def __init__(
        self, parameters: FlatParameters, state: tuple[str, ...] = (), *, weight_decay: float = 0.0
    ) -> None:
        self.parameters = parameters
        self.weight_decay = real("weight_decay", weight_decay, at_least=0)
        self.step_count = 0
        dtype = parameters.values.dtype
        self.state: dict[str, FloatArray] = {name: aligned_zeros(parameters.size, dtype) for name in state}

    def step(self, learning_rate: float) -> None:
        """Update all parameters by their gradients."""
        self.step_count += 1
        self.apply(self.parameters.values, self.parameters.grads, learning_rate)

    def apply(
        self,
        values: FloatArray,
        grads: FloatArray,
        learning_rate: float,
        start: int = 0,
        stop: int | None = None,
    ) -> None:
        """Update values[start:stop] in place.

        Args:
            values: (P,), the whole parameter vector.
            grads: (P,), the whole gradient vector. It is not changed.
            learning_rate: of this step.
            start: the first element.
            stop: one past the last element; None for the end.
        """
        stop = values.size if stop is None else stop
        size = min(CHUNK, max(stop - start, 0))
        # Scratch memory belongs to this call, because threads share self.
        a, b = aligned_empty(size, values.dtype), aligned_empty(size, values.dtype)
        for low in range(start, stop, CHUNK):
            part = slice(low, min(low + CHUNK, stop))
            n = part.stop - low
            self._update(values[part], grads[part], learning_rate, part, a[:n], b[:n])

    @abstractmethod
    def _update(
        self, p: FloatArray, g: FloatArray, learning_rate: float, part: slice, a: FloatArray, b: FloatArray
    ) -> None:
        """Update the chunk p by its gradient g. a and b are scratch of the same length; `part` is the chunk's slice."""

    def _decayed(self, p: FloatArray, g: FloatArray, part: slice, out: FloatArray) -> FloatArray:
        """Return g + weight_decay · p, written to `out`, or g itself without weight decay."""
        if self.weight_decay == 0:
            return g
        np.multiply(p, self.parameters.decay[part], out=out)
        out *= self.weight_decay
        out += g
        return out

    def move_to(self, allocate: Allocate) -> None:
        """Move the state vectors into memory that `allocate(size, dtype)` returns, for example shared memory."""
        for name, vector in self.state.items():
            moved = allocate(vector.size, vector.dtype)
            moved[...] = vector
            self.state[name] = moved

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return copies of the state vectors, and the step count as a 0-d array."""
        copies = {name: vector.copy() for name, vector in self.state.items()}
        return {**copies, "step_count": np.array(self.step_count, dtype=np.int64)}

    def load_state_dict(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Load a saved state in place.

        Raises:
            CheckpointError: arrays are missing, not expected or of another shape. Nothing is changed then.
        """
        own = {**self.state, "step_count": np.array(self.step_count)}
        check_arrays(f"optimizer {type(self).__name__}", own, arrays)
        for name, vector in self.state.items():
            vector[...] = arrays[name]
        self.step_count = int(arrays["step_count"])


class SGD(Optimizer):
    """Stochastic gradient descent with the momentum formula of PyTorch.

    g  = grad + weight_decay · p
    v  = momentum · v + g
    p -= lr · v                       (nesterov: p -= lr · (g + momentum · v))

    Args:
        parameters: the parameters to train.
        momentum: 0 for none; 0.9 is common.
        nesterov: use the gradient plus the next momentum step.
        weight_decay: L2 strength.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.
    """

    def __init__(
        self,
        parameters: FlatParameters,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.momentum = real("momentum", momentum, at_least=0, below=1)
        self.nesterov = flag("nesterov", nesterov)
        if self.nesterov and self.momentum == 0:
            raise ModelError("nesterov: needs a momentum above 0", key_path=("nesterov",))
        super().__init__(parameters, ("momentum",) if self.momentum else (), weight_decay=weight_decay)

    def _update(
        self, p: FloatArray, g: FloatArray, learning_rate: float, part: slice, a: FloatArray, b: FloatArray
    ) -> None:
        g = self._decayed(p, g, part, out=a)
        if self.momentum:
            v = self.state["momentum"][part]
            v *= self.momentum
            v += g
            if self.nesterov:
                np.multiply(v, self.momentum, out=b)
                b += g
                g = b
            else:
                g = v
        np.multiply(g, learning_rate, out=b)
        p -= b


class Adam(Optimizer):
    """Adam: the mean of recent gradients divided by the root of their mean square, both corrected for the start at 0.

    m  = beta1 · m + (1 - beta1) · g
    v  = beta2 · v + (1 - beta2) · g²
    p -= lr · (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Weight decay is L2 regularization, added to the gradient as in the paper. See AdamW for the alternative.

    Args:
        parameters: the parameters to train.
        betas: the decay of the two averages.
        eps: avoids a division by zero.
        weight_decay: L2 strength.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.
    """

    decoupled_decay = False

    def __init__(
        self,
        parameters: FlatParameters,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ModelError(f"betas: expected two numbers, found {betas!r}", key_path=("betas",))
        self.beta1 = real("betas", betas[0], at_least=0, below=1)
        self.beta2 = real("betas", betas[1], at_least=0, below=1)
        self.eps = real("eps", eps, above=0)
        super().__init__(parameters, ("first_moment", "second_moment"), weight_decay=weight_decay)

    def _update(
        self, p: FloatArray, g: FloatArray, learning_rate: float, part: slice, a: FloatArray, b: FloatArray
    ) -> None:
        if not self.decoupled_decay:
            g = self._decayed(p, g, part, out=a)
        elif self.weight_decay:
            np.multiply(p, self.parameters.decay[part], out=a)
            a *= learning_rate * self.weight_decay
            p -= a
        m, v = self.state["first_moment"][part], self.state["second_moment"][part]
        m *= self.beta1
        np.multiply(g, 1 - self.beta1, out=b)
        m += b
        v *= self.beta2
        np.multiply(g, g, out=b)
        b *= 1 - self.beta2
        v += b
        # sqrt(v / c2) + eps = (sqrt(v) + eps · sqrt(c2)) / sqrt(c2): a scalar factor instead of one more pass.
        c1, c2 = 1 - self.beta1**self.step_count, 1 - self.beta2**self.step_count
        np.sqrt(v, out=b)
        b += self.eps * c2**0.5
        np.divide(m, b, out=b)
        b *= learning_rate * c2**0.5 / c1
        p -= b


class AdamW(Adam):
    """Adam with decoupled weight decay: p *= 1 - lr · weight_decay before the step, not part of the averages.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """

    decoupled_decay = True

    def __init__(
        self,
        parameters: FlatParameters,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, betas=betas, eps=eps, weight_decay=weight_decay)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def make_optimizer(name: str, options: Mapping[str, Any], parameters: FlatParameters) -> Optimizer:
    """Build an optimizer by its name in a config.

    Args:
        name: "sgd", "adam", "adamw".
        options: its keyword arguments. The learning rate is not one of them: it is an argument of each step.
        parameters: the parameters to train.

    Raises:
        ModelError: the name, an option or a value is not valid. The key path is (option,).
    """
    return build_entry(OPTIMIZERS, "optimizer", name, options, parameters)
