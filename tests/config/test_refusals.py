"""What a config may not say is refused with file, line, key, the value found and what would be right."""

import re

import pytest

from cnncli.config.schema import Config
from cnncli.config.sections import DataConfig, EngineConfig, Named, NormalizeConfig, SaveEvery, TrainConfig
from cnncli.errors import ConfigError
from tests.config.sample import TEXT, error_of, parse

EPOCHS = "a whole number from 1 to 100000"
BATCH = "a whole number from 1 to 65536"
RATE = "a number above 0"
SIZE = "auto, a whole number of pixels from 1 to 1024, or [height, width]"
IMAGES = "auto, a whole number of images (0 or more), or a fraction between 0 and 1"
WORKERS = "auto, or a whole number from 1 to 1024"
DEVIATION = "a number above 0, the standard deviation of pixels in 0..1"
SCALAR_OR_LIST = "a number, text, true, false, null or a list of those"
SEED = "a whole number from 0 to 2^63 - 1"
ONE_LINE = "text on one line without control characters"
SHARE = "a number from 0 to below 1"
ENTRY = "a name, or a name with options"
STEPS = "a whole number of steps from 1 up, or null"
PATIENCE = "a whole number of epochs from 1 up, or null"

WRONG_VALUES = [
    ("train: {epochs: many}", "train.epochs", EPOCHS, "'many'"),
    ("train: {epochs: 0}", "train.epochs", EPOCHS, "0"),
    ("train: {epochs: 3.0}", "train.epochs", EPOCHS, "3.0"),
    ("train: {epochs: true}", "train.epochs", EPOCHS, "true"),
    ("train: {epochs: null}", "train.epochs", EPOCHS, "nothing"),
    ("train: {epochs: [3]}", "train.epochs", EPOCHS, "a list of 1"),
    ("train: {batch_size: 65537}", "train.batch_size", BATCH, "65537"),
    ("train: {eval_batch_size: 0}", "train.eval_batch_size", BATCH, "0"),
    ("train: {optimizer: {lr: true}}", "train.optimizer.lr", RATE, "true"),
    ("train: {optimizer: {lr: '0.1'}}", "train.optimizer.lr", RATE, "'0.1'"),
    ("train: {optimizer: {lr: 0}}", "train.optimizer.lr", RATE, "0"),
    ("train: {optimizer: {lr: .inf}}", "train.optimizer.lr", RATE, "inf"),
    ("train: {optimizer: {lr: .nan}}", "train.optimizer.lr", RATE, "nan"),
    ("train: {optimizer: {betas: [.nan, 1]}}", "train.optimizer.betas", "a finite number", "nan"),
    ("train: {optimizer: 3}", "train.optimizer", "a name, or {name: ..., lr: ..., options}", "3"),
    ("train: {optimizer: {name: 3}}", "train.optimizer.name", "text", "3"),
    ("train: {optimizer: {name: ''}}", "train.optimizer.name", "text", "''"),
    ("train: {schedule: {final: {a: 1}}}", "train.schedule.final", SCALAR_OR_LIST, "a mapping of a"),
    ("train: {schedule: {'no name': 1}}", "train.schedule", "an option's name", "'no name'"),
    ("train: {label_smoothing: 1}", "train.label_smoothing", SHARE, "1"),
    ("train: {label_smoothing: -0.1}", "train.label_smoothing", SHARE, "-0.1"),
    ("train: {patience: 0}", "train.patience", PATIENCE, "0"),
    ("train: {clip_norm: 0}", "train.clip_norm", "a number above 0, or null", "0"),
    ("train: {warmup_epochs: -1}", "train.warmup_epochs", "a number of epochs from 0 up", "-1"),
    ("train: {drop_last: yes}", "train.drop_last", "true or false", "'yes'"),
    ("train: {drop_last: 1}", "train.drop_last", "true or false", "1"),
    ("train: {save_every: {steps: 0}}", "train.save_every.steps", STEPS, "0"),
    ("train: {save_every: 60}", "train.save_every", "{steps: ..., seconds: ...}", "60"),
    ("train: [epochs]", "train", "a mapping: how it is trained", "a list of 1"),
    ("train:", "train", "a mapping: how it is trained", "nothing"),
    ("seed: -1", "seed", SEED, "-1"),
    ("seed: 1.5", "seed", SEED, "1.5"),
    ("data: {size: 0}", "data.size", SIZE, "0"),
    ("data: {size: 1025}", "data.size", SIZE, "1025"),
    ("data: {size: 28.0}", "data.size", SIZE, "28.0"),
    ("data: {size: true}", "data.size", SIZE, "true"),
    ("data: {size: [28]}", "data.size", SIZE, "a list of 1"),
    ("data: {size: [28, 28, 3]}", "data.size", SIZE, "a list of 3"),
    ("data: {size: [28, big]}", "data.size", SIZE, "a list of 2"),
    ("train: {log: [wandb]}", "train.log", "a list of logs: [tensorboard], or []", "a list of 1"),
    ("train: {log: tensorboard}", "train.log", "a list of logs: [tensorboard], or []", "'tensorboard'"),
    ("data: {colour: 3}", "data.colour", "auto, true or false", "3"),
    ("data: {validation: true}", "data.validation", IMAGES, "true"),
    ("data: {validation: -1}", "data.validation", IMAGES, "-1"),
    ("data: {validation: some}", "data.validation", IMAGES, "'some'"),
    ("data: {validation: 1.0}", "data.validation", IMAGES, "1.0"),
    ("data: {limit: 0}", "data.limit", "a whole number from 1 up, or null", "0"),
    ("data: {normalize: {mean: 0.1, std: 0}}", "data.normalize.std", DEVIATION, "0"),
    ("data: {normalize: true}", "data.normalize", "{mean: ..., std: ...}, or null", "true"),
    ('data: {dir: "a\\tb"}', "data.dir", ONE_LINE, "'a\\tb'"),
    ("data: {augment: shift}", "data.augment", "a list of augmentations", "'shift'"),
    ("data: {augment: [[shift]]}", "data.augment.0", ENTRY, "a list of 1"),
    ("engine: {kind: fats}", "engine.kind", "fast or plain", "'fats'"),
    ("engine: {workers: 0}", "engine.workers", WORKERS, "0"),
    ("engine: {workers: many}", "engine.workers", WORKERS, "'many'"),
    ("engine: {workers: true}", "engine.workers", WORKERS, "true"),
    ("engine: {shards: 0}", "engine.shards", "auto, or a whole number from 1 to 64", "0"),
    ("engine: {shards: 65}", "engine.shards", "auto, or a whole number from 1 to 64", "65"),
]

OTHER_MISTAKES: list[tuple[str, str, str | None]] = [
    (
        "train: {average: {decay: 0.9}}",
        "train.average.name: missing; expected the name of a way to average weights",
        None,
    ),
    ("train: {warmup_epochs: 11}", "train.warmup_epochs: expected at most train.epochs (10), found 11", None),
    ("train: {batchsize: 3}", "train.batchsize: unknown key", "did you mean 'batch_size'?"),
    ("train: {seed: 3}", "train.seed: unknown key", "'seed' is a top-level key: move it out of 'train'"),
    ("train: {dataset: mnist}", "train.dataset: unknown key", "did you mean 'data.dataset'?"),
    ("batch_size: 3", "batch_size: unknown key", "did you mean 'train.batch_size'?"),
    ("tain: {epochs: 3}", "tain: unknown key", "did you mean 'train'?"),
    ("zzz: 3", "zzz: unknown key", "known: seed, data, model, train, engine"),
    (
        "data: {normalize: {mean: 0.1}}",
        "data.normalize.std: missing; expected a number above 0, the standard deviation of pixels in 0..1",
        None,
    ),
    (
        "engine: {dtype: float64}",
        "engine.dtype: the fast executor computes in float32, found float64",
        "set engine.kind to plain, or engine.dtype to float32",
    ),
]


def wrong_line(line: str) -> ConfigError:
    error = error_of(f"model:\n  - relu\n{line}\n")
    assert error.exit_code == 2
    return error


@pytest.mark.parametrize(("line", "key", "expected", "found"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_file_line_key_value_and_what_is_right(
    line: str, key: str, expected: str, found: str
) -> None:
    assert wrong_line(line).message == f"mnist.yaml:3: {key}: expected {expected}, found {found}"


@pytest.mark.parametrize(("line", "message", "hint"), OTHER_MISTAKES)
def test_any_other_mistake_is_named_with_a_hint_where_there_is_one(
    line: str, message: str, hint: str | None
) -> None:
    error = wrong_line(line)
    assert (error.message, error.hint) == (f"mnist.yaml:3: {message}", hint)


MODELS = [
    ("[]", "model: expected a list of layers, found an empty list"),
    ("relu", "model: expected a list of layers, found 'relu'"),
    ("{relu: 1}", "model: expected a list of layers, found a mapping of relu"),
    ("[3]", "model.0: expected a name, or a name with options, found 3"),
    ("[{}]", "model.0: expected a name, or a name with options, found an empty mapping"),
    ("[null]", "model.0: expected a name, or a name with options, found nothing"),
    ("[relu, a b]", "model.1: expected a name such as relu or shift, found 'a b'"),
    ("[conv: {filters: 3, filters 2: 1}]", "model.0.conv: expected an option's name, found 'filters 2'"),
    (
        "[conv: {kernel: {a: 1}}]",
        "model.0.conv.kernel: expected a number, text, true, false, null or a list of those, "
        "found a mapping of a",
    ),
    ("[linear: .inf]", "model.0.linear: expected a finite number, found inf"),
]


@pytest.mark.parametrize(("model", "message"), MODELS)
def test_a_wrong_layer_list_is_named_by_its_position(model: str, message: str) -> None:
    assert error_of(f"seed: 1\nmodel: {model}\n").message == f"mnist.yaml:2: {message}"


def test_options_that_are_not_indented_below_their_layer_are_explained() -> None:
    error = error_of("model:\n  - conv:\n    filters: 32\n")
    assert error.message == (
        "mnist.yaml:3: model.0.filters: expected one name, found a mapping of conv, filters"
    )
    assert error.hint == ("give each entry its own dash, or its options in braces: 'conv: {filters: ...}'")


@pytest.mark.parametrize("text", ["", "# nothing\n", "seed: 1\n"])
def test_a_config_without_a_model_says_so(text: str) -> None:
    assert error_of(text).message == "mnist.yaml:1: model: missing; expected a list of layers"


def test_a_list_in_place_of_a_config_says_so() -> None:
    assert error_of("- relu\n").message == (
        "mnist.yaml:1: expected a mapping of keys and values, found a list of 1"
    )


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    error = error_of("engine: {kind: x}\nmodel: 3\ntrain:\n  epochs: 0\n  batchsize: 1\n", "seed=-1")
    assert error.message.splitlines() == [
        "mnist.yaml:1: engine.kind: expected fast or plain, found 'x'",
        "mnist.yaml:2: model: expected a list of layers, found 3",
        "mnist.yaml:4: train.epochs: expected a whole number from 1 to 100000, found 0",
        "mnist.yaml:5: train.batchsize: unknown key (did you mean 'batch_size'?)",
        "override seed=-1: expected a whole number from 0 to 2^63 - 1, found -1",
    ]


def test_hundreds_of_problems_are_cut_short() -> None:
    lines = error_of("model: [relu]\n" + "".join(f"key{n}: 1\n" for n in range(300))).message.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 280 more"


def test_an_error_behind_an_override_names_the_override_and_not_the_file() -> None:
    assert error_of(TEXT, "train.batch_size=many").message == (
        "override train.batch_size=many: expected a whole number from 1 to 65536, found 'many'"
    )
    assert error_of(TEXT, "train={epochs: 0}").message == (
        "override train={epochs: 0}: train.epochs: expected a whole number from 1 to 100000, found 0"
    )
    assert error_of(TEXT, "model.3.linear=64").message.startswith(
        "override model.3.linear=64: expected one name"
    )


def test_a_section_created_by_an_override_is_blamed_on_the_override() -> None:
    assert error_of(TEXT, "trian.epochs=3").message == "override trian.epochs=3: trian: unknown key"


def test_a_key_cannot_write_control_characters_to_the_terminal() -> None:
    for text in ('"\\e[31m": 1', '"a\\nb": 1', "x: !<%1b[31m> 1", '? {"\\e": 1}\n: 1', '"\\e": 1\n"\\e": 1'):
        assert error_of(text + "\nmodel: [relu]\n").message.isprintable(), text


def test_a_later_override_heals_an_earlier_value() -> None:
    assert parse(TEXT.replace("epochs: 5", "epochs: 0"), "train.epochs=1").train.epochs == 1


def test_every_field_says_what_it_expects() -> None:
    """The descriptions are the errors: each must read on after "expected"."""
    for model in (
        Config,
        DataConfig,
        NormalizeConfig,
        TrainConfig,
        SaveEvery,
        EngineConfig,
        *Named.__subclasses__(),
    ):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            assert re.match(r"(a|an|the|auto|fast|float32|true|name|\{)\b|\{", field.description), (
                field.description
            )
