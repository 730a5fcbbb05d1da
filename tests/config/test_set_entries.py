"""`data.dataset` takes a name, or a list of sets with a limit and a share each, and all mistakes are told at once."""

import pytest

from cnncli.config.load import parse_config
from cnncli.data.dataset import SetEntry
from cnncli.errors import ConfigError

MODEL = "model: [flatten, {linear: 10}]\n"


def mistakes(dataset: str, more: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"data:\n  dataset: {dataset}\n{more}{MODEL}", "my.yaml")
    return caught.value.message.split("\n")


def test_a_name_is_one_set_without_options() -> None:
    data = parse_config(MODEL).data
    assert data.dataset == "mnist"
    assert data.sets == (SetEntry("mnist"),)


def test_a_list_keeps_order_limits_and_shares() -> None:
    config = parse_config(
        MODEL + "data: {dataset: [mnist, synthetic: {limit: 600, share: 0.5}, folder:my/digits]}"
    )
    assert config.data.sets == (
        SetEntry("mnist"),
        SetEntry("synthetic", 600, 0.5),
        SetEntry("folder:my/digits"),
    )
    assert config.data.set_title == "mnist + synthetic + folder:my/digits"
    assert parse_config(config.to_yaml()) == config


def test_overrides_reach_into_the_list() -> None:
    start = MODEL + "data: {dataset: [mnist, synthetic]}"
    overrides = ["data.dataset.1.synthetic.limit=50", "data.dataset.2=qmnist"]
    assert parse_config(start, overrides=overrides).data.sets[1:] == (
        SetEntry("synthetic", limit=50),
        SetEntry("qmnist"),
    )


def test_every_mistake_in_the_list_is_told_with_its_line() -> None:
    dataset = """
    - mnist: {limit: 0}
    - synthetic: {shar: 0.5}
    - 3
    - qmnist: {share: 1.5}
    - folder:a: 5
    - {b: {}, c: {}}
"""
    found = mistakes(dataset)
    assert [text.partition(" ")[0] for text in found] == [f"my.yaml:{line}:" for line in range(3, 9)]
    assert "found 0" in found[0] and "did you mean 'share'?" in found[1] and "found 1.5" in found[3]


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        ("[]", "expected a list of 1 to 100 data sets"),
        ("{mnist: {limit: 5}}", "put a dash"),
        ("[mnist, mnist]", "twice"),
        ("[mnist: {share: 0.5}, synthetic: {share: 0.4}]", "0.9 in sum, expected 1"),
        ("[mnist, synthetic: {share: 1}]", "no room"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(dataset: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"data: {{dataset: {dataset}}}\n{MODEL}")
    assert told in f"{caught.value.message} {caught.value.hint}"


def test_one_limit_for_a_whole_list_is_refused() -> None:
    (found,) = mistakes("[mnist]", "  limit: 5\n")
    assert found.startswith("my.yaml:3: data.limit: ")
