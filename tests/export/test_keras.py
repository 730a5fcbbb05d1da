"""A .keras file is a model of Keras' own layers that gives the answers of the network."""

import json
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from cnncli.errors import UsageError
from cnncli.export.images import logits_of
from cnncli.export.keras_file import answers, write

from .networks import (
    EVERY_LAYER,
    GENERAL_KERAS,
    KERAS_LAYERS,
    LISTS,
    MEANS,
    OVERLAPPING,
    digits,
    make_config_subject,
    make_subject,
)

pytest.importorskip("h5py", reason="h5py is not installed (extra keras)")

NETWORKS = {
    **{path.stem: lambda path=path: make_config_subject(path) for path in LISTS},
    "every-layer": lambda: make_subject(KERAS_LAYERS),
    "every-layer-in-color": lambda: make_subject(KERAS_LAYERS, (3, 21, 16)),
    "general": lambda: make_subject(GENERAL_KERAS),
    "means": lambda: make_subject(MEANS, (3, 13, 9), 5),
    "same-at-stride-2": lambda: make_subject(
        [
            {"conv": {"filters": 4, "kernel": 5, "stride": 2, "padding": "same"}},
            "relu",
            "flatten",
            {"linear": 10},
        ]
    ),
    "max-at-the-border": lambda: make_subject([OVERLAPPING, "flatten", {"linear": 10}], (1, 11, 13)),
    "no-dense-layer": lambda: make_subject(
        [{"conv": {"filters": 1, "kernel": 3}}, {"maxpool": 8}, "flatten"], classes=9
    ),
    "no-dense-layer-and-channels": lambda: make_subject(
        [{"conv": {"filters": 2, "kernel": 3}}, {"maxpool": [8, 12]}, "flatten"], (1, 26, 14), classes=6
    ),
}


# Keras 3.15 with PyTorch calls NumPy in a way that NumPy 2 warns about
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_keras_gives_the_logits_of_the_network(name, tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="keras is not installed")
    subject = NETWORKS[name]()
    path = tmp_path / "net.keras"
    path.write_bytes(write(subject)[".keras"])
    images = digits(20, subject.folded.input_shape)
    expected = logits_of(subject.model.network, subject.model.normalize, images)
    np.testing.assert_allclose(answers(path, subject, images), expected, rtol=0, atol=1e-4)


def test_the_archive_has_layers_weights_and_facts() -> None:
    import h5py

    subject = NETWORKS["same-at-stride-2"]()
    with zipfile.ZipFile(BytesIO(write(subject)[".keras"])) as archive:
        config = json.loads(archive.read("config.json"))["config"]
        facts = json.loads(archive.read("assets/facts.json"))
        with h5py.File(BytesIO(archive.read("model.weights.h5"))) as file:
            kernel, rows = (np.array(file[f"layers/{layer}/vars/0"]) for layer in ("conv2d", "dense"))
    kinds = [layer["class_name"] for layer in config["layers"]]
    assert kinds == [
        "InputLayer", "Rescaling", "ZeroPadding2D", "Conv2D", "Activation", "Flatten", "Dense", "Softmax",
    ]  # fmt: skip
    # 14 = ceil(28 / 2) windows of 5 pixels at every second one need 3 more: 1 before and 2 after
    assert config["layers"][2]["config"]["padding"] == [[1, 2], [1, 2]]
    conv, _, _, linear = subject.folded.steps
    assert kernel.shape == (5, 5, 1, 4) and kernel[3, 1, 0, 2] == conv.weight[2, 0, 3, 1]
    # (C, H, W) = (4, 14, 14): the second number of Keras is the second channel of the first pixel
    assert rows.shape == (784, 10) and rows[1, 7] == linear.weight[7, 14 * 14]
    assert facts["classes"] == list("0123456789")


def test_a_padding_that_keras_lacks_is_refused_by_the_name_of_its_layer() -> None:
    with pytest.raises(
        UsageError, match=r"maxpool1 cannot be written for Keras, which has no padding of"
    ) as caught:
        write(make_subject(EVERY_LAYER))
    assert "put a relu before it" in caught.value.hint


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        ({"gelu": "tanh"}, "gelu1 cannot be written for Keras, whose files have no name"),
        ({"avgpool": {"size": 3, "stride": 2, "ceil_mode": True}}, "avgpool1 cannot be written for Keras"),
        ({"residual": ["relu"]}, "residual1 cannot be written for Keras"),
        (
            {"conv": {"filters": 2, "kernel": 3, "stride": 2, "dilation": 2}},
            "conv1 cannot be written for Keras, whose convolutions have no stride beside a dilation",
        ),
    ],
)
def test_what_keras_lacks_is_refused_with_what_to_do(layer, why) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        write(make_subject([layer, "flatten", {"linear": 10}]))
    assert "another format" in caught.value.hint


def test_the_temperature_is_a_layer_before_the_softmax() -> None:
    subject = make_subject(["flatten", {"linear": 10}], calibration={"temperature": 2.0})
    with zipfile.ZipFile(BytesIO(write(subject)[".keras"])) as archive:
        *_, scaled, last = json.loads(archive.read("config.json"))["config"]["layers"]
    assert (scaled["config"]["scale"], last["class_name"]) == (0.5, "Softmax")
