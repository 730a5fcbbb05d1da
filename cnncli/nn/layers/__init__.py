"""The layers a config can name; a new one is a class and a line in this table."""

from .activations import LeakyReLU, ReLU, Sigmoid, Tanh
from .base import MAIN, Layer, Window
from .batchnorm import BatchNorm
from .conv import Conv2D
from .dropout import Dropout
from .flatten import Flatten
from .linear import Linear
from .pooling import AvgPool2D, GlobalAvgPool, MaxPool2D

LAYERS: dict[str, type[Layer]] = {
    "conv": Conv2D,
    "maxpool": MaxPool2D,
    "avgpool": AvgPool2D,
    "globalavgpool": GlobalAvgPool,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "flatten": Flatten,
    "linear": Linear,
    "batchnorm": BatchNorm,
    "dropout": Dropout,
}

__all__ = [
    "LAYERS",
    "MAIN",
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
    "ReLU",
    "Sigmoid",
    "Tanh",
    "Window",
]
