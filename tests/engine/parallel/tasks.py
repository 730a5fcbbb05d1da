"""What the pools of the tests run. A worker that is a process of its own imports this file, so it imports little."""

import os
import signal

from cnncli.errors import DataError


def two_steps(worker, task):
    if task == ("fail", worker):
        raise DataError(f"worker {worker} found no data")
    if task == ("break", worker):
        raise ValueError("a defect")
    if task == ("die", worker):
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    yield
    if task == ("fail late", worker):
        raise DataError(f"worker {worker} found no data")
    yield
