"""All mistakes of a config are told at once, and foreign words are understood."""

import pytest

from cnncli.batches.augment import AUGMENTATIONS
from cnncli.config.check import check_names
from cnncli.config.errors import section_at
from cnncli.config.load import parse_config
from cnncli.config.schema import Config
from cnncli.errors import ConfigError
from cnncli.foreign_words import WORDS, bare
from cnncli.nn.layers import LAYERS
from cnncli.optim import AVERAGES, OPTIMIZERS, SCHEDULES
from tests.config.sample import TEXT, error_of, parse

MANY = """\
seed: x
data:
  augmentation: []
  augment: [{rotate: 200}, {elastic: {alpha: x, sigma: 0, gamma: 3}}, spin]
model:
  - Conv2D: {out_channels: 32, kernel_size: 3, padding: q}
  - conv: {filters: x, kernel: 0, paddin: 3}
  - relu: {a: {b: 1}}
  - MaxPooling2D: x
  - softmax
train:
  early_stopping: 3
  optimizer: {name: Adam, lr: fast, betas: 3}
  schedule: {name: cosine, final: .nan, start: 3}
  average: ema2
"""


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    assert error_of(MANY).message.splitlines() == [
        "mnist.yaml:1: seed: expected a whole number from 0 to 2^63 - 1, found 'x'",
        "mnist.yaml:3: data.augmentation: unknown key (did you mean 'augment'?)",
        "mnist.yaml:4: augmentation 1 (rotate): degrees: expected a number from 0 to 180, found 200",
        "mnist.yaml:4: augmentation 2 (elastic): elastic has no option 'gamma' (did you mean 'sigma'?)",
        "mnist.yaml:4: augmentation 2 (elastic): alpha: expected a number from 0 to 10000, found 'x'",
        "mnist.yaml:4: augmentation 2 (elastic): sigma: expected a number from 0.1 to 1000, found 0",
        f"mnist.yaml:4: augmentation 3: unknown augmentation 'spin' (known: {', '.join(AUGMENTATIONS)})",
        "mnist.yaml:6: layer 1: unknown layer 'Conv2D' (did you mean 'conv'?)",
        "mnist.yaml:6: layer 1 (conv): conv has no option 'out_channels' (did you mean 'filters'?)",
        "mnist.yaml:6: layer 1 (conv): conv has no option 'kernel_size' (did you mean 'kernel'?)",
        "mnist.yaml:6: layer 1 (conv): padding: expected valid or same, found 'q' (known: valid, same)",
        "mnist.yaml:7: layer 2 (conv): conv has no option 'paddin' (did you mean 'padding'?)",
        "mnist.yaml:7: layer 2 (conv): filters: expected a positive whole number, found 'x'",
        "mnist.yaml:7: layer 2 (conv): kernel: expected a positive whole number or a pair [height, width] of them, "
        "found 0",
        "mnist.yaml:8: model.2.relu.a: expected a number, text, true, false, null or a list of those, "
        "found a mapping of b",
        "mnist.yaml:9: layer 4: unknown layer 'MaxPooling2D' (did you mean 'maxpool'?)",
        "mnist.yaml:9: layer 4 (maxpool): size: expected a positive whole number or a pair [height, width] of them, "
        "found 'x'",
        "mnist.yaml:10: layer 5: unknown layer 'softmax' (softmax belongs to the loss: leave it out)",
        "mnist.yaml:12: train.early_stopping: unknown key (did you mean 'patience'?)",
        "mnist.yaml:13: train.optimizer.lr: expected a number above 0, found 'fast'",
        "and 5 more",
    ]


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        ("- conv: 32", ["conv has no main option that 32 could be"]),
        ("- conv: {filters: 3}", ["the option 'kernel' is missing"]),
        ("- conv: {kernel: 3, stride: 0}", ["the option 'filters' is missing", "stride: expected"]),
        ("- linear: {units: 0, bias: 7}", ["units: expected", "bias: expected"]),
        ("- dropout: {rate: 1}", ["rate: expected"]),
        ("- linear: {p: 3}", ["linear has no option 'p'"]),
        ("- flatten: 3", ["flatten has no main option that 3 could be"]),
        ("- Linear: {units: 10}", ["unknown layer 'Linear'"]),
        ("- batchnorm: {momentum: x, eps: 0, affine: true}", ["no option 'affine'", "momentum:", "eps:"]),
        ("- maxpool: {size: x, stride: x, padding: x}", ["size:", "stride:", "padding:"]),
    ],
)
def test_each_mistake_of_a_layer_is_told_once(line: str, messages: list[str]) -> None:
    error = error_of(f"model:\n  {line}\n")
    lines = error.message.splitlines()
    assert len(lines) == len(messages)
    for told, message in zip(sorted(lines), sorted(lines), strict=True):
        assert told.startswith("mnist.yaml:2: layer 1")
        assert any(each in message for each in messages)
    assert all(any(message in told for told in lines) for message in messages)


@pytest.mark.parametrize(
    ("setting", "messages"),
    [
        ("train.optimizer=rmsprop", ["unknown optimizer 'rmsprop'"]),
        (
            "train.optimizer={name: SGD, nesterovv: 1, momentum: 3}",
            ["optimizer 'SGD'", "nesterovv", "momentum: "],
        ),
        ("train.schedule={name: one_cycle, final: -1, start: x}", ["final: ", "start: "]),
        ("train.average={name: ema, decay: 3, x: 1}", ["no option 'x'", "decay: "]),
        ("train.average={name: ema, decay: .nan}", ["expected a finite number"]),
    ],
)
def test_each_mistake_of_a_named_part_is_told_once(setting: str, messages: list[str]) -> None:
    lines = error_of(TEXT, setting).message.splitlines()
    assert len(lines) == len(messages)
    assert all(any(message in told for told in lines) for message in messages)


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_takes_one_of_the_shapes_that_are_tried(kind: str) -> None:
    options = {
        "conv": "{filters: 2, kernel: 3}",
        "maxpool": "2",
        "avgpool": "2",
        "linear": "3",
        "dropout": "0.5",
        "residual": "[relu]",
    }
    parse(f"model:\n  - {kind}: {options.get(kind, '')}\n")


def test_a_huge_layer_is_checked_without_its_memory() -> None:
    parse("model: [conv: {filters: 2000000000, kernel: 2000000000}, linear: 2000000000]")


def test_mistakes_in_overrides_of_a_config_are_found_at_once_too() -> None:
    config = parse().with_overrides(["model.0={Dense: 3}", "train.optimizer=Adam"])
    with pytest.raises(ConfigError) as caught:
        check_names(config)
    assert caught.value.message.splitlines() == [
        "override model.0={Dense: 3}: layer 1: unknown layer 'Dense' (did you mean 'linear'?)",
        "override train.optimizer=Adam: train.optimizer.name: unknown optimizer 'Adam' (did you mean 'adam'?)",
    ]
    check_names(parse())


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("model: [dense: 10]", "did you mean 'linear'?"),
        ("model: [Softmax]", "softmax belongs to the loss: leave it out"),
        ("model: [activation: relu]", "an activation is a layer of its own: write `- relu`"),
        ("model: [GlobalAveragePooling2D]", "did you mean 'globalavgpool'?"),
        ("model: [LeakyReLU: 0.1]", "did you mean 'leaky_relu'?"),
        ("model: [linear: {units: 3, activation: relu}]", "write `- relu` after this one"),
        (
            "model: [conv: {filters: 3, kernel: 3, in_channels: 1}]",
            "leave it out: it follows from the layer before",
        ),
        ("model: [maxpool: {kernel_size: 2}]", "did you mean 'size'?"),
        ("{model: [relu], train: {lr: 1}}", "did you mean 'train.optimizer.lr'?"),
        ("{model: [relu], lr: 1}", "did you mean 'train.optimizer.lr'?"),
        ("{model: [relu], early_stopping: 1}", "did you mean 'train.patience'?"),
        ("{model: [relu], data: {transforms: []}}", "did you mean 'augment'?"),
        ("{model: [relu], device: cpu}", "everything runs on the processor: leave it out"),
        (
            "{model: [relu], train: {optimizer: {learning_rate: 1}}}",
            "the learning rate is `train.optimizer.lr`",
        ),
        ("{model: [relu], train: {optimizer: AdamW}}", "did you mean 'adamw'?"),
        ("{model: [relu], train: {schedule: CosineAnnealingLR}}", "did you mean 'cosine'?"),
        ("{model: [relu], train: {schedule: OneCycle}}", "did you mean 'one_cycle'?"),
        ("{model: [relu], data: {augment: [RandomRotation]}}", "did you mean 'rotate'?"),
    ],
)
def test_a_word_of_keras_or_pytorch_is_understood(text: str, hint: str) -> None:
    error = error_of(text)
    assert hint in (error.hint or "")


def test_the_words_lead_to_names_that_exist_and_are_none_themselves() -> None:
    options = {name for layer in LAYERS.values() for name in layer.option_names}
    options |= {name for entry in AUGMENTATIONS.values() for name in entry.options}
    options |= {
        "momentum",
        "nesterov",
        "betas",
        "eps",
        "weight_decay",
        "every",
        "final",
        "peak_at",
        "factor",
        "decay",
    }
    tables = {
        "layer": set(LAYERS),
        "option": options,
        "schedule": set(SCHEDULES),
        "augmentation": set(AUGMENTATIONS),
        "average": set(AVERAGES),
    }
    assert set(WORDS) == {*tables, "key"}
    for kind, known in tables.items():
        for word, meant in WORDS[kind].items():
            assert word == bare(word)
            assert ":" in meant or "`" in meant or set(meant.split()) <= known, (kind, word)
            if kind not in ("option",):
                assert word not in {bare(name) for name in known}, word
    for word, meant in WORDS["key"].items():
        assert word == bare(word)
        if " " not in meant:
            *section, key = meant.split(".")
            model = section_at(tuple(section), Config)
            assert model is not None
            assert key in model.model_fields or section == ["train", "optimizer"], word
    assert "rmsprop" not in OPTIMIZERS


def test_what_is_right_is_not_complained_about() -> None:
    assert parse_config(parse().to_yaml()) == parse()
