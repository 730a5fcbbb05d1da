"""The recipe of configs/speedrun.yaml in PyTorch, from the MNIST files to the test accuracy; speedrun.py starts it.

python benchmarks/torch_speedrun.py FOLDER MODE SEED

MODE is eager or channels_last. The images are kept as bytes and converted batch by batch, as a careful user would.
"""

import gzip
import math
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

EPOCHS, BATCH, PEAK, WARM, START, FINAL = 1, 256, 0.01, 0.3, 0.04, 0.0001


def read(folder: Path, name: str) -> torch.Tensor:
    """Return an IDX file without its header, which has 16 bytes for images and 8 for labels."""
    path = next(path for path in sorted(folder.iterdir()) if path.name.startswith(name))
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    header = 4 + 4 * content[3]
    values = np.frombuffer(content, np.uint8, offset=header)
    return torch.from_numpy(values.copy()).reshape(
        *np.frombuffer(content[4:header], ">u4").astype(int).tolist()
    )


def factor(step: int, total: int) -> float:
    """Return the learning rate of a step as a part of the peak: one cycle, as in cnncli."""
    warm = WARM * total
    if step < warm:
        return START + (1 - START) * (1 - math.cos(math.pi * step / warm)) / 2
    return FINAL + (1 - FINAL) * (1 + math.cos(math.pi * (step - warm) / (total - warm))) / 2


def main() -> None:
    """Train, and print the accuracy."""
    folder, mode, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.manual_seed(seed)
    layout = torch.channels_last if mode == "channels_last" else torch.contiguous_format
    images, labels = read(folder, "train-images"), read(folder, "train-labels").long()
    network = nn.Sequential(
        *(nn.Conv2d(1, 24, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(24, 32, 3), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, 10)),
    ).to(memory_format=layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=PEAK, betas=(0.7, 0.9), fused=True)

    def prepared(part: torch.Tensor) -> torch.Tensor:
        return (
            part.unsqueeze(1)
            .float()
            .mul_(1 / 255 / 0.3081)
            .sub_(0.1307 / 0.3081)
            .contiguous(memory_format=layout)
        )

    steps = math.ceil(len(images) / BATCH)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images))
        for step in range(steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            for group in optimizer.param_groups:
                group["lr"] = PEAK * factor(epoch * steps + step, EPOCHS * steps)
            loss = cross_entropy(network(prepared(images[chosen])), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    images, labels = read(folder, "t10k-images"), read(folder, "t10k-labels").long()
    with torch.inference_mode():
        right = sum(
            int(
                (
                    network(prepared(images[start : start + 1000])).argmax(1) == labels[start : start + 1000]
                ).sum()
            )
            for start in range(0, len(images), 1000)
        )
    print(f"{right / len(images):.4f}")


if __name__ == "__main__":
    main()
