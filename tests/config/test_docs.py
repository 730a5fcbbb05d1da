"""docs/config.md names every key with what it takes and its default, and every option of every table."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cnncli.batches.augment import AUGMENTATIONS
from cnncli.batches.mixing import MIXINGS
from cnncli.config.errors import section_at
from cnncli.config.load import parse_config
from cnncli.config.schema import Config
from cnncli.config.values import KeyPath, dotted
from cnncli.config.yaml_reader import read_yaml
from cnncli.config.yaml_writer import inline
from cnncli.errors import ConfigError
from cnncli.nn.layers import LAYERS
from cnncli.optim import OPTIMIZERS, SCHEDULES
from cnncli.optim.averaging import AVERAGES

PAGE = (Path(__file__).parents[2] / "docs" / "config.md").read_text(encoding="utf-8")
TOP = ("data", "train", "engine")  # sections with a heading of their own


def rows(heading: str) -> dict[str, list[str]]:
    """Return the table rows below a heading: first cell without its backticks -> the other cells."""
    _, _, after = PAGE.partition(f"\n{heading}\n")
    assert after, heading
    part = re.split(r"\n#+ ", after)[0]
    cells = [
        [cell.strip() for cell in line[1:-1].split("|")]
        for line in part.splitlines()
        if line.startswith("| `")
    ]
    return {first.strip("`"): others for first, *others in cells}


def fields(model: type[BaseModel], key_path: KeyPath = ()) -> Iterator[tuple[KeyPath, FieldInfo]]:
    for name, field in model.model_fields.items():
        here = (*key_path, name)
        yield here, field
        inner = section_at(here, Config)
        if inner is not None:
            yield from fields(inner, here)


FIELDS = {dotted(path): field for path, field in fields(Config) if dotted(path) not in TOP}
DOCUMENTED = {
    key: cells
    for name in ("seed", "data", "model", "train", "engine")
    for key, cells in rows(f"### {name}").items()
}


def test_the_page_names_every_key_and_no_other() -> None:
    assert list(DOCUMENTED) == list(FIELDS)


@pytest.mark.parametrize("key", FIELDS)
def test_a_key_is_documented_with_what_its_errors_say_and_its_default(key: str) -> None:
    field = FIELDS[key]
    takes, default, *_ = DOCUMENTED[key]
    assert takes == field.description
    if field.is_required():
        assert default == "required"
    else:
        written = parse_config("model: [relu]").to_dict() if "normalize." not in key else {}
        value: Any = written
        for part in key.split("."):
            # the default of a section may be null; then what it has is the default of its own
            value = value[part] if value is not None else field.get_default()
        assert default == f"`{inline(value)}`"


def options_of(cell: str) -> dict[str, str | None]:
    """Read "`stride`: 1, `units`" as {"stride": "1", "units": None}."""
    found = re.findall(r"`(\w+)`\**(?:: ([^`]*?))?(?:,? ?\*{0,2}(?=`)|$)", re.sub(r" \(or [^)]*\)", "", cell))
    return {name: default or None for name, default in found}


def signature(function: Callable[..., Any]) -> dict[str, object]:
    """Return the keyword-only arguments and their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}


def check(documented: dict[str, list[str]], table: Mapping[str, Mapping[str, object]]) -> None:
    assert set(documented) == set(table)
    for name, options in table.items():
        told = options_of(documented[name][0])
        assert list(told) == list(options), name
        for option, default in options.items():
            value, _ = read_yaml(told[option] or "", str)
            expected = list(default) if isinstance(default, tuple) else default
            assert value == expected, f"{name}.{option}"


def test_every_optimizer_schedule_average_and_mixing_is_documented_with_its_defaults() -> None:
    check(rows("## Optimizers"), {name: signature(made) for name, made in OPTIMIZERS.items()})
    check(rows("## Schedules"), {name: signature(made) for name, made in SCHEDULES.items()})
    check(rows("## Averages"), {name: signature(made) for name, made in AVERAGES.items()})
    check(rows("## Mixed images"), {name: signature(made) for name, made in MIXINGS.items()})


def test_every_augmentation_is_documented_with_its_defaults() -> None:
    table = {
        name: {option: known.default for option, known in entry.options.items()}
        for name, entry in AUGMENTATIONS.items()
    }
    check(rows("## Augmentations"), table)
    for name, (options, _) in rows("## Augmentations").items():
        assert options.startswith(f"**`{next(iter(table[name]))}`**"), name


def test_every_layer_is_documented_with_its_options_and_their_defaults() -> None:
    documented = rows("## Layers")
    assert set(documented) == set(LAYERS)
    for name, layer in LAYERS.items():
        told = options_of(documented[name][0])
        assert list(told) == list(layer.option_names), name
        bold = re.findall(r"\*\*`(\w+)`\*\*", documented[name][0])
        assert bold == ([layer.main_option] if layer.main_option else []), name
        arguments = inspect.signature(layer).parameters
        for option, argument in layer.option_names.items():
            default = arguments[argument].default
            if default is inspect.Parameter.empty:
                assert told[option] is None, f"{name}.{option}"
            elif default is not None and option != "padding":
                assert read_yaml(told[option] or "", str)[0] == default, f"{name}.{option}"


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.S))
def test_every_example_on_the_page_is_a_config(block: str) -> None:
    assert parse_config(block).model


def test_every_override_on_the_page_works() -> None:
    start = "model: [flatten, relu, relu, linear: 5, linear: 10]\ntrain: {optimizer: adam}\n"
    overrides = re.findall(r"^    --set (.+?)(?:  +#.*)?$", PAGE, flags=re.M)
    assert len(overrides) == 6
    config = parse_config(start, overrides=[override.strip("'") for override in overrides])
    assert config.train.optimizer.options == {"momentum": 0.9}
    assert [options.get("_") for _, options in config.model] == [None, None, None, 64, 47]
    assert config.data.augment[0].kind == "shift"


def test_the_errors_on_the_page_are_the_ones_that_are_given() -> None:
    text = (
        "#\n" * 3
        + "model: [relu,\n{Dense: 3}]\n"
        + "#\n" * 4
        + "train:\n  batchsize: 1\n  optimizer: {lr: fast}\n"
    )
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "mnist.yaml")
    assert re.findall(r"^    (mnist\.yaml:.*)$", PAGE, flags=re.M) == caught.value.message.split("\n")
