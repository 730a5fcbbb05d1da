"""The plain network in float64 as the reference for the engine, and how close a network is to a change by rounding."""

import numpy as np

from cnncli.engine.kernels.activation import DropoutKernel
from cnncli.engine.kernels.layout import matching_columns, single_block, transposed
from cnncli.engine.parallel.caller import FastExecutor
from cnncli.nn.build import build_network
from cnncli.nn.layers import Dropout, LeakyReLU, MaxPool2D, Mode, PReLU, ReLU, Residual
from cnncli.nn.layers.windows import pad, taps
from cnncli.nn.network import Network


def twins(model, shape, seed=0):
    """Return a float32 network and a float64 network with the same weights."""
    fast = build_network(model, shape, rng=np.random.default_rng(seed))
    exact = build_network(model, shape, rng=np.random.default_rng(seed), dtype=np.float64)
    rng = np.random.default_rng(seed + 1)
    for name, parameter in fast.parameters.named.items():
        if parameter.value.ndim == 1:  # biases, gammas and betas start at 0 and 1, which would hide errors
            parameter.value += rng.normal(0, 0.3, parameter.shape).astype(np.float32)
        exact.parameters.named[name].value = parameter.value
    return fast, exact


def batch(shape, count, classes, seed=0):
    """Return random images and labels."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *shape)).astype(np.float32), rng.integers(0, classes, count)


def margin(network: Network, x, rng=None) -> float:
    """Return how close the closest decision (a ReLU's sign, a pool's maximum) is to a change, relative to its layer.

    Below some 1e-6, float32 and float64 may decide differently. Then their gradients differ, which is no error.
    """
    nearest, _ = _nearest(network.layers, x, rng)
    return float(nearest)


def _nearest(layers, x, rng):
    """Return the smallest margin of some layers, and their output."""
    nearest = np.inf
    for layer in layers:
        scale = np.sqrt((np.asarray(x) ** 2).mean()) + 1e-12
        if isinstance(layer, Residual):
            ways = [
                _nearest([part.layer for part in parts], x, rng) for parts in (layer.body, layer.shortcut)
            ]
            nearest = min(nearest, *(margin for margin, _ in ways))
            x = ways[0][1] + ways[1][1]
            continue
        if isinstance(layer, ReLU | LeakyReLU | PReLU):
            nearest = min(nearest, np.abs(x).min() / scale)
        elif isinstance(layer, MaxPool2D):
            _, oh, ow = layer.output_shape(x.shape[1:])
            padded = pad(x, layer.pads(x.shape[1:]), fill=-np.inf)
            seen = np.sort([padded[tap] for tap in taps(layer.pool_size, layer.stride, (oh, ow))], axis=0)
            if len(seen) > 1:
                gap = seen[-1] - seen[-2]
                nearest = min(nearest, gap[gap > 0].min(initial=np.inf) / scale)
        x = layer.forward(x, Mode(training=True, rng=rng))
    return nearest, x


def distance(found, expected) -> float:
    """Return the relative L2 distance."""
    return float(np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-12))


class SameMasks:
    """Takes the place of a generator: gives the plain Dropout layers the masks that the plan has drawn.

    Args:
        executor: has just run a batch with `workers=1`, so that its plans are in this process.
        images: of that batch.
    """

    def __init__(self, executor: FastExecutor, images: int) -> None:
        network = executor.network
        self.masks = []
        for index, (_, layer, _, shape) in enumerate(network.walk()):
            if isinstance(layer, Dropout) and layer.rate > 0:
                self.masks.append(_mask(executor, index, shape, images))

    def random(self, shape, dtype):
        mask = self.masks.pop(0)
        assert mask.shape == shape
        return mask.astype(dtype)


def _mask(executor, index, shape, images):
    shards = []
    for shard in range(min(executor.shards, images)):
        plan = executor.plan(images, shard)
        masks = np.empty((plan.images, *shape))
        for group in plan.micro_batches():
            for kernel in group.kernels:
                if isinstance(kernel, DropoutKernel) and kernel.nodes[0].index == index:
                    for slot in range(group.slots):
                        kept = np.empty(kernel.shape, bool)
                        layout = kernel.workload.layout(kernel.kept[slot], kernel.shape)
                        for own, view in matching_columns(layout, single_block(kept)):
                            view[...] = own
                        masks[group.rows(slot)] = transposed(kept)
        shards.append(masks)
    return np.concatenate(shards)
