"""The network in JavaScript gives NumPy's answers, for every kind of layer and every config, in a real browser."""

import base64
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.batches.batches import to_input
from cnncli.data.readers.idx import read_idx
from cnncli.export.html.weights import network_document, rounded_state
from cnncli.export.images import Images
from cnncli.export.subject import ExportOptions, Subject
from cnncli.inside.activations import layer_outputs
from cnncli.nn.losses import softmax
from cnncli.training.calibration import evidence_of
from cnncli.training.members import answers_of
from cnncli.training.model import load_model
from tests.export.networks import CONFIGS, EVERY_LAYER, MEANS, digits, make_config_subject, make_subject

from .exported import BYTES_OF, as_text, write_page

pytestmark = pytest.mark.browser

CLASSIFY = f"""async ([pixels, size, given]) => {{
  const network = await cnnNetwork.build(given ?? JSON.parse(document.getElementById('model').textContent));
  const bytes = ({BYTES_OF})(pixels);
  const found = [];
  for (let start = 0; start < bytes.length; start += size) {{
    const {{logits, probabilities, evidence}} = cnnNetwork.classify(network, bytes.subarray(start, start + size));
    found.push(...logits, ...probabilities, Math.min(evidence, 1e9));
  }}
  const numbers = new Uint8Array(Float64Array.from(found).buffer);
  return btoa(Array.from(numbers, (byte) => String.fromCharCode(byte)).join(''));
}}"""


def classify(page: Any, images: np.ndarray, document: Any = None) -> tuple[np.ndarray, ...]:
    """Return logits (N, K), probabilities (N, K) and evidence (N,) that a page computes."""
    text = page.evaluate(CLASSIFY, [as_text(images), images[0].size, document])
    numbers = np.frombuffer(base64.b64decode(text)).reshape(len(images), -1)
    outputs = (numbers.shape[1] - 1) // 2
    return numbers[:, :outputs], numbers[:, outputs:-1], numbers[:, -1]


@pytest.fixture(scope="session")
def thousand() -> np.ndarray:
    """1,000 test images of MNIST if they are here, else drawn digits."""
    folder = os.environ.get("CNNCLI_TEST_MNIST")
    if folder and (Path(folder) / "t10k-images-idx3-ubyte.gz").is_file():
        return read_idx(Path(folder) / "t10k-images-idx3-ubyte.gz")[:1000]
    return digits(1000).pixels


def with_threshold(subject: Subject, images: np.ndarray) -> Subject:
    """Return a subject with a temperature, and a threshold that takes half of these images for no class."""
    model = subject.model
    evidence = evidence_of(model.network.forward(to_input(images, model.normalize)))
    calibration = {"temperature": 1.7, "unknown_threshold": float(np.median(evidence))}
    return Subject(replace(model, meta=model.meta | {"calibration": calibration}), subject.name)


@pytest.mark.parametrize("which", ["bundled", "every layer"])
def test_a_thousand_images_get_the_answers_of_numpy(open_page, tmp_path, thousand, which: str) -> None:
    subject = (
        Subject(load_model("bundled"), "net")
        if which == "bundled"
        else with_threshold(make_subject(EVERY_LAYER), thousand)
    )
    page = open_page(write_page(subject, tmp_path))
    _, probabilities, evidence = classify(page, thousand)
    expected, expected_evidence = answers_of([subject.model], thousand)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), expected.argmax(axis=1))
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-4)
    assert 0 < (expected_evidence < 1).sum() < 1000
    clear = np.abs(expected_evidence - 1) > 1e-4
    np.testing.assert_array_equal((evidence < 1)[clear], (expected_evidence < 1)[clear])
    np.testing.assert_allclose(evidence, expected_evidence, rtol=1e-4)


def test_every_config_and_shape_gives_the_logits_of_numpy(open_page, tmp_path) -> None:
    page = open_page(write_page(make_subject(MEANS, classes=5), tmp_path))
    subjects = [make_config_subject(path) for path in CONFIGS]
    subjects += [
        make_subject(EVERY_LAYER, (3, 20, 17), seed=3),
        make_subject(MEANS, (3, 9, 28), 5),
        make_subject(MEANS, classes=5),
        make_subject(["flatten", {"linear": 3}], (1, 4, 4), 3),
    ]
    for subject in subjects:
        shape = subject.model.network.input_shape
        images = digits(3, shape).pixels
        logits, probabilities, evidence = classify(page, images, network_document(subject))
        expected = subject.model.network.forward(to_input(images, subject.model.normalize))
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
        np.testing.assert_allclose(probabilities, softmax(expected), rtol=0, atol=1e-4)
        assert (evidence == 1e9).all()  # none of them has a threshold


def test_every_layer_has_its_own_output(open_page, tmp_path) -> None:
    subject = make_subject(EVERY_LAYER, seed=1)
    page = open_page(write_page(subject, tmp_path))
    images = digits(1).pixels
    found = page.evaluate(
        f"""async (pixels) => {{
          const network = await cnnNetwork.build(JSON.parse(document.getElementById('model').textContent));
          return cnnNetwork.forward(network, ({BYTES_OF})(pixels))
            .map(({{name, kind, shape, values}}) => ({{name, kind, shape, values: Array.from(values)}}));
        }}""",
        as_text(images),
    )
    x = to_input(images, subject.model.normalize)
    for layer, (name, kind, values) in zip(found, layer_outputs(subject.model.network, x), strict=True):
        assert (layer["name"], layer["kind"], layer["shape"]) == (name, kind, list(values.shape[1:]))
        size = np.abs(values).max()
        np.testing.assert_allclose(layer["values"], values.ravel(), rtol=1e-4, atol=1e-5 * size, err_msg=name)


def test_weights_in_int8_give_the_answers_of_the_same_weights_in_numpy(open_page, tmp_path) -> None:
    subject = make_subject(EVERY_LAYER, seed=2)
    small = Subject(subject.model, "small", ExportOptions(dtype="int8"))
    page = open_page(write_page(small, tmp_path))
    images: Images = digits(20)
    logits, _, _ = classify(page, images.pixels)
    network = subject.model.network
    exact = network.forward(to_input(images.pixels, subject.model.normalize))
    network.load_state(rounded_state(network.state()))
    expected = network.forward(to_input(images.pixels, subject.model.normalize))
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert np.abs(exact - expected).max() > 1e-3
