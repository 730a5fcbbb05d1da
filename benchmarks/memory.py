"""How much memory does a training run take in all its processes, and how does it grow with the data set?

CNNCLI_TEST_MNIST=... python benchmarks/memory.py
"""

import os
import sys
import tempfile

from arena import arguments, has_torch, save
from processes import run

CNN = [sys.executable, "-m", "cnncli"]
TORCH = """
import torch, numpy as np
from torch import nn
images = torch.tensor(np.random.default_rng(0).integers(0, 256, (60000, 1, 28, 28), dtype=np.uint8)).float().div(255)
labels = torch.randint(0, 10, (60000,))
net = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1),
    nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
rule = torch.optim.Adam(net.parameters(), fused=True)
for _ in range(40):
    chosen = torch.randint(0, 60000, (128,))
    rule.zero_grad()
    nn.functional.cross_entropy(net(images[chosen]), labels[chosen]).backward()
    rule.step()
"""


def main() -> None:
    """Measure, print, and write results/memory.json."""
    options = arguments(__doc__, rounds=1)
    data = os.environ.get("CNNCLI_TEST_MNIST")
    if data is None:
        sys.exit("CNNCLI_TEST_MNIST must name the folder with the MNIST files")
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        for images in (5_000, 15_000, 30_000, 55_000):
            command = [
                *CNN,
                "train",
                "--config",
                "mnist.yaml",
                "--epochs",
                "1",
                "-q",
                "--set",
                f"data.limit={images}",
            ]
            command += ["--set", f"data.dir={data}"]
            _, peak, code = run(command, cwd=folder)
            if code:
                sys.exit(f"{' '.join(command)} ended with exit code {code}")
            table[f"cnn train, {images:,} images"] = round(peak / 1e6)
        if has_torch():
            _, peak, _ = run([sys.executable, "-c", TORCH], cwd=folder)
            table["PyTorch, 60,000 images in float32"] = round(peak / 1e6)
    print("\npeak memory of all processes together (shared pages counted once)")
    for name, megabytes in table.items():
        print(f"  {name:36s} {megabytes:5d} MB")
    if not options.no_save:
        save("memory", {"megabytes": table})


if __name__ == "__main__":
    main()
