"""Does it help to start from the bundled model, which knows digits, where another set has few images?

    python benchmarks/fine_tuning.py --fashion data/fashion-mnist

Each set has few training images: letters A to Z, drawn with fonts of matplotlib, and clothes, the first of each class
of Fashion-MNIST's training images. The test images are other letters in fonts that are not in training, and the last
10,000 clothes. The network is that of bundled.yaml. It is trained from random weights, from those of the bundled model
(`--init-from bundled --init-partial`), and from those with some layers frozen (`train.freeze`). Each figure is the mean
over three seeds of the accuracy on the test images after the last epoch. No test image chooses anything.
"""

import argparse
import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

import cnncli
from cnncli.training.model import load_model

RESULTS = Path(__file__).parent / "results" / "fine_tuning.json"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TRAINING_FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSansMono.ttf",
    "cmr10.ttf",
    "DejaVuSans-Oblique.ttf",
)
TEST_FONTS = ("STIXGeneral.ttf", "cmss10.ttf", "DejaVuSerif-Italic.ttf", "cmtt10.ttf", "DejaVuSans-Bold.ttf")
SEEDS = (1, 2, 3)
EPOCHS = 30

Images = tuple[np.ndarray, np.ndarray]


def letters(count: int, fonts: tuple[str, ...], seed: int) -> Images:
    """Draw letters, bright on black in the middle of 28x28 pixels, turned and of varied size."""
    rng = np.random.default_rng(seed)
    folder = Path(get_data_path()) / "fonts/ttf"
    images, labels = [], np.arange(count) % len(LETTERS)
    for label in labels:
        font = ImageFont.truetype(folder / fonts[rng.integers(len(fonts))], int(rng.integers(60, 81)))
        page = Image.new("L", (112, 112))
        ImageDraw.Draw(page).text((56, 56), LETTERS[label], font=font, fill=255, anchor="mm")
        page = page.rotate(
            rng.uniform(-15, 15), Image.Resampling.BILINEAR, translate=tuple(rng.integers(-8, 9, 2))
        )
        images.append(np.asarray(page.resize((28, 28), Image.Resampling.BOX)))
    return np.stack(images), labels.astype(np.uint8)


def clothes(folder: Path, count: int) -> tuple[Images, Images]:
    """Return the first images of each class of Fashion-MNIST, and its last 10,000 training images."""
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    first = np.sort(np.concatenate([np.flatnonzero(labels == label)[: count // 10] for label in range(10)]))
    return (images[first], labels[first]), (images[-10_000:], labels[-10_000:])


def write_set(folder: Path, train: Images, test: Images) -> None:
    """Write a set of the user's own as IDX files."""
    folder.mkdir()
    for name, (images, labels) in (("train", train), ("t10k", test)):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
            (folder / f"{name}-{kind}-ubyte").write_bytes(
                bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
            )


def measure(folder: Path, classes: int, changes: list[str]) -> float:
    """Train three times, and return the mean accuracy on the test images."""
    found = []
    layers = load_model("bundled").network.spec()
    layers[-1] = {"linear": {"units": classes}}
    config = cnncli.load_config("bundled").with_overrides(
        [
            f"data.dataset=folder:{folder}",
            "data.unknown=0",
            "data.validation=0",
            "train.batch_size=32",
            f"train.epochs={EPOCHS}",
            f"model={json.dumps(layers)}",
            *changes,
        ]
    )
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as runs:
            run = cnncli.create_run(runs)
            *_, result = cnncli.train_run(config.with_overrides([f"seed={seed}"]), run, plots=False)
            found.append(result.test_accuracy)
    return mean(found)


def main() -> None:
    """Measure all sets and ways, print them, and keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fashion", type=Path, required=True, help="the folder with Fashion-MNIST's training images"
    )
    fashion = parser.parse_args().fashion
    names = load_model("bundled").network
    frozen = [
        name for name, layer in zip(names.names[:-1], names.layers[:-1], strict=True) if layer.parameters
    ]
    start = ["train.init_from=bundled", "train.init_partial=true"]
    ways = {
        "from random weights": [],
        "from the bundled model": start,
        "the same, two convolutions frozen": [*start, "train.freeze=[conv1, conv2, batchnorm1]"],
        "the same, all but the last layer frozen": [*start, f"train.freeze=[{', '.join(frozen)}]"],
    }
    test_letters = letters(2600, TEST_FONTS, seed=9)
    sets: dict[str, tuple[int, Callable[[], tuple[Images, Images]]]] = {
        "260 letters": (26, lambda: (letters(260, TRAINING_FONTS, seed=8), test_letters)),
        "1,040 letters": (26, lambda: (letters(1040, TRAINING_FONTS, seed=8), test_letters)),
        "200 clothes": (10, lambda: clothes(fashion, 200)),
        "1,000 clothes": (10, lambda: clothes(fashion, 1000)),
    }
    rows: dict[str, dict[str, float]] = {}
    for name, (classes, make) in sets.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "own"
            write_set(folder, *make())
            rows[name] = {way: round(measure(folder, classes, changes), 4) for way, changes in ways.items()}
        print(name, rows[name], flush=True)
    RESULTS.write_text(
        json.dumps({"epochs": EPOCHS, "seeds": len(SEEDS), "sets": rows}, indent=2) + "\n", "utf-8"
    )


if __name__ == "__main__":
    main()
