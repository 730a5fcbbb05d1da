"""The exciting patches are those that a search over all answers finds."""

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.inside import cut_patch, exciting_patches, layer_outputs, patch_tile, receptive_fields
from cnncli.nn import Network
from cnncli.nn.layers import Conv2D, Linear, ReLU
from tests.inside.networks import SPECS, images_of, network_of


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("top", [1, 4, 50])
def test_they_are_the_best_of_all_answers(name: str, top: int) -> None:
    network = network_of(name)
    x = images_of(network, 11)
    found = exciting_patches(network, [x[:4], x[4:5], x[5:]], top=top)
    weighed = [n for n in network.names if n.rstrip("0123456789") in ("conv", "linear", "residual")]
    assert list(found) == weighed[1:]
    outputs = {each.name: each.values for each in layer_outputs(network, x)}
    for layer, patches in found.items():
        values = outputs[patches.measured_at]
        after = network.names.index(layer) + 1
        behind = network.names[after] if after < len(network.names) else ""
        assert patches.measured_at == (behind if behind.startswith("batchnorm") else layer)
        for f in range(values.shape[1]):
            best = []  # of each image: its largest answer, and where it is first
            for n in range(len(x)):
                answers = values[n, f].reshape(-1)
                best.append((-max(answers), n, int(np.argmax(answers))))
            best = sorted(best)[:top]
            assert patches.images[f].tolist() == [n for _, n, _ in best]
            assert np.allclose(patches.values[f], [-value for value, _, _ in best])
            width = values.shape[3] if values.ndim == 4 else 1
            positions = [list(divmod(place, width)) for _, _, place in best]
            assert patches.positions[f].tolist() == positions
            boxes = [receptive_fields(network, patches.measured_at, *at).tolist() for at in positions]
            assert patches.boxes[f].tolist() == boxes


def test_of_equal_answers_the_first_images_count_whatever_the_batches() -> None:
    network = network_of("plain")
    x = np.repeat(images_of(network, 1), 9, axis=0)
    for sizes in ([9], [1] * 9, [4, 5]):
        batches = np.split(x, np.cumsum(sizes)[:-1])
        found = exciting_patches(network, batches, top=3, layers=["conv1"])["conv1"]
        assert found.images.tolist() == [[0, 1, 2]] * 4
        assert (found.positions == found.positions[:, :1]).all()


def test_only_the_layers_that_are_asked_for_are_searched() -> None:
    network = network_of("strided, in color")
    x = images_of(network, 2)
    assert list(exciting_patches(network, [x], layers=["conv2"])) == ["conv2"]
    assert list(exciting_patches(network, [x])) == ["conv2", "linear1", "linear2"]
    with pytest.raises(ModelError, match="conv9 is no convolution or linear layer") as caught:
        exciting_patches(network, [x], layers=["conv9"])
    assert caught.value.hint == "known: conv1, conv2, linear1, linear2"


def test_a_filter_that_its_relu_never_lets_through_is_silent() -> None:
    network = Network([Conv2D(1, 2, 3), ReLU()], (1, 5, 5))
    network.layers[0].bias = [1000, -1000]
    found = exciting_patches(network, [images_of(network, 3)], layers=["conv1"])["conv1"]
    assert found.silent.tolist() == [False, True]


def test_answers_that_are_no_numbers_have_no_patch() -> None:
    network = network_of("plain")
    x = images_of(network, 3)
    x[1] = np.nan
    found = exciting_patches(network, [x], top=3, layers=["conv1"])["conv1"]
    assert (found.images[:, 2] == -1).all() and (found.images[:, :2] != 1).all()


def test_a_patch_is_cut_by_the_border() -> None:
    network = Network([Conv2D(1, 1, 3, padding=1), Conv2D(1, 1, 3, padding=1)], (1, 6, 6))
    for layer in network.layers:
        layer.weight = np.ones((1, 1, 3, 3))
    x = np.zeros((1, 1, 6, 6), np.float32)
    x[0, 0, 0, 5] = 1  # the first window with the pixel in it is the best of equal ones
    found = exciting_patches(network, [x], top=1)["conv2"]
    assert found.window == (5, 5)
    box = found.boxes[0, 0]
    picture = (255 * x[0, 0]).astype(np.uint8)
    patch = cut_patch(picture, box)
    left, top, right, bottom = box
    assert patch.shape == (bottom - top, right - left) and patch.max() == 255
    assert 0 <= left < right <= 6 and 0 <= top < bottom <= 6 and patch.shape != (5, 5)


def test_a_network_without_images_has_no_patches() -> None:
    with pytest.raises(ModelError, match="patches are parts of images"):
        exciting_patches(Network([Linear(4, 2)], (4,)), [])


@pytest.mark.parametrize("name", SPECS)
def test_a_tile_has_the_patch_where_it_is_in_the_window(name: str) -> None:
    network = network_of(name)
    x = images_of(network, 6)
    C, H, W = network.input_shape
    images = np.random.default_rng(2).integers(0, 255, (6, H, W, C) if C == 3 else (6, H, W), np.uint8)
    for patches in exciting_patches(
        network, [x], top=3, layers=[n for n in network.names if n[:4] in ("conv", "line")]
    ).values():
        for f, k in np.ndindex(*patches.values.shape):
            image = images[patches.images[f, k]]
            tile = patch_tile(image, patches, f, k, 255)
            assert tile.shape[:2] == patches.window
            cut = cut_patch(image, patches.boxes[f, k])
            inside = (tile != 255).reshape(*tile.shape[:2], -1).any(axis=2)
            rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
            if cut.size:
                found = tile[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                assert np.array_equal(found, cut)
