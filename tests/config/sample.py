"""One small config, and short ways to read it with overrides, for the tests of configs."""

import pytest

from cnncli.config.load import parse_config
from cnncli.config.schema import Config
from cnncli.errors import ConfigError

TEXT = """\
seed: 7
data: {dataset: mnist, validation: 0.1, augment: [shift, {rotate: 10}]}
model:
  - conv: {filters: 32, kernel: 3, padding: [1, 1]}
  - relu
  - maxpool: 2
  - flatten
  - linear: 10
train:
  epochs: 5
  batch_size: 64
  optimizer: {name: adam, lr: 1e-3, betas: [0.7, 0.9]}
  schedule: cosine
"""


def parse(text: str = TEXT, *overrides: str) -> Config:
    return parse_config(text, "mnist.yaml", overrides)


def error_of(text: str = TEXT, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text, *overrides)
    return caught.value
