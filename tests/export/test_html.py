"""A page is checked in Node.js before it appears, and weights in int8 take a quarter of the place."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnncli.errors import CnnError, UsageError
from cnncli.export.html.weights import Packed, network_document, quantized
from cnncli.export.html.write import answers, node_missing, write
from cnncli.export.subject import ExportOptions, Subject
from cnncli.export.write import export_model
from cnncli.training.bundled import BUNDLED_PATH
from cnncli.training.model import load_model

from .networks import CONFIGS, EVERY_LAYER, GENERAL, RESIDUAL, digits, make_config_subject, make_subject

REFERENCE = next(path for path in CONFIGS if path.name == "mnist.yaml")


def test_the_reference_network_in_int8_is_below_700_kilobytes() -> None:
    model = make_config_subject(REFERENCE).model
    sizes = {
        dtype: len(write(Subject(model, "net", ExportOptions(dtype=dtype)))[".html"])
        for dtype in ("float32", "int8")
    }
    assert sizes["int8"] <= 700_000 and sizes["int8"] < sizes["float32"] / 3


def test_rounded_weights_are_within_half_a_step_of_each_filter() -> None:
    weight = np.random.default_rng(0).normal(0, 1, (5, 3, 2, 2)).astype(np.float32)
    weight *= np.array([1e-6, 1, 100, 0, 1e4], np.float32).reshape(-1, 1, 1, 1)
    whole, scale = quantized(weight)
    off = np.abs(whole * scale.reshape(-1, 1, 1, 1) - weight).max(axis=(1, 2, 3))
    assert (off <= 0.5001 * scale).all() and np.abs(whole).max() == 127
    assert (np.abs(whole).reshape(5, -1).max(axis=1) == [127, 127, 127, 0, 127]).all()


def test_vectors_stay_float32() -> None:
    packed = Packed()
    assert packed.add(np.zeros(3), "int8")["dtype"] == "float32"
    assert packed.add(np.zeros((3, 2)), "int8")["dtype"] == "int8"


def test_the_document_says_how_pictures_become_probabilities() -> None:
    form = {"form": "as_is", "size": [28, 28], "colour": False, "background": "bright", "mean": 0.5}
    calibration = {"temperature": 2.0, "unknown_threshold": None}
    subject = make_subject(EVERY_LAYER, preparation=form, calibration=calibration)
    document = network_document(subject)
    assert document["temperature"] == 2 and document["unknownThreshold"] is None
    assert (document["mean"], document["std"]) == (0.1307, 0.3081)
    assert document["preparation"] == {
        "form": "as_is",
        "background": "bright",
        "transpose": False,
        "invert": False,
    }
    assert [layer["kind"] for layer in document["layers"]] == [
        layer.kind for layer in subject.model.network.layers
    ]
    same = next(layer for layer in document["layers"] if layer["name"] == "conv3")
    assert same["pads"] == [[0, 1], [0, 1]]


def test_networks_for_other_things_than_pictures_are_refused() -> None:
    with pytest.raises(UsageError, match="only networks for pictures are exported"):
        write(make_subject([{"linear": 10}], (20,)))


def test_without_node_the_page_is_written_unchecked(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    exported = export_model(load_model(BUNDLED_PATH), "html", tmp_path / "net.html")
    assert exported.comparison is None and exported.not_compared == "node is not on the PATH (Node.js)"


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
def test_an_old_node_is_said_to_be_too_old(tmp_path: Path, monkeypatch) -> None:
    program = tmp_path / "node"
    program.write_text("#!/bin/sh\necho v16.20.2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert node_missing() == "node is older than version 18"


@pytest.fixture
def node() -> None:
    """Skip where Node.js cannot run what is written."""
    if (missing := node_missing()) is not None:
        pytest.skip(missing)


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("layers", "dtype"),
    [(EVERY_LAYER, "float32"), (EVERY_LAYER, "int8"), (GENERAL, "float32"), (RESIDUAL, "float32")],
)
def test_node_runs_what_is_written(tmp_path: Path, layers, dtype) -> None:
    subject = Subject(make_subject(layers).model, "net", ExportOptions(dtype=dtype))
    exported = export_model(
        subject.model, "html", tmp_path / "net.html", options=ExportOptions(dtype=dtype)
    ).comparison
    assert exported.runtime == "Node.js" and exported.images == 1000
    assert exported.equal_answers > 0.9 and (exported.largest_difference < 1e-4) == (dtype == "float32")


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_page_with_other_weights_or_a_broken_script_is_noticed(tmp_path: Path, dtype) -> None:
    subject = Subject(make_subject(EVERY_LAYER).model, "net", ExportOptions(dtype=dtype))
    other = Subject(make_subject(EVERY_LAYER, seed=1).model, "net", ExportOptions(dtype=dtype))
    path = tmp_path / "net.html"
    path.write_bytes(write(other)[".html"])
    if dtype == "int8":
        with pytest.raises(CnnError, match=r"differ by up to .* from those of the same weights in NumPy"):
            answers(path, subject, digits(5))
    path.write_bytes(re.sub(rb"function conv\(", b"function conf(", write(subject)[".html"]))
    with pytest.raises(CnnError, match="node ended with an error"):
        answers(path, subject, digits(5))
