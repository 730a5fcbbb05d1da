"""The table of layers: every kind that a config can name."""

from .activations import GELU, LeakyReLU, PReLU, ReLU, Sigmoid, SiLU, Tanh
from .base import INFERENCE, LAYERS, Layer, Mode, Placed, Window
from .batchnorm import BatchNorm
from .conv import Conv2D
from .dropout import Dropout
from .flatten import Flatten
from .linear import Linear
from .pooling import AvgPool2D, GlobalAvgPool, MaxPool2D
from .residual import Residual

_LAYERS: dict[str, type[Layer]] = {
    "conv": Conv2D,
    "maxpool": MaxPool2D,
    "avgpool": AvgPool2D,
    "globalavgpool": GlobalAvgPool,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "prelu": PReLU,
    "silu": SiLU,
    "gelu": GELU,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "flatten": Flatten,
    "linear": Linear,
    "batchnorm": BatchNorm,
    "dropout": Dropout,
    "residual": Residual,
}
LAYERS.update(_LAYERS)

__all__ = [
    "GELU",
    "INFERENCE",
    "LAYERS",
    "AvgPool2D",
    "BatchNorm",
    "Conv2D",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "Layer",
    "LeakyReLU",
    "Linear",
    "MaxPool2D",
    "Mode",
    "PReLU",
    "Placed",
    "ReLU",
    "Residual",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "Window",
]
