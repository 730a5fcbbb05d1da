"""Training with the engine: the same results as the plain layers, and the same bits for any number of workers."""

import hashlib

import numpy as np
import pytest

import cnncli.engine as engine
from cnncli.batches.augment import make_augmentation
from cnncli.batches.batches import Batches
from cnncli.engine.executor import StepSettings
from cnncli.engine.parallel.caller import FastExecutor
from cnncli.engine.plain import PlainExecutor
from cnncli.engine.plan.kernel_table import KERNELS
from cnncli.errors import DataError, DivergenceError, ModelError
from cnncli.nn.build import build_network
from cnncli.nn.layers import INFERENCE, LAYERS, Layer
from cnncli.optim.optimizers import make_optimizer
from tests.engine.conftest import start_methods
from tests.engine.numbered import Numbered
from tests.engine.oracle import SameMasks, batch, distance, twins

BN, RELU = ("batchnorm", {}), ("relu", {})


def conv(filters, kernel, **options):
    return ("conv", {"filters": filters, "kernel": kernel, **options})


REFERENCE = [
    conv(32, 3, padding="same"), RELU, ("maxpool", {"size": 2}),
    conv(64, 3, padding="same"), RELU, ("maxpool", {"size": 2}),
    ("flatten", {}), ("linear", {"units": 128}), RELU, ("dropout", {"rate": 0.5}), ("linear", {"units": 10}),
]  # fmt: skip
BLOCKS = [
    conv(6, 3, padding="same", bias=False), BN, RELU, conv(6, 3, padding="same", bias=False), BN, RELU,
    ("maxpool", {"size": 2}), ("dropout", {"rate": 0.3}), conv(8, 5, stride=2, padding="same"), RELU, BN,
    ("globalavgpool", {}), ("dropout", {"rate": 0.2}), ("linear", {"units": 10}),
]  # fmt: skip
CLASSIC = [
    conv(6, 5, padding=2), ("tanh", {}), ("avgpool", {"size": 2}), conv(16, 5), ("tanh", {}), ("avgpool", {"size": 2}),
    ("flatten", {}), ("linear", {"units": 30}), ("sigmoid", {}), ("linear", {"units": 10}),
]  # fmt: skip
RESIDUAL = [
    conv(9, 3, padding="same", bias=False), BN, RELU,
    ("residual", {"layers": [
        conv(9, 3, padding="same", bias=False), BN, RELU, ("dropout", {"rate": 0.3}), conv(9, 3, padding=1), BN,
    ]}), RELU,
    ("residual", {"layers": [conv(12, 3, padding=1, stride=2, bias=False), BN, RELU, conv(12, 3, padding=1), BN]}),
    RELU, ("globalavgpool", {}), ("dropout", {"rate": 0.2}), ("linear", {"units": 10}),
]  # fmt: skip
NETWORKS = {
    "reference": (REFERENCE, (1, 28, 28)),
    "blocks": (BLOCKS, (3, 16, 15)),
    "classic": (CLASSIC, (1, 28, 28)),
    "residual": (RESIDUAL, (2, 12, 13)),
}


def distance_after_20_steps(name, seed):
    model, shape = NETWORKS[name]
    whole, ragged = (6, 5) if name == "reference" else (16, 11)  # it takes the plain layers long
    fast, exact = twins(model, shape, seed=seed)
    ours, theirs = (make_optimizer("sgd", {"momentum": 0.9}, n.parameters) for n in (fast, exact))
    with FastExecutor(fast, batch_size=whole, workers=1, shards=2) as executor:
        for step in range(20):
            images = ragged if step % 5 == 4 else whole
            x, labels = batch(shape, images, 10, seed=100 * seed + step)
            executor.train_step(x, labels, ours, StepSettings(1e-2), key=(7, 1, step))
            exact.loss_and_gradients(x.astype(np.float64), labels, rng=SameMasks(executor, images))
            theirs.step(1e-2)
    for key, buffer in fast.buffers.items():
        assert distance(buffer, exact.buffers[key]) < 1e-3, key
    return distance(fast.parameters.values, exact.parameters.values)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_after_20_steps_are_those_of_the_plain_layers(name):
    """The weights agree almost to the last bits of float32, except where two values in a pool differ by less than that.

    Such a pixel may send its gradient another way, and then the weights differ by some 1e-4. The plain layers in
    float32 and in float64 differ in the same way. So one of four starts may contain such a pixel.
    """
    distances = sorted(distance_after_20_steps(name, seed) for seed in range(4))
    assert distances[2] < 1e-6
    assert distances[3] < 1e-3


def test_adam_changes_the_reference_network_in_the_same_way():
    fast, exact = twins(REFERENCE, (1, 28, 28))
    ours, theirs = (make_optimizer("adam", {}, n.parameters) for n in (fast, exact))
    start = fast.parameters.values.copy()
    with FastExecutor(fast, batch_size=12, workers=1) as executor:
        for step in range(20):
            x, labels = batch((1, 28, 28), 12, 10, seed=step)
            executor.train_step(x, labels, ours, StepSettings(1e-3), key=(7, 1, step))
            exact.loss_and_gradients(x.astype(np.float64), labels, rng=SameMasks(executor, 12))
            theirs.step(1e-3)
    # Adam divides tiny gradients by their own size, so the sign of noise counts fully: compare the whole change.
    assert distance(fast.parameters.values - start, exact.parameters.values - start) < 0.02


def trained(name, steps=6, *, optimizer="adam", **options):
    model, shape = NETWORKS[name]
    network = build_network(model, shape, rng=np.random.default_rng(5))
    rule = make_optimizer(optimizer, {"weight_decay": 1e-3}, network.parameters)
    with FastExecutor(network, batch_size=32, **options) as executor:
        losses = []
        for step in range(steps):
            x, labels = batch(shape, 21 if step == 3 else 32, 10, seed=step)
            norm = 0.5 if step % 2 else None
            result = executor.train_step(x, labels, rule, StepSettings(1e-3, 0.1, norm), key=(3, 1, step))
            losses.append(result.loss)
        logits = executor.forward(batch(shape, 40, 10)[0])
    digest = hashlib.sha256(network.parameters.values.tobytes())
    for buffer in network.buffers.values():
        digest.update(buffer.tobytes())
    return digest.hexdigest(), losses, logits.tobytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_do_not_depend_on_the_workers(name):
    alone = trained(name, shards=4, workers=1)
    assert trained(name, shards=4, workers=2, pool="threads") == alone
    assert trained(name, shards=4, workers=3, pool="threads") == alone
    assert trained(name, shards=4, workers=4, pool="threads") == alone


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", start_methods("fork", "forkserver"))
def test_weights_do_not_depend_on_whether_and_how_workers_are_processes(name, method):
    alone = trained(name, shards=4, workers=1, optimizer="adamw")
    for workers in (2, 4):
        processes = {"workers": workers, "pool": "processes", "start_method": method}
        assert trained(name, shards=4, **processes, optimizer="adamw") == alone


def test_a_small_last_batch_may_leave_shards_and_workers_without_images():
    network = build_network(BLOCKS, (3, 16, 15), rng=np.random.default_rng(5))
    other = build_network(BLOCKS, (3, 16, 15), rng=np.random.default_rng(5))
    x, labels = batch((3, 16, 15), 2, 10)
    with (
        FastExecutor(network, shards=4, workers=4, pool="threads") as four,
        FastExecutor(other, shards=4, workers=1) as one,
    ):
        assert four.loss_and_gradients(x, labels) == one.loss_and_gradients(x, labels)
    assert np.array_equal(network.parameters.grads, other.parameters.grads)


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_does_not_depend_on_the_batch_size(name):
    model, shape = NETWORKS[name]
    network = build_network(model, shape, rng=np.random.default_rng(5))
    x, _ = batch(shape, 70, 10)
    with FastExecutor(network, shards=2, workers=1) as executor:
        whole = executor.forward(x)
        for size in (1, 3, 32):
            parts = np.concatenate([executor.forward(x[i : i + size]) for i in range(0, 70, size)])
            assert distance(parts, whole) < 1e-6
            assert np.array_equal(parts.argmax(axis=1), whole.argmax(axis=1))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_executor_for_inference_prepares_the_weights_once_and_does_not_train(workers, monkeypatch):
    model, shape = NETWORKS["blocks"]
    network = build_network(model, shape, rng=np.random.default_rng(5))
    x, labels = batch(shape, 40, 10)
    expected, prepared = network.forward(x), []
    for kernel in KERNELS:
        monkeypatch.setattr(
            kernel, "prepare", lambda self, _, own=kernel.prepare: (prepared.append(1), own(self, _))
        )
    with engine.compile(network, workers=workers, shards=2, inference=True) as executor:
        assert distance(executor.forward(x), expected) < 1e-6
        once = len(prepared)
        assert distance(executor.forward(x), expected) < 1e-6
        assert len(prepared) == once > 0
        for train in (
            lambda: executor.loss_and_gradients(x, labels),
            lambda: executor.train_batch(Numbered(shape), None, StepSettings(1e-2), key=(1, 1, 0)),
        ):
            with pytest.raises(ModelError, match="compiled for inference"):
                train()


def test_dropout_draws_and_masks_like_the_plain_layer():
    model = [
        conv(4, 3),
        ("dropout", {"rate": 0.4}),
        RELU,
        ("flatten", {}),
        ("dropout", {"rate": 0.2}),
        ("linear", {"units": 5}),
    ]
    fast, exact = twins(model, (1, 9, 9))
    x, labels = batch((1, 9, 9), 50, 5)
    with FastExecutor(fast, workers=1, shards=2) as executor:
        result = executor.loss_and_gradients(x, labels, key=(1, 2, 3))
        masks = SameMasks(executor, 50)
        kept = [mask.mean() for mask in masks.masks]
        again = executor.loss_and_gradients(x, labels, key=(1, 2, 3))
        other = executor.loss_and_gradients(x, labels, key=(1, 2, 4))
        logits = executor.forward(x)
    assert kept == pytest.approx([0.6, 0.8], abs=0.02)
    assert result.loss == again.loss != other.loss
    loss, _ = exact.loss_and_gradients(x.astype(np.float64), labels, rng=masks)
    assert result.loss == pytest.approx(loss, rel=1e-5)
    assert distance(logits, exact.forward(x)) < 1e-5


@pytest.mark.parametrize("workers", [1, 2])
def test_divergence_is_reported_before_the_parameters_change(workers):
    network = build_network(REFERENCE, (1, 28, 28), rng=np.random.default_rng(0))
    rule = make_optimizer("adam", {}, network.parameters)
    x, labels = batch((1, 28, 28), 32, 10)
    with FastExecutor(network, workers=workers, shards=2) as executor:
        executor.train_step(x, labels, rule, StepSettings(1e-3), key=(0, 1, 0))
        before = network.parameters.values.copy()
        x[30, 0, 5, 5] = np.nan
        with pytest.raises(DivergenceError) as caught:
            executor.train_step(x, labels, rule, StepSettings(1e-3), key=(0, 1, 1))
        assert caught.value.tensor == "loss"
        assert np.array_equal(network.parameters.values, before)
        assert rule.step_count == 1
        x[30, 0, 5, 5] = 0
        executor.train_step(x, labels, rule, StepSettings(1e-3), key=(0, 1, 1))
    assert rule.step_count == 2


def test_a_gradient_whose_square_overflows_is_no_divergence():
    network = build_network(
        [("flatten", {}), ("linear", {"units": 3})], (1, 2, 2), rng=np.random.default_rng(0)
    )
    plain = build_network(
        [("flatten", {}), ("linear", {"units": 3})], (1, 2, 2), rng=np.random.default_rng(0)
    )
    x = np.full((4, 1, 2, 2), 1e25, np.float32)
    network.parameters.values[...] = plain.parameters.values[...] = 0
    labels = np.array([0, 1, 2, 0])
    for net, executor in ((network, FastExecutor(network, workers=1)), (plain, PlainExecutor(plain))):
        rule = make_optimizer("sgd", {}, net.parameters)
        with executor:
            executor.train_step(x, labels, rule, StepSettings(1e-26), key=(0, 1, 0))
        assert rule.step_count == 1
    assert np.allclose(network.parameters.values, plain.parameters.values)
    assert np.abs(network.parameters.values).max() > 0.01


def test_a_batch_that_does_not_fit_the_network_is_refused():
    network = build_network(CLASSIC, (1, 28, 28), rng=np.random.default_rng(0))
    with FastExecutor(network, workers=1) as executor:
        with pytest.raises(ModelError, match="takes"):
            executor.forward(np.zeros((2, 1, 27, 28), np.float32))
        with pytest.raises(ModelError, match="classes"):
            executor.loss_and_gradients(np.zeros((2, 1, 28, 28), np.float32), np.array([0, 10]))
        with pytest.raises(ModelError, match="labels"):
            executor.loss_and_gradients(np.zeros((2, 1, 28, 28), np.float32), np.array([0]))


def test_a_batch_larger_than_announced_is_taken():
    network = build_network(CLASSIC, (1, 28, 28), rng=np.random.default_rng(0))
    x, labels = batch((1, 28, 28), 1100, 10)
    with FastExecutor(network, batch_size=8, workers=1) as executor:
        rule = make_optimizer("sgd", {}, network.parameters)
        executor.train_step(x[:8], labels[:8], rule, StepSettings(0.01), key=(0, 1, 0))
        assert executor.train_step(x, labels, rule, StepSettings(0.01), key=(0, 1, 1)).loss > 0
        assert executor.forward(x).shape == (1100, 10)


class Scale(Layer):
    """A layer that has no kernel: y = x · weight, one weight per channel."""

    kind = "scale"

    def __init__(self, channels):
        super().__init__()
        from cnncli.nn.parameters import Parameter

        self.parameters["weight"] = Parameter(np.linspace(0.5, 2, channels).astype(np.float32))

    def forward(self, x, mode=INFERENCE):
        self._saved = x
        return x * self.parameters["weight"].value.reshape(1, -1, 1, 1)

    def backward(self, dy):
        self.parameters["weight"].grad = (dy * self._saved).sum(axis=(0, 2, 3))
        return dy * self.parameters["weight"].value.reshape(1, -1, 1, 1)


def scaled_network():
    from cnncli.nn.network import Network

    rng = np.random.default_rng(0)
    layers = [
        LAYERS["conv"](1, 6, 3, rng=rng),
        Scale(6),
        LAYERS["relu"](),
        LAYERS["flatten"](),
        LAYERS["linear"](6 * 36, 4, rng=rng),
    ]
    return Network(layers, (1, 8, 8))


def test_a_layer_without_a_kernel_runs_by_its_own_code():
    network, plain = scaled_network(), scaled_network()
    x, labels = batch((1, 8, 8), 21, 4)
    with FastExecutor(network, workers=1, shards=2) as executor:
        assert distance(executor.forward(x), plain.forward(x)) < 1e-5
        for _ in range(2):
            executor.loss_and_gradients(x, labels)
    plain.loss_and_gradients(x, labels)
    assert distance(network.parameters.grads, plain.parameters.grads) < 1e-5


def test_a_layer_that_looks_across_the_batch_is_left_to_the_plain_executor():
    class Across(Scale):
        per_sample = False

    network = scaled_network()
    assert isinstance(engine.compile(network), FastExecutor)
    network.layers = (Across(1), *network.layers)
    assert isinstance(engine.compile(network), PlainExecutor)


def test_float64_and_plain_go_to_the_plain_executor():
    network = build_network(CLASSIC, (1, 28, 28), rng=np.random.default_rng(0), dtype=np.float64)
    assert isinstance(engine.compile(network), PlainExecutor)
    network = build_network(CLASSIC, (1, 28, 28), rng=np.random.default_rng(0))
    assert isinstance(engine.compile(network, "plain"), PlainExecutor)


EVERY_WAY = pytest.mark.parametrize(
    "options",
    [
        {"kind": "plain"},
        {"workers": 1},
        {"workers": 2, "pool": "threads"},
        {"workers": 2, "pool": "processes"},
        {"workers": 2, "pool": "processes", "start_method": "forkserver"},
    ],
    ids=str,
)


@EVERY_WAY
@pytest.mark.parametrize("clip", [None, 0.5])
def test_a_batch_that_the_workers_prepare_gives_what_the_same_arrays_give(options, clip):
    model, shape = NETWORKS["blocks"]
    ours, theirs = (build_network(model, shape, rng=np.random.default_rng(0)) for _ in range(2))
    source = Numbered(shape)
    with (
        engine.compile(ours, batch_size=8, **options) as one,
        engine.compile(theirs, batch_size=8, **options) as other,
    ):
        rules = [make_optimizer("adam", {}, n.parameters) for n in (ours, theirs)]
        for epoch in (1, 2):
            for step in range(3):
                key = (1, epoch, step)
                result = one.train_batch(
                    source, rules[0], StepSettings(1e-2, max_gradient_norm=clip), key=key
                )
                expected = other.train_step(
                    *source.whole(epoch, step), rules[1], StepSettings(1e-2, max_gradient_norm=clip), key=key
                )
                assert result == expected
            one.forward(source.whole(1, 0)[0])  # an evaluation in between changes nothing
        assert np.array_equal(ours.parameters.values, theirs.parameters.values)


@EVERY_WAY
def test_other_batches_and_plain_arrays_may_follow(options):
    model, shape = NETWORKS["blocks"]
    ours, theirs = (build_network(model, shape, rng=np.random.default_rng(0)) for _ in range(2))
    sources = [
        Numbered(shape),
        Numbered(shape, batch_size=12, sizes=(12, 3)),
    ]  # the second one is larger than the executor has room for
    with (
        engine.compile(ours, batch_size=8, **options) as one,
        engine.compile(theirs, batch_size=8, **options) as other,
    ):
        rules = [make_optimizer("adam", {}, n.parameters) for n in (ours, theirs)]
        for step in range(2):
            for source in sources:
                one.train_batch(source, rules[0], StepSettings(1e-2), key=(1, 1, step))
                x, labels = source.whole(1, step)
                other.train_step(x, labels, rules[1], StepSettings(1e-2), key=(1, 1, step))
            for executor, rule in ((one, rules[0]), (other, rules[1])):
                executor.train_step(x, labels, rule, StepSettings(1e-2), key=(2, 1, step))
        assert np.array_equal(ours.parameters.values, theirs.parameters.values)


@EVERY_WAY
def test_batches_that_do_not_fit_are_refused_and_nothing_changes(options):
    model, shape = NETWORKS["blocks"]
    network = build_network(model, shape, rng=np.random.default_rng(0))
    before = network.parameters.values.copy()
    rule = make_optimizer("adam", {}, network.parameters)
    with engine.compile(network, batch_size=8, **options) as executor:
        for wrong in (Numbered((1, 16, 15)), Numbered(shape, classes=11), Numbered(shape, sizes=(0,))):
            with pytest.raises(ModelError):
                executor.train_batch(wrong, rule, StepSettings(1e-2), key=(1, 1, 0))
        assert np.array_equal(network.parameters.values, before)
        assert executor.train_batch(Numbered(shape), rule, StepSettings(1e-2), key=(1, 1, 0)).loss > 0


def test_augmented_batches_train_to_the_same_bits_with_any_kind_of_worker():
    images = np.random.default_rng(3).integers(0, 256, (50, 16, 15, 3), dtype=np.uint8)
    augment = make_augmentation([(kind, {}) for kind in ("affine", "elastic", "erase", "noise")])
    model, shape = NETWORKS["blocks"]
    found = []
    spawned = {"workers": 2, "pool": "processes", "start_method": "spawn"}
    for options in (
        {"workers": 1},
        {"workers": 2, "pool": "threads"},
        {"workers": 2, "pool": "processes"},
        spawned,
    ):
        network = build_network(model, shape, rng=np.random.default_rng(0))
        rule = make_optimizer("adam", {}, network.parameters)
        batches = Batches(
            images, np.arange(50) % 10, batch_size=14, seed=5, augment=augment, normalize=(0.1, 0.3)
        )
        with engine.compile(network, batch_size=14, shards=4, **options) as executor:
            for epoch in (1, 2):
                for step in range(len(batches)):
                    executor.train_batch(batches, rule, StepSettings(1e-2), key=(1, epoch, step))
            with pytest.raises(ModelError, match="no step 4"):
                executor.train_batch(batches, rule, StepSettings(1e-2), key=(1, 1, len(batches)))
        found.append(network.parameters.values.copy())
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    assert np.array_equal(found[0], found[3])


def test_every_shard_prepares_its_own_images_once():
    model, shape = NETWORKS["classic"]
    network = build_network(model, shape, rng=np.random.default_rng(0))
    rule = make_optimizer("adam", {}, network.parameters)
    source = Numbered(shape)
    with engine.compile(network, batch_size=8, workers=1, shards=2) as executor:
        for step in range(3):
            executor.train_batch(source, rule, StepSettings(1e-2), key=(1, 1, step))
    assert source.parts == [slice(0, 4), slice(4, 8)] * 2 + [slice(0, 3), slice(3, 5)]


@pytest.mark.parametrize(
    "options", [{"workers": 1}, {"workers": 2, "pool": "threads"}, {"workers": 2}], ids=str
)
def test_an_error_while_preparing_ends_the_step_and_the_next_one_is_right(options):
    class Failing(Numbered):
        def write(self, epoch, step, part, x, y, targets=None):
            if step == 1:
                raise DataError(f"image {part.start} cannot be read")
            super().write(epoch, step, part, x, y, targets)

    model, shape = NETWORKS["blocks"]
    ours, theirs = (build_network(model, shape, rng=np.random.default_rng(0)) for _ in range(2))
    source = Failing(shape)
    with (
        engine.compile(ours, batch_size=8, **options) as one,
        engine.compile(theirs, batch_size=8, **options) as other,
    ):
        rules = [make_optimizer("adam", {}, n.parameters) for n in (ours, theirs)]
        one.train_batch(source, rules[0], StepSettings(1e-2), key=(1, 1, 0))
        with pytest.raises(DataError, match="cannot be read"):
            one.train_batch(source, rules[0], StepSettings(1e-2), key=(1, 1, 1))
        one.train_batch(source, rules[0], StepSettings(1e-2), key=(1, 1, 2))
        for step in (0, 2):
            other.train_batch(source, rules[1], StepSettings(1e-2), key=(1, 1, step))
        assert np.array_equal(ours.parameters.values, theirs.parameters.values)


def test_batches_that_only_the_main_script_defines_are_left_to_threads(caplog):
    class OfTheScript(Numbered):
        pass

    OfTheScript.__module__ = "__main__"
    model, shape = NETWORKS["classic"]
    found = []
    for source in (OfTheScript(shape), Numbered(shape)):
        network = build_network(model, shape, rng=np.random.default_rng(0))
        rule = make_optimizer("adam", {}, network.parameters)
        options = {"workers": 2, "shards": 2, "pool": "processes", "start_method": "spawn"}
        with engine.compile(network, batch_size=8, **options) as executor:
            executor.train_batch(source, rule, StepSettings(1e-2), key=(1, 1, 0))
            found.append((executor.processes, network.parameters.values.tobytes()))
    assert [processes for processes, _ in found] == [False, True]
    assert found[0][1] == found[1][1]
    assert "OfTheScript is defined in the main script" in caplog.text


def test_a_few_answers_do_not_wait_for_new_interpreters():
    model, shape = NETWORKS["classic"]
    network = build_network(model, shape, rng=np.random.default_rng(0))
    x, labels = batch(shape, 10, 10)
    with FastExecutor(network, workers=1, shards=2) as alone:
        expected = alone.forward(x)
    options = {"workers": 2, "shards": 2, "pool": "processes", "start_method": "forkserver"}
    with FastExecutor(network, **options) as executor:
        assert np.array_equal(executor.forward(x), expected)
        assert executor._pool is None
        executor.loss_and_gradients(x, labels)
        assert executor._pool is not None
        assert np.array_equal(executor.forward(x), expected)
