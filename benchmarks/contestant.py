"""One side of a speed comparison, alone in its own process, working in bursts on request.

It reads a line with its job in JSON, prepares everything, answers "ready", and then answers every line "go" with the
images a second of one burst. Between bursts it sleeps on its standard input and takes no time from the other side.
Run by arena.py; nothing here is timed that a user's training would not do: batches are gathered from 60,000 images in
random order, by index.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

IMAGES = 10_000  # to draw batches from; the speed does not depend on what is on them


def pixels(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 images (N, H, W[, C]) and labels (N,)."""
    rng = np.random.default_rng(0)
    c, h, w = shape
    images = rng.integers(0, 256, (IMAGES, h, w) if c == 1 else (IMAGES, h, w, c), dtype=np.uint8)
    return images, rng.integers(0, 10, IMAGES)


def ours(job: dict[str, Any]) -> Callable[[], float]:
    """Return a burst of this project's training or inference."""
    import cnncli.engine as engine
    from cnncli.data.batches import to_input
    from cnncli.nn.build import build_network
    from cnncli.optim.optimizers import make_optimizer

    shape, batch = tuple(job["shape"]), job["batch"]
    images, labels = pixels(shape)
    network = build_network([tuple(layer) for layer in job["model"]], shape, rng=np.random.default_rng(0))
    executor = engine.compile(network, job.get("engine", "fast"), batch_size=batch, **job.get("options", {}))
    rng = np.random.default_rng(1)
    if job["what"] == "train":
        optimizer = make_optimizer("adam", {}, network.parameters)
        steps = iter(range(1 << 60))

        def burst() -> float:
            start = time.perf_counter()
            for _ in range(job["burst"]):
                chosen = rng.integers(0, IMAGES, batch)
                x = to_input(images[chosen], None)
                executor.train_step(x, labels[chosen], optimizer, 1e-3, key=(0, 1, next(steps)))
            return job["burst"] * batch / (time.perf_counter() - start)

        return burst

    x = to_input(images, None)  # like PyTorch's side: inference is measured on float input

    def infer() -> float:
        start = time.perf_counter()
        for low in range(0, IMAGES, batch):
            executor.forward(x[low : low + batch])
        return IMAGES / (time.perf_counter() - start)

    return infer


def torch_side(job: dict[str, Any]) -> Callable[[], float]:
    """Return a burst of PyTorch's training or inference of the same network, in one of its modes."""
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

        def burst() -> float:
            start = time.perf_counter()
            for _ in range(job["burst"]):
                chosen = torch.randint(0, IMAGES, (batch,))
                with autocast():
                    loss = cross_entropy(run(arranged(x[chosen])), labels[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            return job["burst"] * batch / (time.perf_counter() - start)

        return burst
    network.eval()

    def infer() -> float:
        start = time.perf_counter()
        with torch.inference_mode(), autocast():
            for low in range(0, IMAGES, batch):
                run(arranged(x[low : low + batch]))
        return IMAGES / (time.perf_counter() - start)

    return infer


def main() -> None:
    """Serve bursts until standard input ends."""
    job = json.loads(sys.stdin.readline())
    burst = torch_side(job) if job["side"] == "torch" else ours(job)
    burst()  # the first one compiles, allocates and warms up
    print("ready", flush=True)
    for _ in sys.stdin:
        print(burst(), flush=True)


if __name__ == "__main__":
    main()
