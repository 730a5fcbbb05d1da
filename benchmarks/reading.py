"""How long does a table of 42,000 images take to read, beside pandas, and 28,000 answers from the prompt to the file?

python benchmarks/reading.py

The table has the form of Kaggle's digit recognizer: a header, a label, and 784 pixels in each row. Each reading is a
process of its own, in turns. pandas has to be installed for its part. The memory is what a process grows by while it
reads, in sizes of the array of pixels.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from arena import arguments, save
from processes import wall

TRAIN, TEST = 42_000, 28_000

OURS = """
from cnncli.data.readers.table import read_table
from pathlib import Path
def read(path):
    return read_table(Path(path)).arrays[0].load()
"""
PANDAS = """
import pandas
def read(path):
    return pandas.read_csv(path).values
"""
MEASURE = """
import json, sys, time
def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
before, began = peak(), time.perf_counter()
read(sys.argv[1])
print(json.dumps([time.perf_counter() - began, peak() - before]))
"""


def main() -> None:
    """Measure, print, and write results/reading.json."""
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        train, test = write_tables(Path(folder))
        readers = {"cnncli": OURS, "pandas": PANDAS} if has_pandas() else {"cnncli": OURS}
        found: dict[str, list[list[float]]] = {name: [] for name in readers}
        for _ in range(options.rounds + 1):
            for name, code in readers.items():
                found[name].append(run(code, train))
        # the first run of each only warms the disk cache
        seconds = {name: statistics.median(each[0] for each in runs[1:]) for name, runs in found.items()}
        grown = {name: statistics.median(each[1] for each in runs[1:]) for name, runs in found.items()}
        array = TRAIN * 784
        print(f"\n{TRAIN:,} rows of a table")
        for name, value in seconds.items():
            ratio = f"{value / seconds['pandas']:.2f} of pandas" if "pandas" in seconds else ""
            print(
                f"  {name:10s} {value:6.2f} s  {ratio:16s} memory {grown[name] / array:.1f} times the array"
            )
        answers, second = answer(Path(folder), train, test)
        print(f"\ncnn predict test.csv --format kaggle, {TEST:,} rows, whole process: {answers:.2f} s")
        print(f"a second load of train.csv, from the cache: {second:.2f} s")
    if not options.no_save:
        save(
            "reading",
            {
                "rounds": options.rounds,
                "rows": TRAIN,
                "seconds": {name: round(value, 3) for name, value in seconds.items()},
                "memory": {name: round(value / array, 2) for name, value in grown.items()},
                "answers": round(answers, 2),
                "from_cache": round(second, 3),
            },
        )


def answer(folder: Path, train: Path, test: Path) -> tuple[float, float]:
    """Return the seconds of a prediction of all rows by the reference network, and of a second load of a table."""
    cnn = [sys.executable, "-m", "cnncli"]
    fit = ["train", "mnist.yaml", "--epochs", "1", "-q", "--set", f"data.dataset={train}"]
    wall([*cnn, *fit, "--name", "ours", "--set", "data.limit=2000"], cwd=folder)
    predict = ["predict", str(test), "--run", "ours", "--format", "kaggle", "--csv", "answers.csv"]
    seconds = statistics.median(wall([*cnn, *predict], cwd=folder) for _ in range(3))
    code = "import time\nfrom cnncli import load_dataset\nbegan = time.perf_counter()\n"
    code += f"load_dataset({str(train)!r})\nprint(time.perf_counter() - began)"
    environment = {**os.environ, "CNNCLI_CACHE": str(folder / "cache")}
    times = [
        float(
            subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True
            ).stdout
        )
        for _ in range(4)
    ]
    return seconds, statistics.median(times[1:])


def run(code: str, path: Path) -> list[float]:
    """Return the seconds that a reader takes in a process of its own, and the bytes that this grows by."""
    time.sleep(0.2)
    command = [sys.executable, "-c", code + MEASURE, str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def has_pandas() -> bool:
    """Return whether pandas is installed."""
    try:
        import pandas  # noqa: F401
    except ImportError:
        print("pandas is not installed: its part is left out")
        return False
    return True


def write_tables(folder: Path) -> tuple[Path, Path]:
    """Write a table with labels and one without, of drawn digits."""
    from cnncli.data.synthetic.draw import make_synthetic

    digits = make_synthetic(train=6000, test=0).train
    names = [f"pixel{i}" for i in range(784)]
    rows = [",".join(map(str, row)) for row in digits.images.reshape(len(digits), -1).tolist()]
    order = np.random.default_rng(0).integers(0, len(rows), TRAIN + TEST)
    train, test = folder / "train.csv", folder / "test.csv"
    with open(train, "w") as file:
        file.write(",".join(["label", *names]) + "\n")
        file.writelines(f"{digits.labels[i]},{rows[i]}\n" for i in order[:TRAIN])
    with open(test, "w") as file:
        file.write(",".join(names) + "\n")
        file.writelines(rows[i] + "\n" for i in order[TRAIN:])
    return train, test


if __name__ == "__main__":
    main()
