"""The readable network: every forward and backward pass in plain NumPy. The engine is tested against it."""

from .build import build_network
from .layers import (
    GELU,
    INFERENCE,
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
    Mode,
    PReLU,
    ReLU,
    Residual,
    Sigmoid,
    SiLU,
    Tanh,
)
from .losses import accuracy, cross_entropy, log_softmax, softmax
from .network import Network
from .parameters import FlatParameters, Parameter
from .summary import summarize, totals

__all__ = [
    "GELU",
    "INFERENCE",
    "LAYERS",
    "AvgPool2D",
    "BatchNorm",
    "Conv2D",
    "Dropout",
    "FlatParameters",
    "Flatten",
    "GlobalAvgPool",
    "Layer",
    "LeakyReLU",
    "Linear",
    "MaxPool2D",
    "Mode",
    "Network",
    "PReLU",
    "Parameter",
    "ReLU",
    "Residual",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "accuracy",
    "build_network",
    "cross_entropy",
    "log_softmax",
    "softmax",
    "summarize",
    "totals",
]
