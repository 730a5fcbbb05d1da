"""An ONNX file follows the rules on which all runtimes agree, and gives the answers of the network in each of them."""

import json
import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cnncli.export.images import logits_of, pixels_of
from cnncli.export.subject import ExportOptions, Subject
from cnncli.training.calibration import Calibration, with_temperature

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
from .onnx_runtimes import RUNTIMES, why_missing

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra onnx)")
from cnncli.export.onnx_file import make_onnx  # noqa: E402

needs_runtime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
NETWORKS = {
    **{path.stem: lambda path=path: make_config_subject(path) for path in CONFIGS},
    "every-layer": lambda: make_subject(EVERY_LAYER),
    "every-layer-in-color": lambda: make_subject(EVERY_LAYER, (3, 21, 16)),
    "means": lambda: make_subject(MEANS, (3, 13, 9), 5),
}
GENERAL_NETWORKS = {
    "general": lambda: make_subject(GENERAL),
    "residual": lambda: make_subject(RESIDUAL),
    "residual-in-color": lambda: make_subject(RESIDUAL, (3, 23, 16)),
    "general-in-color": lambda: make_subject(GENERAL, (3, 23, 16)),
}
each_network = pytest.mark.parametrize("name", NETWORKS)
HEAD = ["flatten", {"linear": 10}]


def answers(run, subject: Subject, images, folder: Path) -> np.ndarray:
    """Return the logits that a runtime computes with the file of a subject."""
    path = folder / "net.onnx"
    path.write_bytes(make_onnx(subject).SerializeToString())
    return run(path, pixels_of(images).astype(subject.options.input))


def expected(subject: Subject, images) -> np.ndarray:
    return logits_of(subject.model.network, subject.model.normalize, images)


@needs_runtime
@pytest.mark.parametrize("name", [*NETWORKS, *GENERAL_NETWORKS])
def test_onnxruntime_gives_the_logits_of_every_config_and_layer(name, tmp_path) -> None:
    subject = {**NETWORKS, **GENERAL_NETWORKS}[name]()
    images = digits(20, subject.folded.input_shape)
    found = answers(RUNTIMES["onnxruntime"], subject, images, tmp_path)
    np.testing.assert_allclose(found, expected(subject, images), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@each_network
def test_every_runtime_gives_the_logits_of_every_config_and_layer(name, runtime, tmp_path) -> None:
    if reason := why_missing(runtime):
        pytest.skip(reason)
    subject = NETWORKS[name]()
    images = digits(1000, subject.folded.input_shape)
    found = answers(RUNTIMES[runtime], subject, images, tmp_path)
    np.testing.assert_allclose(found, expected(subject, images), rtol=0, atol=1e-4)


@needs_runtime
def test_one_session_takes_batches_of_any_size(tmp_path) -> None:
    import onnxruntime

    subject = make_subject(EVERY_LAYER)
    session = onnxruntime.InferenceSession(make_onnx(subject).SerializeToString())
    for count in (1, 5, 1000):
        images = digits(count)
        (found,) = session.run(["logits"], {"pixels": pixels_of(images).astype(np.float32)})
        np.testing.assert_allclose(found, expected(subject, images), rtol=0, atol=1e-4)


@needs_runtime
@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_pixels_go_in_as_they_are_and_calibrated_probabilities_come_out(kind, tmp_path) -> None:
    import onnxruntime

    subject = make_subject(HEAD, calibration={"temperature": 1.7, "unknown_threshold": 2.5})
    subject = replace(subject, options=ExportOptions(input=kind))
    images = digits(30)
    session = onnxruntime.InferenceSession(make_onnx(subject).SerializeToString())
    probabilities, logits = session.run(None, {"pixels": pixels_of(images).astype(kind)})
    right = expected(subject, images)
    np.testing.assert_allclose(logits, right, atol=1e-5)
    np.testing.assert_allclose(probabilities, with_temperature(right, Calibration(1.7)), atol=1e-6)


@needs_runtime
@pytest.mark.parametrize(
    "conv",
    [
        {"filters": 1, "kernel": 1, "padding": 3},
        {"filters": 3, "kernel": 1, "stride": 2, "padding": 1},
        {"filters": 1, "kernel": [2, 1], "padding": [1, 4]},
        {"filters": 2, "kernel": 5, "stride": 2, "padding": "same"},
    ],
)
def test_a_padding_larger_than_the_kernel_becomes_a_larger_kernel(conv, tmp_path) -> None:
    subject = make_subject([{"conv": conv}, *HEAD], (1, 8, 7))
    images = digits(5, (1, 8, 7))
    found = answers(RUNTIMES["onnxruntime"], subject, images, tmp_path)
    np.testing.assert_allclose(found, expected(subject, images), rtol=0, atol=1e-4)
    (node,) = (node for node in make_onnx(subject).graph.node if node.op_type == "Conv")
    found = attributes(node)
    assert all(pad <= size for pad, size in zip(found["pads"], found["kernel_shape"] * 2, strict=True))


def attributes(node) -> dict[str, object]:
    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


@each_network
def test_a_file_has_only_what_all_runtimes_agree_about(name) -> None:
    model = make_onnx(NETWORKS[name]())
    graph = model.graph
    assert model.ir_version == 8 and [(each.domain, each.version) for each in model.opset_import] == [
        ("", 17)
    ]
    assert not graph.value_info
    assert [each.name for each in graph.input] == ["pixels"]
    assert [each.name for each in graph.output] == ["probabilities", "logits"]
    for value in (*graph.input, *graph.output):
        first, *rest = value.type.tensor_type.shape.dim
        assert first.dim_param == "N" and all(each.dim_value > 0 for each in rest)
    for array in graph.initializer:
        assert array.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.INT64) and array.raw_data
    kinds = [node.op_type for node in graph.node]
    assert not {"Constant", "Identity", "Dropout", "Cast", "Erf", "Reshape", "BatchNormalization"} & set(
        kinds
    )
    for node, after in zip(graph.node, [*graph.node[1:], None], strict=True):
        found = attributes(node)
        assert "auto_pad" not in found and found.get("ceil_mode", 0) == 0
        if node.op_type in ("Conv", "MaxPool", "AveragePool"):
            assert {"kernel_shape", "strides", "pads"} <= set(found)
            assert set(found.get("dilations", [1])) == {1}
        if node.op_type == "AveragePool":
            assert set(found["pads"]) == {0}
        if node.op_type == "Pad":
            assert after.op_type == "AveragePool"
        if node.op_type in ("Softmax", "Flatten"):
            assert found["axis"] == 1
        if node.op_type == "LeakyRelu":
            assert found["alpha"] == pytest.approx(0.1)
    assert kinds[-1] == "Softmax"


def test_a_file_of_bytes_begins_with_a_cast() -> None:
    model = make_onnx(replace(make_subject(HEAD), options=ExportOptions(input="uint8")))
    assert [node.op_type for node in model.graph.node][:2] == ["Cast", "Mul"]
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_a_file_names_its_classes_and_its_pixels() -> None:
    subject = make_subject(HEAD, calibration={"temperature": 1.7, "unknown_threshold": 2.5})
    facts = {each.key: each.value for each in make_onnx(subject).metadata_props}
    assert json.loads(facts["classes"]) == list("0123456789")
    assert facts["pixels"] == "0 to 255, gray" and facts["name"] == "net"
    assert json.loads(facts["mean"]) == 0.1307 and json.loads(facts["unknown_threshold"]) == 2.5


def test_each_runtime_says_why_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert why_missing("onnxruntime-node") == "node is not installed"
