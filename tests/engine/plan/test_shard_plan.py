"""Every stage has its own size of micro-batch, and passes the right images to the next stage."""

import itertools

import numpy as np
import pytest

import cnncli.engine.plan.micro_batch_sizes as sizes_module
from cnncli.engine.parallel.caller import FastExecutor
from cnncli.engine.plan.micro_batch_sizes import micro_batch_sizes
from cnncli.engine.plan.nodes import nodes_of
from cnncli.engine.plan.shard_plan import ShardPlan
from cnncli.engine.profile import Clock
from cnncli.nn.build import build_network
from tests.engine.oracle import SameMasks, batch, distance, margin, twins

BN, RELU, POOL = ("batchnorm", {}), ("relu", {}), ("maxpool", {"size": 2})


def conv(filters, kernel, **options):
    return ("conv", {"filters": filters, "kernel": kernel, **options})


END = [("globalavgpool", {}), ("linear", {"units": 5})]
# Every kernel that writes to a BatchNorm after it, or reads from one before it, in its own layout.
NETWORKS = {
    "rows": [BN, conv(4, 5, padding=2), BN, RELU, conv(4, 2, stride=2), BN, RELU, conv(6, 2), BN, *END],
    "winograd": [
        conv(12, 3, padding=1), RELU, BN, conv(12, 3, padding=1), BN, RELU, POOL,
        conv(12, 3, padding=1), RELU, BN, POOL, BN, conv(12, 3), RELU, BN, RELU, *END,
    ],
    "pools": [
        conv(10, 3), POOL, BN, RELU, ("avgpool", {"size": 3, "stride": 2}), BN,
        ("dropout", {"rate": 0.3}), ("tanh", {}), ("maxpool", {"size": 2, "stride": 1}), BN, ("globalavgpool", {}),
        BN, ("linear", {"units": 5}), BN,
    ],
    "flat": [
        conv(4, 3), BN, POOL, BN, RELU, ("flatten", {}), BN, ("linear", {"units": 6}), BN, RELU,
        ("linear", {"units": 5}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kernel_bytes", [30_000, 60_000, 200_000])
@pytest.mark.parametrize("images", [12, 32, 23])
@pytest.mark.parametrize("name", NETWORKS)
def test_stages_of_different_sizes_match_the_plain_layers(name, images, kernel_bytes, monkeypatch):
    monkeypatch.setattr(sizes_module, "_KERNEL_BYTES", kernel_bytes)
    model, shape = NETWORKS[name], (2, 17, 15)
    for seed in range(20):
        fast, exact = twins(model, shape, seed=seed)
        state = exact.state()
        x, labels = batch(shape, images, exact.output_shape[0], seed=seed)
        with FastExecutor(fast, batch_size=images, workers=1, shards=2) as executor:
            result = executor.loss_and_gradients(x, labels)
            sizes = [stage.micro_batches[0].images for stage in executor.plan(images).stages]
            wide = margin(exact, x.astype(np.float64), SameMasks(executor, images)) > 2e-6
            exact.load_state(state)
            loss, _ = exact.loss_and_gradients(x.astype(np.float64), labels, rng=SameMasks(executor, images))
            own, _ = twins(model, shape, seed=seed)
            own.loss_and_gradients(x, labels, rng=SameMasks(executor, images))
        if wide:
            break
    assert wide  # no decision depends on rounding
    assert result.loss == pytest.approx(loss, rel=1e-5)
    # A BatchNorm over a few images magnifies rounding, in the plain layers' float32 too.
    own_distance = distance(own.parameters.grads, exact.parameters.grads)
    assert distance(fast.parameters.grads, exact.parameters.grads) < max(1e-5, 4 * own_distance)
    for key, buffer in fast.buffers.items():
        assert distance(buffer, exact.buffers[key]) < 1e-5, key
    if kernel_bytes == 30_000 and images != 23:  # here the sizes differ
        assert len(set(sizes)) > 1


def stages_of(model, shape):
    model = [*model, ("globalavgpool", {})]
    nodes = nodes_of(build_network(model, shape, rng=np.random.default_rng(0)), training=True)
    cuts = [0, *(i for i, (kind, _) in enumerate(model) if kind == "batchnorm" and i), len(nodes)]
    return [nodes[start:stop] for start, stop in itertools.pairwise(cuts)]


@pytest.mark.parametrize("images", [1, 2, 11, 24, 32, 44, 64, 128, 500])
def test_a_later_stage_takes_a_multiple_and_no_micro_batch_is_cut(images):
    model = [conv(32, 3), BN, RELU, POOL, conv(16, 3), BN, POOL, conv(16, 3), BN, RELU]
    sizes = micro_batch_sizes(stages_of(model, (1, 28, 28)), images)
    assert len(sizes) == 4
    for size, following in itertools.pairwise(sizes):
        assert following % size == 0
        assert (images // size) % (following // size) == 0
    assert max(sizes) <= 32
    assert sizes[0] <= images


def test_small_images_go_in_larger_micro_batches():
    model = [conv(32, 3), BN, RELU, POOL, conv(32, 3), BN, POOL, conv(32, 3), BN, RELU, POOL]
    sizes = micro_batch_sizes(stages_of(model, (1, 28, 28)), 64)
    assert sizes[0] < sizes[-1]
    assert micro_batch_sizes([], 64) == []


@pytest.mark.parametrize("images", [3, 10, 17])
def test_every_image_is_in_one_slot_of_every_stage(images, monkeypatch):
    monkeypatch.setattr(sizes_module, "_KERNEL_BYTES", 20_000)
    network = build_network(NETWORKS["winograd"], (2, 17, 15), rng=np.random.default_rng(0))
    x = np.zeros((images, 2, 17, 15), np.float32)
    plan = ShardPlan(network, x, training=True, clock=Clock())
    for stage in plan.stages:
        rows = [group.rows(slot) for group in stage.micro_batches for slot in range(group.slots)]
        assert [i for part in rows for i in range(part.start, part.stop)] == list(range(images))
        for part in rows:
            group, slot = stage.find(part)
            assert group.rows(slot) == part


@pytest.mark.parametrize(
    ("model", "image_major"),
    [
        ([conv(12, 5), BN, RELU, conv(12, 3), *END], {"BatchNormKernel": True, "FirstConv": True}),
        ([conv(12, 5), BN, RELU, conv(12, 3), POOL, *END], {"BatchNormKernel": False, "FirstConv": False}),
        ([conv(12, 5), BN, RELU, conv(12, 5), *END], {"BatchNormKernel": False, "FirstConv": False}),
        ([conv(12, 5), BN, POOL, conv(12, 3), *END], {"BatchNormKernel": False, "FirstConv": False}),
    ],
)
def test_images_are_laid_out_as_the_next_convolution_reads_them(model, image_major):
    network = build_network(model, (2, 17, 15), rng=np.random.default_rng(0))
    plan = ShardPlan(network, np.zeros((4, 2, 17, 15), np.float32), training=True, clock=Clock())
    kernels = {type(k).__name__: k for group in plan.micro_batches() for k in group.kernels}
    for name, expected in image_major.items():
        assert kernels[name].workload.image_major is expected, name
