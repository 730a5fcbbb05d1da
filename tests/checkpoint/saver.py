"""A process that does nothing but save checkpoints, for test_checkpoint.py to kill.

For each number read from stdin it forks a saver that counts on from there, and reports "pid <its number>",
each count once it is saved, and "gone" when the saver was killed. (To start Python each time takes longer.)
"""

import os
import sys
from pathlib import Path

import numpy as np

from cnncli.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


def save_numbered(path: Path, number: int) -> None:
    """Save a checkpoint in which every number is `number`."""
    network = {f"w{i}": np.full((50, 50), number, np.float32) for i in range(4)}
    meta = {"config": {}, "input_shape": [1, 28, 28], "classes": ["0"], "step": number}
    save_checkpoint(path, Checkpoint(network, meta=meta))


def number_in(path: Path) -> int:
    """Load such a checkpoint, and check that all its parts are from one save."""
    checkpoint = load_checkpoint(path)
    number = checkpoint.meta["step"]
    assert all((array == number).all() for array in checkpoint.network.values())
    return int(number)


def serve(path: Path) -> None:
    """Fork savers on request."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            number = int(line)
            while True:
                number += 1
                save_numbered(path, number)
                os.write(1, b"%d\n" % number)
        os.write(1, b"pid %d\n" % pid)
        os.waitpid(pid, 0)
        os.write(1, b"gone\n")


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
