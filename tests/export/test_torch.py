"""A PyTorch program gives the answers of the network, and its state dict has the weights as they were trained."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.export.images import logits_of, pixels_of
from cnncli.export.write import export_model
from cnncli.training.calibration import Calibration, with_temperature
from cnncli.training.model import load_model

from .networks import (
    CONFIGS,
    EVERY_LAYER,
    GENERAL,
    MEANS,
    RESIDUAL,
    digits,
    make_config_subject,
    make_subject,
)

torch = pytest.importorskip("torch", reason="torch is not installed (extra torch)")
from cnncli.export.torch_file import make_module, run, write  # noqa: E402


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_modules_of_a_config_compute_what_its_network_computes(path) -> None:
    subject, images = make_config_subject(path), digits(20)
    expected = logits_of(subject.model.network, subject.model.normalize, images)
    found = run(make_module(subject.folded), pixels_of(images).astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "layers", "classes"),
    [
        ((1, 28, 28), EVERY_LAYER, 10),
        ((3, 21, 16), EVERY_LAYER, 10),
        ((3, 13, 9), MEANS, 5),
        ((3, 23, 16), GENERAL, 10),
        ((3, 23, 16), RESIDUAL, 10),
    ],
)
def test_the_modules_of_every_layer_compute_what_the_layer_computes(shape, layers, classes) -> None:
    subject, images = (
        make_subject(layers, shape, classes, calibration={"temperature": 1.7}),
        digits(20, shape),
    )
    expected = logits_of(subject.model.network, subject.model.normalize, images)
    with torch.no_grad():
        probabilities, logits = make_module(subject.folded)(torch.from_numpy(pixels_of(images)))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(probabilities, with_temperature(expected, Calibration(1.7)), atol=1e-5)


def test_the_files_load_without_any_code_of_ours(tmp_path: Path) -> None:
    model = load_model("bundled")
    exported = export_model(model, "torch", tmp_path / "digits.pt2")
    assert [file.name for file in exported.files] == ["digits.pt2", "digits.pt"]
    assert exported.comparison.equal_answers == 1 and exported.comparison.largest_difference < 1e-4
    module = torch.export.load(tmp_path / "digits.pt2").module()
    for count in (1, 5, 1000):
        assert module(torch.zeros(count, 1, 28, 28))[0].shape == (count, 10)
    weights = torch.load(tmp_path / "digits.pt", weights_only=True)
    assert weights["batchnorm1.weight"].tolist() == model.network.layers[4].gamma.tolist()


def test_a_program_of_bytes_takes_bytes(tmp_path: Path) -> None:
    from dataclasses import replace

    from cnncli.export.subject import ExportOptions

    subject = replace(make_subject(["flatten", {"linear": 10}]), options=ExportOptions(input="uint8"))
    path = tmp_path / "net.pt2"
    path.write_bytes(write(subject)[".pt2"])
    images = digits(3)
    expected = logits_of(subject.model.network, subject.model.normalize, images)
    found = run(torch.export.load(path).module(), pixels_of(images))
    np.testing.assert_allclose(found, expected, atol=1e-4)
