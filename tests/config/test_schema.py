"""A config is checked, immutable, says where each value came from, and survives writing and reading."""

import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from cnncli.config.list_entries import ListEntry
from cnncli.config.load import parse_config
from cnncli.config.schema import Config
from cnncli.config.sections import OptimizerConfig
from cnncli.errors import ConfigError, ModelError
from tests.config.sample import TEXT, parse

# What a config says


def test_every_value_arrives_with_its_type() -> None:
    config = parse()
    assert config.seed == 7
    assert config.data.validation == 0.1
    assert config.data.augment == (ListEntry("shift", {}), ListEntry("rotate", {"_": 10}))
    assert config.model[0] == ListEntry("conv", {"filters": 32, "kernel": 3, "padding": (1, 1)})
    assert config.model[1] == ListEntry("relu", {})
    assert config.model[2] == ListEntry("maxpool", {"_": 2})
    assert config.train.optimizer.name == "adam"
    assert config.train.optimizer.lr == 0.001
    assert config.train.optimizer.options == {"betas": (0.7, 0.9)}
    assert config.train.schedule.name == "cosine"
    assert config.train.schedule.options == {}


def test_what_is_not_said_has_its_default() -> None:
    config = parse("model: [relu]")
    assert config.seed == 42
    assert (config.data.dataset, config.data.dir, config.data.validation) == ("mnist", "data", "auto")
    assert config.data.limit is config.data.normalize is config.data.mean_std is None
    assert config.data.augment == ()
    assert (config.train.epochs, config.train.batch_size, config.train.eval_batch_size) == (10, 128, 1000)
    assert (config.train.optimizer.name, config.train.optimizer.lr) == ("adam", 0.001)
    assert config.train.schedule.name == "constant"
    assert config.train.average is config.train.patience is config.train.clip_norm is None
    assert (config.train.save_every.steps, config.train.save_every.seconds) == (None, 60.0)
    assert config.train.drop_last is False
    assert (config.engine.kind, config.engine.workers, config.engine.dtype) == ("fast", "auto", "float32")


@pytest.mark.parametrize(("key", "name"), [("optimizer", "sgd"), ("schedule", "step"), ("average", "ema")])
def test_a_bare_name_is_short_for_a_mapping_with_that_name(key: str, name: str) -> None:
    assert parse(TEXT, f"train.{key}={name}") == parse(TEXT, f"train.{key}={{name: {name}}}")


def test_normalize_is_a_pair_too() -> None:
    assert parse(TEXT, "data.normalize={mean: 0.1307, std: 0.3081}").data.mean_std == (0.1307, 0.3081)


def test_an_entry_with_nothing_after_its_colon_has_no_options() -> None:
    assert parse("model:\n  - relu:\n").model == (ListEntry("relu", {}),)


def test_overrides_are_applied_in_order_and_the_last_wins() -> None:
    config = parse(TEXT, "train.epochs=2", "model.-1.linear=47", "model.5=relu", "train.epochs=3")
    assert config.train.epochs == 3
    assert config.model[4:] == (ListEntry("linear", {"_": 47}), ListEntry("relu", {}))


def test_a_copy_with_overrides_leaves_the_config_alone() -> None:
    config = parse()
    longer = config.with_overrides(["train.epochs=20"])
    assert (config.train.epochs, longer.train.epochs) == (5, 20)
    assert longer.with_overrides(["train.epochs=5"]) == config
    assert longer.located(("train", "epochs")) == "override train.epochs=20"
    assert longer.located(("train", "batch_size")) == "mnist.yaml:11"


# Where a value came from


def test_a_model_error_gets_the_line_of_its_layer_or_option() -> None:
    config = parse()
    error = config.model_error(ModelError("layer 1 (conv1): no", "a hint", key_path=(0, "kernel")))
    assert isinstance(error, ConfigError)
    assert (error.message, error.hint) == ("mnist.yaml:4: layer 1 (conv1): no", "a hint")
    assert config.model_error(ModelError("no", key_path=(2, "_"))).message == "mnist.yaml:6: no"
    assert config.model_error(ModelError("no", key_path=(2, "size"))).message == "mnist.yaml:6: no"
    assert config.model_error(ModelError("no", key_path=(4,))).message == "mnist.yaml:8: no"
    assert config.model_error(ModelError("no")).message == "mnist.yaml:3: no"


def test_a_model_error_outside_the_layers_names_its_key() -> None:
    config = parse()
    assert config.model_error(ModelError("no", key_path=("betas",)), "train.optimizer").message == (
        "mnist.yaml:12: train.optimizer.betas: no"
    )
    assert (
        config.model_error(ModelError("no"), "train.schedule").message == "mnist.yaml:13: train.schedule: no"
    )
    assert config.model_error(ModelError("no", key_path=(1,)), "data.augment").message == "mnist.yaml:2: no"


def test_a_model_error_about_an_override_names_the_override() -> None:
    config = parse(TEXT, "model.2.maxpool=9")
    assert config.model_error(ModelError("no", key_path=(2, "_"))).message == "override model.2.maxpool=9: no"


def test_any_value_can_be_complained_about_later() -> None:
    assert (
        parse().error(("data", "dataset"), "no such set").message == "mnist.yaml:2: data.dataset: no such set"
    )
    assert Config(model=["relu"]).error(("seed",), "no").message == "config: seed: no"  # type: ignore[list-item]


def test_a_config_knows_its_source() -> None:
    assert parse().origin.source == "mnist.yaml"


# Values that stay


def test_a_config_cannot_be_changed() -> None:
    config = parse()
    for change in (
        lambda: setattr(config, "seed", 1),
        lambda: setattr(config.train, "epochs", 1),
        lambda: setattr(config.train.optimizer, "betas", 1),
        lambda: setattr(config.model[0], "kind", "x"),
    ):
        with pytest.raises((ValidationError, AttributeError)):
            change()
    options: Any = config.model[0].options
    for change in (
        lambda: options.update(filters=1),
        lambda: options.pop("filters"),
        lambda: options.clear(),
        lambda: options.setdefault("x", 1),
        lambda: options.__setitem__("x", 1),
        lambda: options.__delitem__("filters"),
        lambda: options.__ior__({"x": 1}),
    ):
        with pytest.raises(TypeError):
            change()
    assert config == parse()


def test_a_config_can_be_pickled_with_its_origin() -> None:
    config = parse(TEXT, "seed=3")
    copy = pickle.loads(pickle.dumps(config))
    assert copy == config
    assert copy.model[0].options == config.model[0].options
    assert copy.train.optimizer.options == {"betas": (0.7, 0.9)}
    assert copy.located(("seed",)) == "override seed=3"
    assert copy.located(("train", "epochs")) == "mnist.yaml:10"


def test_equality_ignores_where_values_came_from() -> None:
    config = parse()
    same = parse_config(config.to_yaml(), "other.yaml")
    assert same == config
    assert hash(same) == hash(config)
    assert same.fingerprint() == config.fingerprint()
    other = config.with_overrides(["model.0.conv.kernel=5"])
    assert other != config
    assert other.fingerprint() != config.fingerprint()
    assert config != config.to_dict()


def test_sections_can_be_built_in_python_with_the_words_of_the_file() -> None:
    config = Config(
        seed=7,
        model=["relu", {"linear": 10}, ListEntry("conv", {"filters": 3, "kernel": 1})],  # type: ignore[list-item]
        train={"optimizer": OptimizerConfig(name="sgd", momentum=0.9)},  # type: ignore[call-arg, arg-type]
    )
    assert config == parse("seed: 7\nmodel: [relu, linear: 10, conv: {filters: 3, kernel: 1}]\n"
                           "train: {optimizer: {name: sgd, momentum: 0.9}}")  # fmt: skip


# Writing


def test_the_written_config_is_pleasant_to_read() -> None:
    assert (
        parse().to_yaml()
        == """\
seed: 7
data:
  dataset: mnist
  dir: data
  size: auto
  colour: auto
  images: null
  labels: null
  transpose: null
  labels_from: null
  invert: false
  validation: 0.1
  limit: null
  prepare: auto
  unknown: 0.0
  normalize: null
  augment:
    - shift
    - rotate: 10
model:
  - conv: {filters: 32, kernel: 3, padding: [1, 1]}
  - relu
  - maxpool: 2
  - flatten
  - linear: 10
train:
  epochs: 5
  batch_size: 64
  optimizer: {name: adam, lr: 0.001, betas: [0.7, 0.9]}
  schedule: {name: cosine}
  warmup_epochs: 0.0
  label_smoothing: 0.0
  mix: null
  class_weights: null
  distill: null
  clip_norm: null
  average: null
  patience: null
  save_every: {steps: null, seconds: 60.0}
  drop_last: false
  init_from: null
  init_partial: false
  freeze: []
  log: []
  eval_batch_size: 1000
engine:
  kind: fast
  workers: auto
  shards: auto
  start_method: auto
  dtype: float32
"""
    )
