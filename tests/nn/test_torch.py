"""Every layer and the loss agree with PyTorch, forward and in all gradients, in float64."""

from typing import Any

import numpy as np
import pytest

from cnncli.nn import BatchNorm, Mode, Network, cross_entropy, log_softmax, softmax
from cnncli.nn.layers import Conv2D, Flatten, Layer, LeakyReLU, Linear, MaxPool2D, ReLU
from tests.nn.cases import CASES, Case, named

torch: Any = None
F: Any = None


@pytest.fixture(scope="module", autouse=True)
def import_torch() -> None:
    """Import PyTorch, which takes seconds, only in a process that runs tests of this file."""
    global torch, F
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    F = torch.nn.functional


CLOSE = 1e-10


def as_torch(
    case: Case, layer: Any, x: Any, p: dict[str, Any], buffers: dict[str, Any], training: bool
) -> Any:
    """Return the output of PyTorch for x with the same parameters p."""
    match case.kind:
        case "conv":
            (top, bottom), (left, right) = layer.pads(case.shape[1:])
            padded = F.pad(x, (left, right, top, bottom))
            return F.conv2d(padded, p["weight"], p.get("bias"), layer.stride, 0, layer.dilation, layer.groups)
        case "maxpool":
            return F.max_pool2d(x, layer.pool_size, layer.stride, layer.padding, 1, layer.ceil_mode)
        case "avgpool":
            return F.avg_pool2d(
                x, layer.pool_size, layer.stride, layer.padding, layer.ceil_mode, layer.count_include_pad
            )
        case "globalavgpool":
            return F.adaptive_avg_pool2d(x, 1).flatten(1)
        case "relu":
            return F.relu(x)
        case "leaky_relu":
            return F.leaky_relu(x, layer.slope)
        case "prelu":
            return F.prelu(x, p["weight"])
        case "silu":
            return F.silu(x)
        case "gelu":
            return F.gelu(x, approximate=layer.approximate)
        case "tanh":
            return torch.tanh(x)
        case "sigmoid":
            return torch.sigmoid(x)
        case "flatten":
            return x.flatten(1)
        case "linear":
            return F.linear(x, p["weight"], p.get("bias"))
        case "residual":
            y = shortcut = x
            for part in layer.parts:
                inside = f"{part.name}."
                own = {name.removeprefix(inside): a for name, a in p.items() if name.startswith(inside)}
                kept = {
                    name.removeprefix(inside): a for name, a in buffers.items() if name.startswith(inside)
                }
                inner = Case(part.layer.kind, (len(x), *part.input_shape), {})
                if part in layer.body:
                    y = as_torch(inner, part.layer, y, own, kept, training)
                else:
                    shortcut = as_torch(inner, part.layer, shortcut, own, kept, training)
            return y + shortcut
        case "batchnorm":
            mean, var = buffers["running_mean"], buffers["running_var"]
            return F.batch_norm(x, mean, var, p["gamma"], p["beta"], training, layer.momentum, layer.eps)
    return pytest.fail(f"no PyTorch counterpart of {case.kind} is written down")


def torch_can(case: Case) -> bool:
    """PyTorch has no pooling with padding above half a window or in words, nor BatchNorm of one value per channel."""
    if case.kind in ("maxpool", "avgpool"):
        layer: Any = case.layer()
        sides = layer.padding
        return not isinstance(sides, str) and all(
            isinstance(side, int) and 2 * side <= size
            for side, size in zip(sides, layer.pool_size, strict=True)
        )
    if case.kind == "batchnorm":
        return np.prod(case.shape) > case.shape[1]
    return case.kind != "dropout"  # draws differently; the plain loops check it


def compare(case: Case, training: bool) -> None:
    layer, x = case.layer(), case.x()
    p = {name: torch.tensor(a.value, requires_grad=True) for name, a in layer.parameters.items()}
    buffers = {name: torch.tensor(buffer) for name, buffer in layer.buffers.items()}
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = as_torch(case, layer, x_torch, p, buffers, training)
    y = layer.forward(x, Mode(training=training, keep=True))
    dy = case.dy(y)
    dx = layer.backward(dy)
    y_torch.backward(torch.tensor(dy))
    assert np.abs(y - y_torch.detach().numpy()).max() < CLOSE
    assert np.abs(dx - x_torch.grad.numpy()).max() < CLOSE
    for name, parameter in layer.parameters.items():
        assert np.abs(parameter.grad - p[name].grad.numpy()).max() < CLOSE
    for name, buffer in layer.buffers.items():
        assert np.abs(buffer - buffers[name].numpy()).max() < CLOSE


@pytest.mark.parametrize("kind", [kind for kind, cases in CASES.items() if any(map(torch_can, cases))])
def test_layer_agrees_with_torch(kind: str) -> None:
    for case in filter(torch_can, CASES[kind]):
        with named(case):
            compare(case, training=True)


@pytest.mark.parametrize("case", CASES["batchnorm"], ids=str)
def test_batchnorm_in_evaluation_agrees_with_torch(case: Case) -> None:
    compare(case, training=False)


def test_running_statistics_agree_with_torch_after_many_batches() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = (
        BatchNorm(3, momentum=0.2, dtype=np.float64),
        torch.nn.BatchNorm2d(3, momentum=0.2).double(),
    )
    for size in (5, 2, 8, 1, 3):
        x = rng.normal(2, 3, (size, 3, 4, 5))
        ours.forward(x, Mode(training=True))
        theirs(torch.tensor(x))
    np.testing.assert_allclose(ours.running_mean, theirs.running_mean.numpy(), atol=CLOSE, rtol=0)
    np.testing.assert_allclose(ours.running_var, theirs.running_var.numpy(), atol=CLOSE, rtol=0)


def test_ties_of_max_pooling_go_where_torch_sends_them() -> None:
    rng = np.random.default_rng(0)
    for size, stride, padding in ((2, 2, 0), (3, 1, 1), (3, 2, 1), (5, 3, 2)):
        x = rng.integers(0, 3, (4, 2, 9, 8)).astype(float)
        layer = MaxPool2D(size, stride, padding)
        y = layer.forward(x, Mode(training=True))
        dy = rng.normal(size=y.shape)
        x_torch = torch.tensor(x, requires_grad=True)
        F.max_pool2d(x_torch, size, stride, padding).backward(torch.tensor(dy))
        np.testing.assert_allclose(layer.backward(dy), x_torch.grad.numpy(), atol=CLOSE, rtol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("scale", [1, 100, 1e4])
@pytest.mark.parametrize("shape", [(1, 2), (3, 10), (7, 3), (16, 26), (2, 1)], ids=str)
def test_cross_entropy_agrees_with_torch(shape: tuple[int, int], scale: float, smoothing: float) -> None:
    rng = np.random.default_rng(1)
    logits, labels = scale * rng.uniform(-1, 1, shape), rng.integers(0, shape[1], shape[0])
    loss, dlogits = cross_entropy(logits, labels, smoothing)
    z = torch.tensor(logits, requires_grad=True)
    want = F.cross_entropy(z, torch.tensor(labels), label_smoothing=smoothing)
    want.backward()
    assert loss == pytest.approx(want.item(), rel=1e-13, abs=CLOSE)
    np.testing.assert_allclose(dlogits, z.grad.numpy(), atol=CLOSE, rtol=0)
    np.testing.assert_allclose(softmax(logits), torch.softmax(z, 1).detach().numpy(), atol=CLOSE, rtol=0)
    np.testing.assert_allclose(
        log_softmax(logits), torch.log_softmax(z, 1).detach().numpy(), rtol=1e-12, atol=CLOSE
    )


def test_a_whole_network_agrees_with_torch() -> None:
    rng = np.random.default_rng(0)
    layers: list[Layer] = [
        Conv2D(2, 4, 3, padding=1, rng=rng, dtype=np.float64), BatchNorm(4, dtype=np.float64), ReLU(),
        MaxPool2D(2), Conv2D(4, 3, (3, 2), stride=2, padding=1, rng=rng, dtype=np.float64), LeakyReLU(0.1),
        Flatten(), Linear(3 * 3 * 3, 5, rng=rng, dtype=np.float64),
    ]  # fmt: skip
    network = Network(layers, (2, 10, 9))
    conv1, norm, _, _, conv2, _, _, linear = layers
    modules = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(4, 3, (3, 2), stride=2, padding=1), torch.nn.LeakyReLU(0.1), torch.nn.Flatten(),
        torch.nn.Linear(27, 5),
    ).double()  # fmt: skip
    ours = [p for layer in (conv1, norm, conv2, linear) for p in layer.parameters.values()]
    with torch.no_grad():
        for theirs, parameter in zip(modules.parameters(), ours, strict=True):
            theirs.copy_(torch.tensor(parameter.value))
    x, labels = rng.normal(size=(6, 2, 10, 9)), rng.integers(0, 5, 6)
    loss, _ = network.loss_and_gradients(x, labels)
    want = F.cross_entropy(modules(torch.tensor(x)), torch.tensor(labels))
    want.backward()
    assert loss == pytest.approx(want.item(), abs=CLOSE)
    for theirs, parameter in zip(modules.parameters(), ours, strict=True):
        np.testing.assert_allclose(parameter.grad, theirs.grad.numpy(), atol=CLOSE, rtol=0)
