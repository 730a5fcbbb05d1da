"""A residual block in a config is a list of layers, and its mistakes are told like those of the model."""

import numpy as np
import pytest

from cnncli.config.check import check_names
from cnncli.config.load import parse_config
from cnncli.errors import ConfigError, ModelError
from cnncli.nn.build import build_network

BLOCK = """\
model:
  - residual:
      - conv: {filters: 8, kernel: 3, padding: same}
      - batchnorm
      - relu
  - flatten
  - linear: 10
train: {freeze: [residual1.conv1]}
"""


def problems(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check_names(parse_config(text, "net.yaml"))
    return f"{caught.value} {caught.value.hint or ''}"


def test_a_block_is_read_and_written() -> None:
    config = parse_config(BLOCK, "net.yaml")
    check_names(config)
    assert parse_config(config.to_yaml()) == config
    assert "- residual: [{conv: {filters: 8, kernel: 3, padding: same}}, batchnorm, relu]" in config.to_yaml()
    named = parse_config(
        BLOCK.replace("- residual:\n", "- residual:\n      layers:\n").replace("      - ", "        - ")
    )
    networks = [
        build_network(each.model, (1, 8, 8), rng=np.random.default_rng(0)) for each in (config, named)
    ]
    assert networks[0].spec() == networks[1].spec()
    assert networks[0].names == ("residual1", "flatten1", "linear1")
    again = build_network(networks[0].spec(), (1, 8, 8), rng=np.random.default_rng(0))
    for name, array in networks[0].state().items():
        np.testing.assert_array_equal(again.state()[name], array)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("[relu, {conv: {filters: 8, kernl: 3}}]", "layer 2 (conv): conv has no option 'kernl'"),
        ("[{conv2d: {filters: 8, kernel: 3}}]", "unknown layer 'conv2d' did you mean 'conv'?"),
        ("{layrs: [relu]}", "residual has no option 'layrs' did you mean 'layers'?"),
        ("{layers: 3}", "expected a list of layers, found 3"),
        ("[]", "a residual block needs layers"),
        ("[{residual: [relu]}]", "a residual block cannot be inside another one"),
        ("[{conv: 3, relu: 2}]", "model.0.residual.0.relu: expected one name"),
    ],
)
def test_a_mistake_in_a_block_is_told_with_its_place(block: str, message: str) -> None:
    found = problems(f"model:\n  - residual: {block}\n  - flatten\n  - linear: 10\n")
    assert message in found and "net.yaml:2: " in found


@pytest.mark.parametrize(
    ("block", "message", "hint"),
    [
        ([{"conv": {"filters": 8, "kernel": 3}}], "gives (8, 8, 8)", "use `padding: same`"),
        (["flatten"], "no shortcut leads there", "put flatten and globalavgpool after the block"),
    ],
)
def test_a_shape_without_a_shortcut_is_refused(block: list[object], message: str, hint: str) -> None:
    with pytest.raises(ModelError) as caught:
        build_network(
            [{"residual": block}, "flatten", {"linear": 3}], (1, 8, 8), rng=np.random.default_rng(0)
        )
    assert message in caught.value.message and hint in (caught.value.hint or "")
    assert caught.value.key_path[0] == 0


def test_a_layer_inside_a_block_can_be_frozen_and_no_other() -> None:
    text = BLOCK.replace("residual1.conv1", "residual1.conv2")
    assert "there is no layer 'residual1.conv2' did you mean 'residual1.conv1'?" in problems(text)
