"""What is looked at are images of the model's own data, and "no ink" is the background of its pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.batches.batches import to_input
from cnncli.nn import Network, build_network
from cnncli.nn.layers import Flatten, Linear
from cnncli.training import explained, look
from cnncli.training.explained import insides_of, patches_title, unit_names, where_it_looked
from cnncli.training.model import Model, load_model

PREPARATION: dict[str, Any] = {
    "form": "as_is", "size": [28, 28], "colour": False, "background": "dark", "mean": 0.25,
}  # fmt: skip


def model_with(network: Network | None = None, **meta: Any) -> Model:
    network = network or Network([Flatten(), Linear(784, 10)], (1, 28, 28))
    classes = tuple(map(str, range(10)))
    meta = {"classes": classes, **meta}
    return Model(network, classes, None, "made", Path("made.npz"), "best", meta)


@pytest.mark.parametrize(
    ("background", "mean", "pixel"),
    [
        ("dark", 0.25, 0),
        ("bright", 0.25, 255),
        ("mixed", 0.25, 64),
        ("mixed", None, 128),
        ("mixed", 1.5, 255),
    ],
)
def test_no_ink_is_the_background(background: str, mean: float | None, pixel: int) -> None:
    model = model_with(preparation=PREPARATION | {"background": background, "mean": mean})
    assert look.pixel_without_ink(model) == pixel
    model = replace(model, normalize=(0.2, 0.5))
    if mean is not None:
        expected = to_input(np.full((1, 28, 28), pixel, np.uint8), (0.2, 0.5)).max()
        assert look.no_ink(model) == pytest.approx(float(expected))


def test_the_larger_the_network_the_fewer_images() -> None:
    assert look.images_to_look_at(model_with()) == look.MOST_IMAGES
    large = [{"conv": {"filters": 64, "kernel": 3, "padding": "same"}}] * 8 + [
        "globalavgpool",
        {"linear": 10},
    ]
    network = build_network(large, (3, 128, 128), rng=np.random.default_rng(0))
    assert look.images_to_look_at(model_with(network)) == look.LEAST_IMAGES


def test_the_images_are_spread_over_the_test_set(mnist_dir: Path) -> None:
    sample = look.sample_of_data(model_with(dataset="mnist"), mnist_dir.parent)
    assert sample is not None
    assert (sample.dataset, sample.part, len(sample.images)) == ("mnist", "test", 1000)
    assert sample.indices[:3].tolist() == [0, 10, 20] and sample.title == "1,000 test images of mnist"
    assert sample.images.shape == (1000, 28, 28) and sample.labels.shape == (1000,)


def test_a_set_that_is_not_here_or_has_other_images_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    assert look.sample_of_data(model_with(dataset="mnist"), tmp_path, said.append) is None
    assert "MNIST is not in" in said[0]
    assert look.sample_of_data(model_with(), tmp_path) is None
    other = model_with(Network([Flatten(), Linear(16, 10)], (1, 4, 4)), dataset="synthetic")
    assert look.sample_of_data(other, tmp_path, said.append) is None
    assert said[1].endswith("its images are (1, 28, 28), and the network takes (1, 4, 4)")
    assert look.sample_of_data(model_with(Network([Linear(3, 10)], (3,)), dataset="mnist")) is None


def test_batches_are_as_the_network_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "images_at_once", lambda network: 3)
    model = replace(model_with(), normalize=(0.2, 0.5))
    images = np.random.default_rng(0).integers(0, 255, (7, 28, 28), dtype=np.uint8)
    batches = list(look.input_batches(model, images))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert np.array_equal(np.concatenate(batches), to_input(images, (0.2, 0.5)))


def test_the_units_of_the_last_layer_are_the_classes(mnist_dir: Path) -> None:
    insides = insides_of(load_model("bundled"), mnist_dir.parent)
    first, *_, last = insides.patches
    assert patches_title(first, insides.classes) == "conv2: 32 filters, each sees 8x8 pixels"
    assert patches_title(last, insides.classes) == "linear1: 10 classes, each sees 28x28 pixels"
    assert unit_names(first, insides.classes)[:2] == ["0", "1"]
    assert unit_names(last, insides.classes) == list(map(str, range(10)))
    assert insides.sample is not None
    labels = insides.sample.labels[last.images[:, 0]]
    assert labels.tolist() == list(range(10))  # what excites the unit of a class most is of that class


def test_the_windows_of_a_large_network_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_with(preparation=PREPARATION)
    pixels = np.full((28, 28), 90, np.uint8)
    assert where_it_looked(model, pixels, 3).occlusion.stride == (2, 2)
    monkeypatch.setattr(explained, "LARGE", 100)
    found = where_it_looked(model, pixels, 3).occlusion
    assert found.stride == found.window == (6, 6)


def test_where_it_looked_is_where_the_digit_is(mnist_dir: Path) -> None:
    model = load_model("bundled")
    sample = look.sample_of_data(model, mnist_dir.parent)
    assert sample is not None
    for pixels, label in zip(sample.images[:3], sample.labels[:3].tolist(), strict=True):
        looked = where_it_looked(model, pixels, label)
        shares = looked.integrated.values[0]
        assert (shares[pixels == 0] == 0).all() and looked.integrated.gap <= 0.01
        for _, heat in looked.heats[:2]:
            weight = np.maximum(heat, 0)
            rows, columns = np.indices(heat.shape)
            center = (weight * rows).sum() / weight.sum(), (weight * columns).sum() / weight.sum()
            assert all(8 < each < 20 for each in center)
