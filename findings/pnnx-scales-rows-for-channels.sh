#!/usr/bin/env bash
# A product with one number per channel becomes one with one number per row when pnnx converts it for ncnn.
#
# Versions: pnnx 20261020, ncnn 1.0.20261020, onnx 1.23.2, onnxruntime 1.32.0, NumPy 2.4.6.
# Guess:    Mul of an image (N, 3, 3, 4) with a constant (3, 1, 1) scales each channel.
# Seen:     ncnn gets a constant of another rank, and scales each row. The shape has one axis more. If a convolution comes
#           next, the same Mul is right.
#
#     Mul:            first column of channel 0 is [  1.  10. 100.], shape (3, 3, 4, 1)
#     Mul and Conv:   first column of channel 0 is [1. 1. 1.], shape (3, 3, 4)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 portalocker tqdm requests opencv-python-headless pillow
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps pnnx==20261020 ncnn==1.0.20261020
cd "$work"
venv/bin/python - <<'PYTHON'
import subprocess
from pathlib import Path

import ncnn
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

PNNX = next(Path("venv").glob("lib/python*/site-packages/pnnx/pnnx"))
arrays = {"s": np.float32([1, 10, 100]).reshape(3, 1, 1), "w": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)}
image = np.ones((1, 3, 3, 4), np.float32)


def run(nodes):
    """Return what onnxruntime and ncnn compute."""
    used = {name for node in nodes for name in node.input}
    constants = [numpy_helper.from_array(value, name) for name, value in arrays.items() if name in used]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 3, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 3, 4])
    graph = helper.make_graph(nodes, "graph", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    command = [str(PNNX), "model.onnx", "inputshape=[1,3,3,4]", "fp16=0"]
    subprocess.run(command, check=True, capture_output=True)
    network = ncnn.Net()
    network.load_param("model.ncnn.param")
    network.load_model("model.ncnn.bin")
    extractor = network.create_extractor()
    extractor.input("in0", ncnn.Mat(image[0]).clone())
    found = np.array(extractor.extract("out0")[1])
    return onnxruntime.InferenceSession("model.onnx").run(None, {"x": image})[0][0], found


conv = helper.make_node("Conv", ["m", "w"], ["y"], kernel_shape=[1, 1], strides=[1, 1], pads=[0, 0, 0, 0])
cases = {
    "Mul:": ([helper.make_node("Mul", ["x", "s"], ["y"])], False),
    "Mul and Conv:": ([helper.make_node("Mul", ["x", "s"], ["m"]), conv], True),
}
for name, (nodes, equal) in cases.items():
    right, found = run(nodes)
    column = found.reshape(3, 3, 4)[0, :, 0]
    print(f"{name:15} first column of channel 0 is {column}, shape {found.shape}")
    assert np.allclose(found.reshape(3, 3, 4), right) == equal and (found.ndim == 3) == equal, "no longer so"
PYTHON
