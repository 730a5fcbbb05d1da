"""Trains one trial in a process of its own: `python -m cnncli.sweep.trial FOLDER`.

The folder is a run folder with a config.yaml. What is in it already is continued. The process ends itself, after it has
saved, when its standard input is closed: that happens however its parent ends. On standard output it leaves one line of
JSON that says how it ended.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from cnncli.errors import CnnError, DivergenceError, Interrupted, RunBusyError, UsageError

DONE, FAILED, IMPOSSIBLE, DIVERGED, STOPPED = "done", "failed", "impossible", "diverged", "stopped"
"""How a trial ends: trained; an error that may not come again; a config that cannot be trained; a loss that is no
number; stopped, with all saved.
"""

STOP_FILE = ".stop"
"""A file of this name in the run folder asks the trial to save and stop, wherever it runs."""

_LOOK_EVERY = 0.25
_PATIENCE = 30.0
"""Seconds until a process that should stop, and has not saved by then, is ended."""


class StopWatch:
    """Says when the trial should stop: its parent is gone, a signal has come, or the folder has a stop file.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / STOP_FILE
        self._number: int | None = None
        self._looked = 0.0

    def __call__(self) -> int | None:
        """Return the number of a signal if the trial should stop, else None."""
        now = time.monotonic()
        if self._number is None and now - self._looked >= _LOOK_EVERY:
            self._looked = now
            if self._file.exists():
                self._number = signal.SIGTERM
        return self._number

    def request(self, number: int, frame: object = None) -> None:
        """Ask the trial to stop; a process that does not is ended after a while."""
        if self._number is None:
            self._number = number
            killer = threading.Timer(_PATIENCE, os._exit, [128 + number])
            killer.daemon = True
            killer.start()

    def watch_parent(self) -> None:
        """Ask the trial to stop when standard input ends."""

        def read() -> None:
            while os.read(0, 4096):
                pass
            self.request(signal.SIGTERM)

        threading.Thread(target=read, daemon=True).start()


def train_folder(folder: Path, stop: StopWatch, *, workers: int | None, test: bool) -> tuple[str, str | None]:
    """Train what a run folder describes, and return how it ended, with a message.

    If another process still trains there, this waits until that process is gone. A run that is done stays as it is.

    Args:
        folder: of the run.
        stop: says when to stop.
        workers: of the engine; None for those of the config.
        test: measure on the test images at the end.
    """
    from cnncli.config.load import load_config
    from cnncli.runs import Run
    from cnncli.training.session import train_run

    run = Run(folder)
    while True:
        if run.status() == "done":
            return DONE, None
        if stop() is not None:
            return STOPPED, None
        try:
            config = load_config(run.config_path, [] if workers is None else [f"engine.workers={workers}"])
            for _ in train_run(config, run, resume=True, stop=stop, plots=False, test=test):
                pass
            return DONE, None
        except RunBusyError:
            time.sleep(_LOOK_EVERY)
        except Interrupted:
            return STOPPED, None
        except DivergenceError as error:
            return DIVERGED, error.message
        except UsageError as error:
            return IMPOSSIBLE, error.message
        except CnnError as error:
            return FAILED, error.message
        except MemoryError:
            return FAILED, "not enough memory"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one trial, and print how it ended."""
    parser = argparse.ArgumentParser(prog="python -m cnncli.sweep.trial", description=__doc__)
    parser.add_argument("folder", type=Path, help="the run folder")
    parser.add_argument("workers", type=int, nargs="?", help="of the engine, in place of those of the config")
    parser.add_argument("test", choices=["test"], nargs="?", help="measure on the test images at the end")
    options = parser.parse_args(arguments)
    stop = StopWatch(options.folder)
    signal.signal(signal.SIGINT, stop.request)
    signal.signal(signal.SIGTERM, stop.request)
    stop.watch_parent()
    outcome, message = train_folder(
        options.folder, stop, workers=options.workers, test=options.test is not None
    )
    try:
        print(json.dumps({"outcome": outcome, "message": message}), flush=True)
    except OSError:  # nobody reads it any more
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
