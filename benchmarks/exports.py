"""Do exported files give the same answers in every runtime that is installed?

    python benchmarks/exports.py

It writes the networks of all configs without residual blocks, untrained and with random BatchNorm statistics, two
networks with every layer, and the bundled model. 1,000 drawn digits go through each file in each runtime and through
the network itself. ncnn, pnnx and tract are found where PYTHONPATH says, onnxruntime-node where NODE_PATH says. A
runtime that is not installed is left out, with the reason. Every file takes float32; those runtimes that know a Cast
also run the variant for uint8.
After the runtimes of ONNX come PyTorch and Keras with the files of their own. For Keras, which lacks a padding, the
networks with every layer have one pooling without it. Keras computes with what KERAS_BACKEND says.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from cnncli.export.formats import FORMATS, is_installed  # noqa: E402
from cnncli.export.images import logits_of, pixels_of  # noqa: E402
from cnncli.export.onnx_file import make_onnx  # noqa: E402
from cnncli.export.subject import ExportOptions, Subject  # noqa: E402
from cnncli.training.model import load_model  # noqa: E402
from tests.export.networks import (  # noqa: E402
    EVERY_LAYER,
    KERAS_LAYERS,
    LISTS,
    digits,
    make_config_subject,
    make_subject,
)
from tests.export.onnx_runtimes import RUNTIMES, why_missing  # noqa: E402

RESULTS = ROOT / "benchmarks/results/exports.json"
IMAGES = 1000
DISTRIBUTIONS = {"opencv": "opencv-python-headless", "opencv-classic": "opencv-python-headless"}


def main() -> None:
    """Run all files in all runtimes, print a line for each runtime, and keep the figures."""
    subjects = {path.stem: make_config_subject(path) for path in LISTS}
    subjects["every layer"] = make_subject(EVERY_LAYER)
    subjects["every layer, in color"] = make_subject(EVERY_LAYER, (3, 21, 16))
    subjects["the bundled model"] = Subject(load_model("bundled"), "bundled")
    rows = {}
    for runtime in RUNTIMES:
        if reason := why_missing(runtime):
            print(f"{runtime:17} left out: {reason}")
            continue
        kinds = ["float32"] if runtime == "ncnn" else ["float32", "uint8"]
        found = [compare(runtime, subject, kind) for subject in subjects.values() for kind in kinds]
        rows[runtime] = row(version_of(runtime), len(subjects), kinds, found)
        print(f"{runtime:17} {rows[runtime]}", flush=True)
    for name in ("torch", "keras"):
        if not is_installed(name):
            print(f"{name:17} left out: it is not installed")
            continue
        kinds = ["float32", "uint8"] if "input" in FORMATS[name].options else ["float32"]
        if name == "keras":
            from keras import backend

            subjects |= {"every layer": make_subject(KERAS_LAYERS)}
            subjects |= {"every layer, in color": make_subject(KERAS_LAYERS, (3, 21, 16))}
            computes = backend.backend()
            its_version = import_module(computes).__version__.partition("+")[0]
            title, number = f"Keras, {computes}", f"{version('keras')}, {its_version}"
        else:
            title, number = "PyTorch", version("torch").partition("+")[0]
        found = [compare_own(name, subject, kind) for subject in subjects.values() for kind in kinds]
        rows[title] = row(number, len(subjects), kinds, found)
        print(f"{title:17} {rows[title]}", flush=True)
    RESULTS.write_text(json.dumps({"images": IMAGES, "runtimes": rows}, indent=2) + "\n", encoding="utf-8")


def row(number: str, networks: int, kinds: list[str], found: list[tuple[float, float]]) -> dict[str, object]:
    """Return the entry of a runtime."""
    return {
        "version": number,
        "networks": networks,
        "inputs": kinds,
        "largest_difference": float(f"{max(difference for difference, _ in found):.1e}"),
        "equal_answers": min(equal for _, equal in found),
    }


def compare_own(name: str, subject: Subject, kind: str) -> tuple[float, float]:
    """Return the same as `compare` for a format with a runtime of its own."""
    subject = replace(subject, name="net", options=ExportOptions(input=kind))  # type: ignore[arg-type]
    images = digits(IMAGES, subject.folded.input_shape)
    expected = logits_of(subject.model.network, subject.model.normalize, images)
    with tempfile.TemporaryDirectory() as folder:
        for suffix, content in FORMATS[name].write(subject).items():
            (Path(folder) / f"net{suffix}").write_bytes(content)
        found = FORMATS[name].answers(Path(folder) / f"net{FORMATS[name].suffixes[0]}", subject, images)
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    return float(np.abs(found - expected).max()), float(same.mean())


def compare(runtime: str, subject: Subject, kind: str) -> tuple[float, float]:
    """Return the largest difference of a logit and the share of equal answers."""
    subject = replace(subject, options=ExportOptions(input=kind))  # type: ignore[arg-type]
    images = digits(IMAGES, subject.folded.input_shape)
    expected = logits_of(subject.model.network, subject.model.normalize, images)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        path.write_bytes(make_onnx(subject).SerializeToString())
        found = RUNTIMES[runtime](path, pixels_of(images).astype(kind))
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    return float(np.abs(found - expected).max()), float(same.mean())


def version_of(runtime: str) -> str:
    """Return the version of an installed runtime."""
    if runtime == "onnxruntime-node":
        code = "require('onnxruntime-node/package.json').version"
        return subprocess.run(["node", "-p", code], capture_output=True, text=True, check=True).stdout.strip()
    return version(DISTRIBUTIONS.get(runtime, runtime))


if __name__ == "__main__":
    main()
