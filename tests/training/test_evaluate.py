"""Evaluation and its figures, alone and as an ensemble."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnncli.batches.batches import to_input
from cnncli.batches.views import Views
from cnncli.engine import PlainExecutor
from cnncli.errors import DataError
from cnncli.nn import Network, build_network, softmax
from cnncli.training.evaluate import evaluate


def small_network(seed: int, units: int = 3) -> Network:
    rng = np.random.default_rng(seed)
    return build_network([("flatten", {}), ("linear", {"units": units})], (1, 8, 8), rng=rng)


@pytest.mark.parametrize("batch_size", [1, 4, 10, 1000])
def test_the_figures_do_not_depend_on_the_batch_size(
    tiny_pictures: Callable[..., Any], batch_size: int
) -> None:
    images, labels = tiny_pictures(10)
    network = small_network(0)
    found = evaluate(PlainExecutor(network), images, labels, batch_size=batch_size, normalize=(0.1, 0.5))
    p = softmax(network.forward(to_input(images, (0.1, 0.5))))
    assert found.count == 10
    assert found.loss == pytest.approx(-np.log(p[np.arange(10), labels]).mean(), rel=1e-5)
    assert found.accuracy == (p.argmax(axis=1) == labels).mean()
    np.testing.assert_allclose(found.probabilities, p, rtol=1e-5)
    assert np.array_equal(found.predictions, p.argmax(axis=1))
    assert found.confusion.sum() == 10


def test_a_hopeless_answer_has_a_large_but_finite_loss() -> None:
    network = small_network(0)
    network.layers[1].bias = np.array(
        [0.0, 500.0, 0.0]
    )  # class 0 has a probability of exp(-500), float32's 0
    images, labels = np.zeros((2, 8, 8), np.uint8), np.array([0, 0])
    assert evaluate(PlainExecutor(network), images, labels).loss == pytest.approx(500.0, rel=1e-3)


def test_an_ensemble_answers_with_the_mean_probabilities(tiny_pictures: Callable[..., Any]) -> None:
    images, labels = tiny_pictures(30)
    networks = [small_network(1), small_network(2)]
    normalizes = [None, (0.2, 0.4)]
    found = evaluate([PlainExecutor(n) for n in networks], images, labels, normalize=normalizes, batch_size=7)
    p = np.mean(
        [softmax(n.forward(to_input(images, m))) for n, m in zip(networks, normalizes, strict=True)], axis=0
    )
    np.testing.assert_allclose(found.probabilities, p, rtol=1e-5)
    assert found.loss == pytest.approx(-np.log(p[np.arange(30), labels]).mean(), rel=1e-5)
    assert found.accuracy == (p.argmax(axis=1) == labels).mean()


def test_several_views_answer_with_their_mean_probabilities(tiny_pictures: Callable[..., Any]) -> None:
    images, labels = tiny_pictures(20)
    network, views = small_network(1), Views(3, [("shift", {"pixels": 1})])
    found = evaluate(PlainExecutor(network), images, labels, normalize=(0.2, 0.4), views=views, batch_size=50)
    inputs = views.of(images, 0, (0.2, 0.4), np.float32)
    p = np.mean([softmax(network.forward(x)) for x in inputs], axis=0)
    np.testing.assert_allclose(found.probabilities, p, rtol=1e-5)
    assert found.loss == pytest.approx(-np.log(p[np.arange(20), labels]).mean(), rel=1e-5)
    # the threshold of "no class" was fitted on single views
    assert found.evidence is None and found.unknown is None


def test_an_ensemble_of_twice_the_same_is_the_same(tiny_pictures: Callable[..., Any]) -> None:
    images, labels = tiny_pictures(30)
    one = PlainExecutor(small_network(1))
    alone, twice = evaluate(one, images, labels), evaluate([one, one], images, labels)
    np.testing.assert_allclose(alone.probabilities, twice.probabilities, rtol=1e-6)
    assert alone.loss == pytest.approx(twice.loss, rel=1e-5)


def test_an_ensemble_whose_members_all_give_zero_has_a_finite_loss() -> None:
    network = small_network(0)
    network.layers[1].bias = np.array([0.0, 500.0, 0.0])
    executor = PlainExecutor(network)
    found = evaluate([executor, executor], np.zeros((2, 8, 8), np.uint8), np.array([0, 0]))
    assert 80 < found.loss < 110 and math.isfinite(found.loss)


def test_members_with_other_classes_and_labels_without_an_output_are_refused(
    tiny_pictures: Callable[..., Any],
) -> None:
    images, labels = tiny_pictures(6)
    three, four = PlainExecutor(small_network(0)), PlainExecutor(small_network(0, units=4))
    with pytest.raises(DataError, match="members with the same classes"):
        evaluate([three, four], images, labels)
    with pytest.raises(DataError, match="labels go from 0 to 7, but the network has 3 outputs"):
        evaluate(three, images, np.array([0, 1, 2, 3, 7, 0]))
    with pytest.raises(DataError, match="no images"):
        evaluate(three, images[:0], labels[:0])


def test_progress_is_told_before_and_after_each_batch(tiny_pictures: Callable[..., Any]) -> None:
    told = []
    images, labels = tiny_pictures(10)
    executor = PlainExecutor(small_network(0))
    evaluate(executor, images, labels, batch_size=4, on_batch=lambda done, count: told.append((done, count)))
    assert told == [(0, 10), (4, 10), (8, 10), (10, 10)]


def test_the_document_is_plain_json(tiny_pictures: Callable[..., Any]) -> None:
    images, labels = tiny_pictures(9)
    document = evaluate(PlainExecutor(small_network(0)), images, labels).to_json(["a", "b", "c"])
    assert json.loads(json.dumps(document)) == document
    assert set(document) == {
        *("count", "accuracy", "loss", "calibration_error", "unknown", "per_class", "confusion")
    }
    assert document["per_class"][1]["class"] == "b"
    assert set(document["per_class"][1]) == {"class", "precision", "recall", "f1", "support"}
