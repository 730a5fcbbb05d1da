"""How long do short commands take as whole processes: `cnn --help`, `cnn predict digit.png`, `import torch`?

python benchmarks/startup.py
"""

import statistics
import sys
import tempfile
from pathlib import Path

from arena import arguments, has_torch, save
from processes import wall

CNN = [sys.executable, "-m", "cnncli"]


def main() -> None:
    """Measure, print, and write results/startup.json."""
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        train = ["train", "--config", "synthetic.yaml", "--epochs", "1", "-q", "--set", "data.limit=1000"]
        wall([*CNN, *train, "--set", "data.validation=100"], cwd=folder)
        picture = draw(Path(folder) / "digit.png")
        commands = {
            "python -c 'import numpy'": [sys.executable, "-c", "import numpy"],
            "cnn --help": [*CNN, "--help"],
            "cnn predict digit.png": [*CNN, "predict", str(picture)],
        }
        if has_torch():
            commands["python -c 'import torch'"] = [sys.executable, "-c", "import torch"]
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.rounds + 1):
            for name, command in commands.items():
                seconds[name].append(wall(command, cwd=folder))
    # The first run of each only warms the disk cache.
    table = {name: round(statistics.median(times[1:]), 3) for name, times in seconds.items()}
    base = table["python -c 'import numpy'"]
    print("\nwhole processes, warm disk")
    for name, value in table.items():
        print(f"  {name:28s} {value:6.3f} s   {value / base:.1f} times `import numpy`")
    if not options.no_save:
        save("startup", {"rounds": options.rounds, "seconds": table})


def draw(path: Path) -> Path:
    """Write a picture of a 7, black on white, and return its path."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(image).line([(80, 80), (200, 80), (120, 240)], fill=0, width=22, joint="curve")
    image.save(path)
    return path


if __name__ == "__main__":
    main()
