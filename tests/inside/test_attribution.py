"""Grad-CAM and the input gradient are those of PyTorch's autograd, and mean what they say."""

from typing import Any

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.inside import (
    attribution,
    cam_layer,
    class_maps,
    geometry,
    grad_cam,
    input_gradient,
    spread,
)
from cnncli.nn import Network, build_network
from cnncli.nn.layers import Flatten, Linear
from tests.inside.networks import SPECS, images_of, network_of


@pytest.fixture(scope="module")
def torch() -> Any:
    """PyTorch, imported only in a process that runs these tests."""
    return pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")


def as_torch(torch: Any, network: Network, x: Any, first: int, last: int) -> Any:
    """Return the output of PyTorch's layers from one to another."""
    return layers_as_torch(torch, network.layers[first:last], x)


def layers_as_torch(torch: Any, layers: Any, x: Any) -> Any:
    F = torch.nn.functional
    for layer in layers:
        if layer.kind == "residual":
            ways = ([part.layer for part in parts] for parts in (layer.body, layer.shortcut))
            x = sum(layers_as_torch(torch, way, x) for way in ways)
            continue
        p = {name: torch.tensor(each.value) for name, each in layer.parameters.items()}
        match layer.kind:
            case "conv":
                (top, bottom), (left, right) = layer.pads(tuple(x.shape[1:]))
                padded = F.pad(x, (left, right, top, bottom))
                moves = layer.stride, 0, layer.dilation, layer.groups
                x = F.conv2d(padded, p["weight"], p.get("bias"), *moves)
            case "maxpool":
                (top, bottom), (left, right) = layer.pads(tuple(x.shape[1:]))
                padded = F.pad(x, (left, right, top, bottom), value=-float("inf"))
                x = F.max_pool2d(padded, layer.pool_size, layer.stride)
            case "avgpool":
                modes = layer.ceil_mode, layer.count_include_pad
                x = F.avg_pool2d(x, layer.pool_size, layer.stride, layer.padding, *modes)
            case "prelu":
                x = F.prelu(x, p["weight"])
            case "silu":
                x = F.silu(x)
            case "gelu":
                x = F.gelu(x, approximate=layer.approximate)
            case "globalavgpool":
                x = x.mean(dim=(2, 3))
            case "batchnorm":
                mean, var = (torch.tensor(layer.buffers[name]) for name in ("running_mean", "running_var"))
                x = F.batch_norm(x, mean, var, p["gamma"], p["beta"], False, 0.1, layer.eps)
            case "leaky_relu":
                x = F.leaky_relu(x, layer.slope)
            case "relu" | "tanh" | "sigmoid":
                x = getattr(torch, layer.kind)(x)
            case "flatten":
                x = x.flatten(1)
            case "linear":
                x = F.linear(x, p["weight"], p.get("bias"))
    return x


@pytest.mark.parametrize("name", SPECS)
def test_the_maps_and_the_gradient_are_those_of_autograd(name: str, torch: Any) -> None:
    network = network_of(name)
    x = images_of(network, 3)
    classes = np.array([2, 0, 1])
    pixels = torch.tensor(x, requires_grad=True)
    layer = cam_layer(network)
    assert layer is not None
    cut = network.names.index(layer) + 1
    maps = as_torch(torch, network, pixels, 0, cut)
    maps.retain_grad()
    logits = as_torch(torch, network, maps, cut, len(network.layers))
    logits[np.arange(3), classes].sum().backward()
    weights = maps.grad.mean(dim=(2, 3), keepdim=True)
    expected = torch.relu((weights * maps).sum(dim=1)).detach().numpy()
    assert np.abs(class_maps(network, x, classes) - expected).max() < 1e-10
    assert np.abs(input_gradient(network, x, classes) - pixels.grad.numpy()).max() < 1e-10
    best = network.forward(x).argmax(axis=1)
    assert np.array_equal(class_maps(network, x), class_maps(network, x, best))
    assert np.array_equal(input_gradient(network, x), input_gradient(network, x, best))


def test_spreading_maps_without_an_offset_is_pytorchs_bilinear(torch: Any) -> None:
    rng = np.random.default_rng(0)
    network = build_network([{"avgpool": 4}, "flatten", {"linear": 2}], (1, 20, 28), rng=rng)
    field = geometry(network)["avgpool1"]
    assert field is not None
    maps = rng.normal(size=(2, 5, 7))
    expected = torch.nn.functional.interpolate(
        torch.tensor(maps)[:, None], (20, 28), mode="bilinear", align_corners=False
    )
    assert np.abs(spread(maps, field, (20, 28)) - expected.numpy()[:, 0]).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "layer"),
    [("plain", "relu1"), ("padded", "tanh1"), ("strided, in color", "sigmoid1"), ("means", "conv2")],
)
def test_the_maps_are_those_of_the_last_convolution_behind_its_activation(name: str, layer: str) -> None:
    assert cam_layer(network_of(name)) == layer


def test_a_convolution_with_a_single_position_knows_no_place() -> None:
    network = build_network(
        [{"conv": {"filters": 2, "kernel": 3}}, "relu", {"conv": {"filters": 2, "kernel": 6}}, "flatten"],
        (1, 8, 8),
        rng=np.random.default_rng(0),
    )
    assert cam_layer(network) == "relu1"


def test_a_bright_spot_that_makes_the_class_is_found_where_it_is() -> None:
    network = build_network(
        [{"conv": {"filters": 1, "kernel": 3}}, "relu", "globalavgpool", {"linear": 2}],
        (1, 16, 16),
        rng=np.random.default_rng(0),
    )
    network.layers[0].weight = np.ones((1, 1, 3, 3))
    network.layers[3].weight = [[1], [-1]]
    x = np.zeros((2, 1, 16, 16))
    x[0, 0, 3, 12] = x[1, 0, 14, 1] = 1
    found = grad_cam(network, x, np.array([0, 0]))
    assert found.shape == (2, 16, 16) and (found >= 0).all()
    # the mean of the positions that see the spot; near the border some of them are missing
    assert np.unravel_index(found[0].argmax(), (16, 16)) in [(r, c) for r in (2, 3, 4) for c in (11, 12, 13)]
    heavy = found[1] > found[1].max() / 2
    assert heavy[12:, :3].any() and not heavy[:10].any() and not heavy[:, 8:].any()
    assert (grad_cam(network, x, np.array([1, 1])) == 0).all()


def test_a_network_without_convolutions_shows_its_gradient() -> None:
    network = build_network(
        ["flatten", {"linear": 4}, "tanh", {"linear": 3}], (3, 5, 6), rng=np.random.default_rng(0)
    )
    x = images_of(network, 2)
    assert cam_layer(network) is None
    assert np.allclose(grad_cam(network, x), np.abs(input_gradient(network, x)).sum(axis=1))
    with pytest.raises(ModelError, match="no convolution"):
        class_maps(network, x)
    with pytest.raises(ModelError, match="linear1 has no maps, but 4 numbers"):
        class_maps(network, x, layer="linear1")


def test_images_are_explained_in_parts_that_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of("padded")
    x = images_of(network, 7)
    whole = grad_cam(network, x), input_gradient(network, x, np.arange(7) % 4)
    monkeypatch.setattr(attribution, "images_at_once", lambda network, keep: 3)
    parts = grad_cam(network, x), input_gradient(network, x, np.arange(7) % 4)
    assert all(np.allclose(a, b) for a, b in zip(whole, parts, strict=True))
    assert grad_cam(network, x[:0]).shape == (0, 10, 12)


def test_images_are_needed() -> None:
    with pytest.raises(ModelError, match="needs images"):
        grad_cam(Network([Linear(4, 2)], (4,)), np.zeros((1, 4)))
    network = Network([Flatten(), Linear(4, 2)], (1, 2, 2))
    assert input_gradient(network, np.zeros((0, 1, 2, 2))).shape == (0, 1, 2, 2)
