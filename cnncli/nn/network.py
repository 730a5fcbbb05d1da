"""A network: a sequence of layers, with all their parameters in one vector."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cnncli.errors import ModelError
from cnncli.options import inside
from cnncli.types import FloatArray, IntArray, Shape

from .layers import Layer, Mode, Placed
from .layers.sequence import layer_names
from .losses import cross_entropy, softmax
from .parameters import FlatParameters, Parameter, check_arrays


class Network:
    """A sequence of layers.

    Args:
        layers: from the input to the logits. An object must not appear twice.
        input_shape: of one sample: (C, H, W) or (features,).
        dtype: of a network without parameters. Otherwise the dtype is that of the parameters.

    Attributes:
        names: kind and running number of each layer: conv1, relu1, maxpool1, conv2, ...
        shapes: the output shape of each layer, for one sample.
        parameters: all parameters, under names such as "conv1.weight", as views into one vector.
        buffers: arrays that are not learned, under names such as "batchnorm1.running_mean".

    Raises:
        ModelError: a layer does not accept the output shape of the layer before it.

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
            with inside(f"layer {index + 1} ({name})", index):
                shape = layer.output_shape(shape)
            self.shapes.append(shape)
        self.output_shape: Shape = shape
        named: dict[str, Parameter] = {}
        self.buffers: dict[str, FloatArray] = {}
        for name, layer in zip(self.names, self.layers, strict=True):
            named |= {f"{name}.{key}": parameter for key, parameter in layer.parameters.items()}
            self.buffers |= {f"{name}.{key}": buffer for key, buffer in layer.buffers.items()}
        self.parameters = FlatParameters(named, dtype)
        self.dtype = self.parameters.dtype

    def walk(self) -> Iterator[Placed]:
        """Yield every layer with its name and shapes. Those inside of a block follow it."""
        shape = self.input_shape
        for name, layer, output_shape in zip(self.names, self.layers, self.shapes, strict=True):
            yield Placed(name, layer, shape, output_shape)
            for part in layer.parts:
                yield part._replace(name=f"{name}.{part.name}")
            shape = output_shape

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
            x: a batch. It is converted to the network's dtype.
            training: run dropout and batch normalization as in training, and keep what `backward` needs.
            rng: the generator of dropout.
            keep: keep what `backward` needs, also outside training.
        """
        mode = Mode(training, rng, keep)
        x = np.asarray(x, self.dtype)
        if x.shape[1:] != self.input_shape:
            raise ModelError(f"the network takes samples of shape {self.input_shape}, not {x.shape[1:]}")
        with np.errstate(over="ignore", invalid="ignore"):  # the caller reports a loss that is not finite
            for layer in self.layers:
                x = layer.forward(x, mode)
        return x

    def backward(self, dlogits: FloatArray) -> FloatArray:
        """Write the gradient of every parameter and return that of the input.

        Args:
            dlogits: (N, *output_shape).

        Returns:
            dx, (N, *input_shape).
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
        targets: FloatArray | None = None,
    ) -> tuple[float, FloatArray]:
        """Return the mean loss of a batch and its logits, and write the gradients to `parameters.grads`.

        Args:
            x: (N, *input_shape).
            labels: (N,), from 0 to K − 1.
            rng: the generator of dropout.
            label_smoothing, targets: see `cross_entropy`.
        """
        logits = self.forward(x, training=True, rng=rng)
        loss, dlogits = cross_entropy(logits, labels, label_smoothing, targets)
        self.backward(dlogits)
        return loss, logits

    def predict(self, x: FloatArray) -> FloatArray:
        """Return the probabilities (N, K) of x (N, *input_shape)."""
        return softmax(self.forward(x))

    def get_num_parameters(self) -> int:
        """Return the number of trainable values."""
        return self.parameters.size

    def __repr__(self) -> str:
        """Return a table with the output shape and the number of parameters of each layer."""
        rows = [("input", self.input_shape, 0)]
        for name, layer, shape in zip(self.names, self.layers, self.shapes, strict=True):
            rows.append((name, shape, sum(parameter.size for parameter in layer.parameters.values())))
        width = max(len(name) for name, _, _ in rows)
        lines = [
            f"  {name:{width}}  {'x'.join(map(str, shape)):>12}  {f'{size:,}' if size else '':>12}".rstrip()
            for name, shape, size in rows
        ]
        return "\n".join([f"Network({self.get_num_parameters():,} parameters)", *lines])

    def state(self) -> dict[str, FloatArray]:
        """Return copies of all parameters, then of all buffers, by name."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state(self, state: Mapping[str, FloatArray]) -> None:
        """Copy a state into this network. If any array does not fit, nothing changes.

        Raises:
            CheckpointError: names are missing or unknown, or arrays have another shape; one sentence for each.
        """
        own = self._arrays()
        check_arrays("the network", own, state, hint="use the config the checkpoint was trained with")
        for name, array in own.items():
            array[...] = state[name]

    def freeze(self, names: Iterable[str]) -> None:
        """Let training leave these layers as they are, for example ["conv1", "batchnorm1", "residual2"].

        A block is frozen with all layers inside it, and a layer inside it alone by its own name, "residual2.conv1". A
        frozen batch normalization uses its running statistics in training, too, and does not change them.
        """
        chosen = set(names)
        for name, layer, *_ in self.walk():
            if name in chosen or name.partition(".")[0] in chosen:
                layer.frozen = True
                self.parameters.freeze(f"{name}.{key}" for key in layer.parameters)

    def spec(self) -> list[dict[str, dict[str, object]]]:
        """Return the layer list as in a config: one {kind: options} per layer."""
        return [{layer.kind: layer.options()} for layer in self.layers]

    def _arrays(self) -> dict[str, FloatArray]:
        return {name: p.value for name, p in self.parameters.named.items()} | self.buffers
