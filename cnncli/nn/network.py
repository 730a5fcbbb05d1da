"""A network: layers one after the other, and their parameters as one vector."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cnncli.errors import CheckpointError, ModelError
from cnncli.types import FloatArray, IntArray, Shape

from .layers import Layer
from .losses import cross_entropy, softmax
from .parameters import FlatParameters, Parameter


class Network:
    """Layers one after the other.

    Args:
        layers: from the input to the logits; each object once.
        input_shape: of one sample: (C, H, W) or (features,).
        dtype: of a network without parameters; others have that of their parameters.

    Attributes:
        names: kind and running number of each layer: conv1, relu1, maxpool1, conv2, ...
        shapes: the output shape of each layer, for one sample.
        parameters: all parameters, under names such as "conv1.weight", as views into one vector.
        buffers: what is not learnt but belongs to the network, such as "batchnorm1.running_mean".

    Raises:
        ModelError: when a layer cannot take what the one before it gives.

    Example:
        >>> from cnncli.nn.layers import Flatten, Linear
        >>> Network([Flatten(), Linear(784, 100)], (1, 28, 28)).get_num_parameters()
        78500
    """

    def __init__(
        self, layers: Sequence[Layer], input_shape: Shape, dtype: npt.DTypeLike | None = None
    ) -> None:
        if len({id(layer) for layer in layers}) < len(layers):
            raise ModelError("a layer object is in the list twice; each layer needs its own")
        self.layers = tuple(layers)
        self.names = layer_names([layer.kind for layer in layers])
        self.input_shape: Shape = tuple(input_shape)
        self.shapes: list[Shape] = []
        shape = self.input_shape
        for index, (name, layer) in enumerate(zip(self.names, self.layers, strict=True)):
            try:
                shape = layer.output_shape(shape)
            except ModelError as error:
                raise located(error, index, name) from None
            self.shapes.append(shape)
        self.output_shape: Shape = shape
        named: dict[str, Parameter] = {}
        self.buffers: dict[str, FloatArray] = {}
        for name, layer in zip(self.names, self.layers, strict=True):
            named |= {f"{name}.{key}": parameter for key, parameter in layer.parameters.items()}
            self.buffers |= {f"{name}.{key}": buffer for key, buffer in layer.buffers.items()}
        self.parameters = FlatParameters(named, dtype)
        self.dtype = self.parameters.dtype

    def forward(
        self,
        x: FloatArray,
        *,
        training: bool = False,
        rng: np.random.Generator | None = None,
        keep: bool = False,
    ) -> FloatArray:
        """Return the logits (N, *output_shape) of x (N, *input_shape).

        Args:
            x: a batch; brought to the network's dtype.
            training: behave as in training, and keep what `backward` needs.
            rng: where dropout draws from.
            keep: keep what `backward` needs in evaluation too.
        """
        x = np.asarray(x, self.dtype)
        if x.shape[1:] != self.input_shape:
            raise ModelError(f"the network takes samples of shape {self.input_shape}, not {x.shape[1:]}")
        with np.errstate(over="ignore", invalid="ignore"):  # a diverging loss is reported once, by its reader
            for layer in self.layers:
                x = layer.forward(x, training=training, rng=rng, keep=keep)
        return x

    def backward(self, dlogits: FloatArray) -> FloatArray:
        """Write the gradient of every parameter and return that of the input.

        Args:
            dlogits: (N, *output_shape).

        Returns:
            (N, *input_shape).
        """
        with np.errstate(over="ignore", invalid="ignore"):
            for layer in reversed(self.layers):
                dlogits = layer.backward(dlogits)
        return dlogits

    def loss_and_gradients(
        self,
        x: FloatArray,
        labels: IntArray,
        *,
        rng: np.random.Generator | None = None,
        label_smoothing: float = 0.0,
    ) -> tuple[float, FloatArray]:
        """Return the mean loss of a batch and its logits; the gradients are left in `parameters.grads`.

        Args:
            x: (N, *input_shape).
            labels: (N,), from 0 to K − 1.
            rng: where dropout draws from.
            label_smoothing: see `cross_entropy`.
        """
        logits = self.forward(x, training=True, rng=rng)
        loss, dlogits = cross_entropy(logits, labels, label_smoothing)
        self.backward(dlogits)
        return loss, logits

    def predict(self, x: FloatArray) -> FloatArray:
        """Return the probabilities (N, K) of x (N, *input_shape)."""
        return softmax(self.forward(x))

    def get_num_parameters(self) -> int:
        """Return how many numbers the network learns."""
        return self.parameters.size

    def state(self) -> dict[str, FloatArray]:
        """Return copies of all parameters, then of all buffers, by name."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state(self, state: Mapping[str, FloatArray]) -> None:
        """Copy a state into this network, all of it or nothing.

        Raises:
            CheckpointError: when names are missing, unknown or have another shape, each said in a sentence.
        """
        own = self._arrays()
        missing = [name for name in own if name not in state]
        extra = [name for name in state if name not in own]
        misshapen = [
            f"{name} {np.shape(state[name])} instead of {array.shape}"
            for name, array in own.items()
            if name in state and np.shape(state[name]) != array.shape
        ]
        not_numbers = [
            f"{name} ({np.asarray(state[name]).dtype})"
            for name in own
            if name in state and not np.can_cast(np.asarray(state[name]).dtype, self.dtype, "same_kind")
        ]
        complaints = [
            f"{what}: {', '.join(found)}."
            for what, found in (
                ("Missing", missing),
                ("Not in this network", extra),
                ("Of another shape", misshapen),
                ("Not numbers", not_numbers),
            )
            if found
        ]
        if complaints:
            raise CheckpointError(
                "the saved arrays do not fit the network. " + " ".join(complaints),
                "use the config the checkpoint was trained with",
            )
        for name, array in own.items():
            array[...] = state[name]

    def spec(self) -> list[dict[str, dict[str, object]]]:
        """Return the layer list as a config says it: one {kind: options} for each layer."""
        return [{layer.kind: layer.options()} for layer in self.layers]

    def _arrays(self) -> dict[str, FloatArray]:
        return {name: p.value for name, p in self.parameters.named.items()} | self.buffers


def layer_names(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return kind and running number within the kind: conv1, relu1, conv2, ..."""
    seen: Counter[str] = Counter()
    names = []
    for kind in kinds:
        seen[kind] += 1
        names.append(f"{kind}{seen[kind]}")
    return tuple(names)


def located(error: ModelError, index: int, name: str) -> ModelError:
    """Return the error with the layer in front of its message: "layer 4 (maxpool2): ...", counted from 1."""
    place = error.place if error.place[:1] == (index,) else (index, *error.place)
    return ModelError(f"layer {index + 1} ({name}): {error.message}", error.hint, place)
