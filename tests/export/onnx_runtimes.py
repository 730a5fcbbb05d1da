"""Programs that run ONNX files, each as a function from a file and pixels to logits, all in float32.

OpenVINO and ncnn would compute with shorter numbers where the processor can, so each is told not to.

N images, C channels, H W pixels, K classes.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

Run = Callable[[Path, np.ndarray], np.ndarray]


def onnxruntime(path: Path, pixels: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"pixels": pixels})[0]


def openvino(path: Path, pixels: np.ndarray) -> np.ndarray:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(openvino.Core().read_model(path), "CPU", settings)
    return compiled([pixels])["logits"]


def opencv(path: Path, pixels: np.ndarray) -> np.ndarray:
    import cv2

    network = cv2.dnn.readNetFromONNX(str(path))
    network.setInput(pixels, "pixels")
    return network.forward("logits")


def opencv_classic(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Run a file with the engine of OpenCV 4, which is still there in OpenCV 5."""
    import cv2

    network = cv2.dnn.readNetFromONNX(str(path), engine=cv2.dnn.ENGINE_CLASSIC)
    network.setInput(pixels, "pixels")
    return network.forward("logits")


def tract(path: Path, pixels: np.ndarray) -> np.ndarray:
    import tract

    model = tract.onnx().load(str(path)).into_model().into_runnable()
    return model.run([pixels])[1].to_numpy()


def ncnn(path: Path, pixels: np.ndarray) -> np.ndarray:
    import ncnn

    shape = ",".join(map(str, (1, *pixels.shape[1:])))
    subprocess.run(
        [pnnx_program(), path.name, f"inputshape=[{shape}]", "fp16=0"],
        cwd=path.parent,
        check=True,
        capture_output=True,
    )
    network = ncnn.Net()
    network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = network.opt.use_fp16_packed = False
    network.opt.use_bf16_storage = network.opt.use_bf16_packed = False
    network.opt.num_threads = 1
    network.load_param(str(path.with_suffix(".ncnn.param")))
    network.load_model(str(path.with_suffix(".ncnn.bin")))
    answers = []
    for image in pixels:
        extractor = network.create_extractor()
        extractor.input("in0", ncnn.Mat(image).clone())
        answers.append(np.array(extractor.extract("out1")[1]).ravel())
    return np.stack(answers)


def node(path: Path, pixels: np.ndarray) -> np.ndarray:
    data, answer = path.with_suffix(".in"), path.with_suffix(".out")
    data.write_bytes(pixels.tobytes())
    kind = {"float32": "Float32Array", "uint8": "Uint8Array"}[pixels.dtype.name]
    script = f"""
        const ort = require('onnxruntime-node'), fs = require('fs');
        (async () => {{
            const session = await ort.InferenceSession.create({json.dumps(str(path))});
            const bytes = fs.readFileSync({json.dumps(str(data))});
            const pixels = new {kind}(new Uint8Array(bytes).buffer);
            const input = new ort.Tensor('{pixels.dtype.name}', pixels, {list(pixels.shape)});
            const output = (await session.run({{pixels: input}})).logits.data;
            const content = Buffer.from(output.buffer, output.byteOffset, 4 * output.length);
            fs.writeFileSync({json.dumps(str(answer))}, content);
        }})();
    """
    subprocess.run(["node", "-e", script], check=True, capture_output=True)
    return np.frombuffer(answer.read_bytes(), np.float32).reshape(len(pixels), -1)


def pnnx_program() -> str:
    return shutil.which("pnnx") or str(Path(find_spec("pnnx").origin).with_name("pnnx"))


RUNTIMES: dict[str, Run] = {
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "opencv": opencv,
    "opencv-classic": opencv_classic,
    "tract": tract,
    "ncnn": ncnn,
    "onnxruntime-node": node,
}

PACKAGES = {"openvino": ["openvino"], "opencv": ["cv2"], "opencv-classic": ["cv2"], "ncnn": ["ncnn", "pnnx"]}


def why_missing(runtime: str) -> str | None:
    """Return why a runtime cannot be used here; None if it can.

    ncnn, pnnx and tract are found where PYTHONPATH says, onnxruntime-node where NODE_PATH says.
    """
    if runtime == "onnxruntime-node":
        if shutil.which("node") is None:
            return "node is not installed"
        found = subprocess.run(["node", "-e", "require.resolve('onnxruntime-node')"], capture_output=True)
        return None if found.returncode == 0 else "onnxruntime-node is not installed, or not in NODE_PATH"
    absent = [name for name in PACKAGES.get(runtime, [runtime]) if find_spec(name) is None]
    return f"{' and '.join(absent)} not installed" if absent else None
