#!/usr/bin/env bash
# OpenCV's new engine computes a BatchNormalization behind a Tanh as if it came before it.
#
# Versions: opencv-python-headless 5.0.0.93, onnx 1.23.2, onnxruntime 1.32.0, NumPy 2.4.6.
# Guess:    BatchNormalization is folded into a convolution only if it follows directly.
# Seen:     it is folded into a convolution past Tanh, Sigmoid, Elu and HardSwish, which is right for no activation. Past
#           Relu it is not. The classic engine, the only one of OpenCV 4, is right.
#
#     Tanh: new engine equals Conv, BatchNormalization, Tanh: True; classic engine is right: True
#     Relu: new engine equals Conv, BatchNormalization, Relu: False; classic engine is right: True
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
image = rng.normal(size=(1, 1, 6, 6)).astype(np.float32)
arrays = {"w": rng.normal(size=(3, 1, 3, 3)), "scale": [1, 2, 3], "shift": [3, 2, 1], "mean": [1, 0, 1], "var": [1, 2, 1]}
initializers = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in arrays.items()]


def write(order, path):
    """Write a model with a convolution and then two operators in an order; return what onnxruntime computes."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["0"], kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])]
    for number, kind in enumerate(order):
        more = ["scale", "shift", "mean", "var"] if kind == "BatchNormalization" else []
        output = "y" if number == 1 else "1"
        nodes.append(helper.make_node(kind, [str(number), *more], [output]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 6, 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 6, 6])
    graph = helper.make_graph(nodes, "graph", [x], [y], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return onnxruntime.InferenceSession(path).run(None, {"x": image})[0]


def opencv(path, engine):
    network = cv2.dnn.readNetFromONNX(path, engine=engine)
    network.setInput(image)
    return network.forward()


for activation, moved in (("Tanh", True), ("Relu", False)):
    swapped = write(["BatchNormalization", activation], "swapped.onnx")
    right = write([activation, "BatchNormalization"], "model.onnx")
    is_swapped = np.allclose(opencv("model.onnx", cv2.dnn.ENGINE_NEW), swapped, atol=1e-5)
    classic = np.allclose(opencv("model.onnx", cv2.dnn.ENGINE_CLASSIC), right, atol=1e-5)
    print(
        f"{activation}: new engine equals Conv, BatchNormalization, {activation}: {is_swapped}; "
        f"classic engine is right: {classic}"
    )
    assert (is_swapped, classic) == (moved, True), "no longer so"
PYTHON
