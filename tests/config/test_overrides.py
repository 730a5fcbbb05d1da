"""An override, `KEY=VALUE`, changes one value, creates what is missing on the way, and is named by its errors."""

import copy

import pytest

from cnncli.config.load import parse_config
from cnncli.config.overrides import apply_override
from cnncli.errors import ConfigError

DATA: dict[str, object] = {
    "seed": 1,
    "model": ["relu", {"conv": {"filters": 2}}, {"linear": 10}],
    "train": {"epochs": 3, "optimizer": "adam", "average": None},
}


def after(override: str, data: object = DATA) -> object:
    return apply_override(data, override)[0]


def error_of(override: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        apply_override(DATA, override)
    return caught.value


def test_a_value_is_replaced_and_its_place_returned() -> None:
    data, place = apply_override(DATA, "train.epochs=5")
    assert data == {**DATA, "train": {"epochs": 5, "optimizer": "adam", "average": None}}
    assert place == ("train", "epochs")


def test_the_data_given_stays_as_it_was() -> None:
    before = copy.deepcopy(DATA)
    after("model.1.conv.filters=64")
    after("train.optimizer.lr=1")
    after("model.3=relu")
    assert before == DATA


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("7", 7),
        ("true", True),
        ("yes", "yes"),
        ("", None),
        ("'1'", "1"),
        ("[1, 2]", [1, 2]),
        ("{name: sgd, lr: 0.1}", {"name": "sgd", "lr": 0.1}),
        ("a=b", "a=b"),
        (r"C:\data", r"C:\data"),
    ],
)
def test_a_value_is_read_as_in_the_file(text: str, value: object) -> None:
    assert after(f"x={text}", {}) == {"x": value}


def test_missing_sections_are_created() -> None:
    assert after("a.b.c=1", {}) == {"a": {"b": {"c": 1}}}
    assert after("data.augment.0=shift", {}) == {"data": {"augment": ["shift"]}}
    assert after("train.average.name=ema")["train"]["average"] == {"name": "ema"}  # type: ignore[index]


def test_a_list_position_is_replaced_appended_or_counted_from_the_end() -> None:
    assert after("model.2.linear=64")["model"][2] == {"linear": 64}  # type: ignore[index]
    assert after("model.3=relu")["model"][3] == "relu"  # type: ignore[index]
    data, place = apply_override(DATA, "model.-1.linear=47")
    assert data["model"][2] == {"linear": 47}  # type: ignore[index]
    assert place == ("model", 2, "linear")


def test_a_short_form_on_the_way_is_written_out_first() -> None:
    assert after("train.optimizer.lr=0.1")["train"]["optimizer"] == {"name": "adam", "lr": 0.1}  # type: ignore[index]
    assert after("model.0.relu.slope=1")["model"][0] == {"relu": {"slope": 1}}  # type: ignore[index]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs", "override train.epochs: expected KEY=VALUE, such as train.batch_size=256"),
        ("=3", "override =3: expected KEY=VALUE, such as train.batch_size=256"),
        ("a..b=3", "override a..b=3: expected KEY=VALUE, such as train.batch_size=256"),
        (
            "." * 30 + "=3",
            f"override {'.' * 30}=3: expected KEY=VALUE, such as train.batch_size=256",
        ),
        ("seed.x=3", "override seed.x=3: seed is 1, so there is no 'x' in it"),
        (
            "model.2.linear.units=3",
            "override model.2.linear.units=3: model.2.linear is 10, so there is no 'units' in it",
        ),
        ("model.last=3", "override model.last=3: model is a list; expected a position, found 'last'"),
        ("model.4=3", "override model.4=3: model has positions 0 to 2, there is no 4"),
        ("model.-4=3", "override model.-4=3: model has positions 0 to 2, there is no -4"),
        ("a=[1", "override a=[1: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a=&b 1", "override a=&b 1: the anchor &b; a config has no anchors and aliases"),
        ("a=\x1b", r"override a=\x1b: not a text file: found the character '\x1b'"),
    ],
)
def test_an_override_that_leads_nowhere_is_named(override: str, message: str) -> None:
    assert error_of(override).message == message


@pytest.mark.parametrize("text", ["hello", "- a\n- b"])
def test_a_file_that_has_no_keys_is_refused_as_itself_and_not_for_an_override(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^here:1: expected a mapping of keys and values, found"):
        parse_config(text, "here", ["train.epochs=3"])


def test_an_endless_override_is_shown_shortened() -> None:
    assert len(error_of("x" * 10_000).message) < 200


def test_the_way_around_a_scalar_is_hinted_at() -> None:
    assert error_of("model.2.linear.bias=false").hint == (
        "set model.2.linear as a whole, such as model.2.linear={bias: ...}"
    )
