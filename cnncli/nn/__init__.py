"""The readable network: every forward and backward pass in plain NumPy, and the oracle of the engine."""

from .build import build_network
from .layers import (
    LAYERS,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2D,
    ReLU,
    Sigmoid,
    Tanh,
)
from .losses import accuracy, cross_entropy, log_softmax, softmax
from .network import Network
from .parameters import FlatParameters, Parameter
from .summary import LayerRow, Totals, summarize, totals

__all__ = [
    "LAYERS",
    "AvgPool2D",
    "BatchNorm",
    "Conv2D",
    "Dropout",
    "FlatParameters",
    "Flatten",
    "GlobalAvgPool",
    "Layer",
    "LayerRow",
    "LeakyReLU",
    "Linear",
    "MaxPool2D",
    "Network",
    "Parameter",
    "ReLU",
    "Sigmoid",
    "Tanh",
    "Totals",
    "accuracy",
    "build_network",
    "cross_entropy",
    "log_softmax",
    "softmax",
    "summarize",
    "totals",
]
