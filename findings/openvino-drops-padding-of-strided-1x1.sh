#!/usr/bin/env bash
# OpenVINO returns another shape for a 1x1 convolution with stride and padding, once anything comes before it.
#
# Versions: OpenVINO 2026.4.1, onnx 1.23.2, onnxruntime 1.32.0, NumPy 2.4.6.
# Guess:    an activation in front of a convolution does not change the size of its output.
# Seen:     OpenVINO moves the stride of a 1x1 convolution to before the activation. The padding, which belongs between
#           the two, is then added to the image that has been thinned out. The values are other ones, too.
#
#     onnxruntime:           Conv (1, 1, 4, 5), Relu and Conv (1, 1, 4, 5)
#     OpenVINO:              Conv (1, 1, 4, 5), Relu and Conv (1, 1, 5, 6)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, checker, helper, numpy_helper


def shapes(nodes):
    """Return the shapes of the outputs of onnxruntime and of OpenVINO for a 5x8 image of ones."""
    weight = numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 5, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1, 4, 5])
    graph = helper.make_graph(nodes, "graph", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    content, image = model.SerializeToString(), np.ones((1, 1, 5, 8), np.float32)
    right = onnxruntime.InferenceSession(content).run(None, {"x": image})[0]
    core = openvino.Core()
    found = core.compile_model(core.read_model(content), "CPU")([image])[0]
    return right.shape, found.shape


def conv(name):
    return helper.make_node("Conv", [name, "w"], ["y"], kernel_shape=[1, 1], strides=[2, 2], pads=[1, 1, 1, 1])


alone = shapes([conv("x")])
behind = shapes([helper.make_node("Relu", ["x"], ["r"]), conv("r")])
for runtime, one, two in zip(("onnxruntime", "OpenVINO"), alone, behind):
    print(f"{runtime + ':':22} Conv {one}, Relu and Conv {two}")
assert alone == ((1, 1, 4, 5), (1, 1, 4, 5)) and behind == ((1, 1, 4, 5), (1, 1, 5, 6)), "no longer so"
PYTHON
