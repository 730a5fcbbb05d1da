"""How long does one image take in the C program of a network, compared with onnxruntime with one thread?

python benchmarks/c_export.py

The networks are those of configs, with random weights. Programs are compiled with each line of FLAGS.
"""

from __future__ import annotations

import ctypes
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from arena import arguments, layers_of, save

import cnncli
from cnncli.export.c import write as c
from cnncli.export.c.compile import find_compiler
from cnncli.export.subject import DataType, ExportOptions, Subject
from cnncli.training.model import Model

CONFIGS = ("mnist.yaml", "small.yaml", "speedrun.yaml", "lenet5.yaml", "bundled.yaml")
FLAGS = ("-std=c99 -O3 -march=native", "-std=c99 -O2")
CALLS = 50


def main() -> None:
    """Measure, print, and write results/c_export.json."""
    options = arguments(__doc__)
    if find_compiler() is None:
        sys.exit("no C compiler is on the PATH")
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        sys.exit("onnxruntime is not installed: pip install 'cnncli[onnx]'")
    table = {}
    for config in CONFIGS:
        with tempfile.TemporaryDirectory() as folder:
            table[config] = measure(make_model(config), Path(folder), options.rounds)
        base = table[config]["onnxruntime"]
        print(f"\n{config}, microseconds for one image")
        for name, value in table[config].items():
            print(f"  {name:42s} {value:8.0f}   {value / base:.2f} of onnxruntime", flush=True)
    if not options.no_save:
        save("c_export", {"rounds": options.rounds, "microseconds": table})


def make_model(config: str) -> Model:
    """Return the untrained network of a config."""
    network = cnncli.build_network(layers_of(config), (1, 28, 28), rng=np.random.default_rng(0))
    meta = {"config": {}, "input_shape": [1, 28, 28]}
    return Model(network, tuple("0123456789"), None, "net", Path("net.npz"), "best", meta)


def measure(model: Model, folder: Path, rounds: int) -> dict[str, float]:
    """Return the microseconds of each contestant, the median of rounds in turns."""
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    contestants = {"onnxruntime": onnxruntime_call(model, folder, pixels)}
    for dtype in ("float32", "int8"):
        for flags in FLAGS:
            contestants[f"{dtype}, {flags}"] = c_call(model, dtype, flags, folder, pixels)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds + 1):
        for name, call in contestants.items():
            began = time.perf_counter()
            for _ in range(CALLS):
                call()
            times[name].append((time.perf_counter() - began) / CALLS * 1e6)
    # the first round only warms the caches
    return {name: round(statistics.median(each[1:]), 1) for name, each in times.items()}


def onnxruntime_call(model: Model, folder: Path, pixels: np.ndarray) -> Callable[[], object]:
    """Return a function that runs one image through onnxruntime with one thread."""
    import onnxruntime

    from cnncli.export.formats import find_format

    (folder / "net.onnx").write_bytes(find_format("onnx").write(Subject(model, "net"))[".onnx"])
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(folder / "net.onnx"), settings, providers=["CPUExecutionProvider"]
    )
    image = {session.get_inputs()[0].name: pixels[None, None].astype(np.float32)}
    return lambda: session.run(None, image)


def c_call(
    model: Model, dtype: DataType, flags: str, folder: Path, pixels: np.ndarray
) -> Callable[[], object]:
    """Return a function that runs one image through the compiled program."""
    for suffix, content in c.write(Subject(model, "net", ExportOptions(dtype=dtype))).items():
        (folder / f"net{suffix}").write_bytes(content)
    library = folder / f"{dtype}{flags.replace(' ', '')}.so"
    files = [str(folder / "net.c"), "-lm", "-o", str(library)]
    subprocess.run([str(find_compiler()), *flags.split(), "-shared", "-fPIC", *files], check=True)
    function = ctypes.CDLL(str(library)).net_logits
    logits = np.zeros(len(model.classes), np.float32)
    arguments = pixels.ctypes.data_as(ctypes.c_void_p), logits.ctypes.data_as(ctypes.c_void_p)
    return lambda: function(*arguments)


if __name__ == "__main__":
    main()
