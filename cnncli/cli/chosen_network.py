"""Builds the network a config describes to look at it, before anything is trained."""

from typing import TYPE_CHECKING

import numpy as np

from cnncli.data.dataset import SYNTHETIC
from cnncli.data.load import load_dataset
from cnncli.data.registry import DATASETS
from cnncli.errors import ModelError, UsageError
from cnncli.nn.build import build_network

if TYPE_CHECKING:
    from cnncli.config.schema import Config
    from cnncli.nn.network import Network
    from cnncli.types import Shape


def build(config: "Config") -> "Network":
    """Return the network of a config with random weights.

    Raises:
        ConfigError: it cannot be built, or there is no such data set; names file and line.
    """
    try:
        shape = input_shape(config.data.dataset, config.data.dir)
    except UsageError as error:
        raise config.error(("data", "dataset"), error.message, error.hint) from error
    try:
        return build_network(config.model, shape, rng=np.random.default_rng(0), dtype=config.engine.dtype)
    except ModelError as error:
        raise config.model_error(error) from error


def input_shape(dataset: str, data_dir: str) -> "Shape":
    """Return (C, H, W) of the images of a set, of a known one without reading any.

    Raises:
        UsageError: no set has this name.
        DataError: a folder of the user's own cannot be read.
    """
    published = DATASETS[dataset].file("train", "images").shape if dataset in DATASETS else None
    if published is not None:
        return (1, *published[1:])
    return (1, 28, 28) if dataset == SYNTHETIC else load_dataset(dataset, data_dir).input_shape
