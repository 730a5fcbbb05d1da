"""Measures one side of a speed comparison in a process of its own; arena.py starts it.

The process reads a line with its job in JSON, prepares everything, and answers "ready". It answers every line "go" with
the images per second of one burst of steps. A burst takes about as many seconds as the job says, for slow and fast
contestants alike. Between bursts the process waits for its standard input and uses no processor time.

A step does what a user's training run does: it gathers a batch from 10,000 images in random order. The images are
floats for PyTorch and bytes for cnncli, as in `cnn train`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import count, cycle
from typing import Any

import numpy as np

IMAGES = 10_000
"""How many random images the batches are drawn from; their content does not change the speed."""


def pixels(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 images (N, H, W[, C]) and labels (N,)."""
    rng = np.random.default_rng(0)
    c, h, w = shape
    images = rng.integers(0, 256, (IMAGES, h, w) if c == 1 else (IMAGES, h, w, c), dtype=np.uint8)
    return images, rng.integers(0, 10, IMAGES)


Step = Callable[[], None]
"""Trains or classifies one batch."""


def ours(job: dict[str, Any]) -> Step:
    """Return one step of training or inference with cnncli."""
    import cnncli.engine as engine
    from cnncli.batches.batches import Batches, to_input
    from cnncli.nn.build import build_network
    from cnncli.optim.optimizers import make_optimizer

    shape, batch = tuple(job["shape"]), job["batch"]
    images, labels = pixels(shape)
    network = build_network([tuple(layer) for layer in job["model"]], shape, rng=np.random.default_rng(0))
    executor = engine.compile(network, job.get("engine", "fast"), batch_size=batch, **job.get("options", {}))
    if job["what"] == "train":
        optimizer = make_optimizer("adam", {}, network.parameters)
        batches = Batches(images, labels, batch_size=batch, seed=1, drop_last=True)
        settings = engine.StepSettings(1e-3)
        positions = ((epoch, step) for epoch in count(1) for step in range(len(batches)))

        def train() -> None:
            executor.train_batch(batches, optimizer, settings, key=(0, *next(positions)))

        return train

    x = to_input(images, None)  # as for PyTorch, inference is measured on float input
    lows = cycle(range(0, IMAGES - batch + 1, batch))

    def infer() -> None:
        low = next(lows)
        executor.forward(x[low : low + batch])

    return infer


def torch_side(job: dict[str, Any]) -> Step:
    """Return one step of training or inference of the same network with PyTorch, in one of its modes."""
    import torch
    from rivals import torch_network
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(job.get("threads", os.cpu_count() or 1))
    torch.manual_seed(0)
    mode = job["mode"].split("+")
    shape, batch = tuple(job["shape"]), job["batch"]
    images, labels_array = pixels(shape)
    x = torch.tensor(images).float().div(255)
    x = x.unsqueeze(1) if shape[0] == 1 else x.permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor(labels_array)
    network = torch_network(job["model"], shape)
    layout: dict[str, Any] = {"memory_format": torch.channels_last} if "channels_last" in mode else {}
    network = network.to(**layout) if layout else network
    run = torch.compile(network) if "compile" in mode else network

    def autocast() -> Any:
        return torch.autocast("cpu", torch.bfloat16) if "bf16" in mode else nullcontext()

    def arranged(part: torch.Tensor) -> torch.Tensor:
        return part.contiguous(**layout) if layout else part

    if job["what"] == "train":
        network.train()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)

        def train() -> None:
            chosen = torch.randint(0, IMAGES, (batch,))
            with autocast():
                loss = cross_entropy(run(arranged(x[chosen])), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return train
    network.eval()
    lows = cycle(range(0, IMAGES - batch + 1, batch))

    def infer() -> None:
        low = next(lows)
        with torch.inference_mode(), autocast():
            run(arranged(x[low : low + batch]))

    return infer


def runtime_side(job: dict[str, Any]) -> Step:
    """Return one step of inference of the same network, exported to ONNX, with onnxruntime or OpenVINO."""
    from pathlib import Path

    from cnncli.export.onnx_file import make_onnx
    from cnncli.export.subject import Subject
    from cnncli.nn.build import build_network
    from cnncli.training.model import Model

    shape, batch = tuple(job["shape"]), job["batch"]
    network = build_network([tuple(layer) for layer in job["model"]], shape, rng=np.random.default_rng(0))
    classes = tuple(map(str, range(network.output_shape[0])))
    model = Model(network, classes, None, "untrained", Path("untrained.npz"), "best", {})
    content = make_onnx(Subject(model, "untrained")).SerializeToString()
    x = pixels(shape)[0].astype(np.float32).reshape(IMAGES, *shape)  # the file takes pixels from 0 to 255
    lows = cycle(range(0, IMAGES - batch + 1, batch))
    threads = job.get("threads", os.cpu_count() or 1)
    if job["side"] == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(content, options)
        name = session.get_inputs()[0].name

        def infer() -> None:
            low = next(lows)
            session.run(None, {name: x[low : low + batch]})

        return infer
    import openvino

    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": job["precision"]})
    compiled = core.compile_model(core.read_model(content, b""), "CPU")
    request = compiled.create_infer_request()

    def infer_openvino() -> None:
        low = next(lows)
        request.infer({0: x[low : low + batch]})

    return infer_openvino


def seconds(step: Step, steps: int) -> float:
    """Return how long this many steps take."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return time.perf_counter() - start


def main() -> None:
    """Serve bursts until standard input ends."""
    job = json.loads(sys.stdin.readline())
    sides = {"torch": torch_side, "ours": ours, "onnxruntime": runtime_side, "openvino": runtime_side}
    step = sides[job["side"]](job)
    seconds(step, 3)  # compiles, allocates and warms up
    steps = max(3, round(job.get("seconds", 1.5) / (seconds(step, 3) / 3)))
    print("ready", flush=True)
    for _ in sys.stdin:
        print(steps * job["batch"] / seconds(step, steps), flush=True)


if __name__ == "__main__":
    main()
