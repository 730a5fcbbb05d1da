"""A place that runs trials in this process, in an order of its own, for tests of what decides about trials."""

import random
from collections.abc import Callable
from pathlib import Path

from cnncli.sweep.places.place import Ended, Job
from cnncli.sweep.trial import StopWatch, train_folder


class Here:
    """Runs trials in this process; of those that were started, any may end first.

    Args:
        slots: how many count as running at once.
        seed: of the order.
        end: replaces the training of a trial; None to train it.
    """

    def __init__(self, slots: int, seed: int = 0, end: Callable[[Job], Ended | None] | None = None) -> None:
        self.slots = slots
        self.started: list[int] = []
        self.closed = False
        self._rng = random.Random(seed)
        self._jobs: list[Job] = []
        self._end = end or (lambda job: None)

    def start(self, job: Job) -> None:
        assert len(self._jobs) < self.slots
        self.started.append(job.number)
        self._jobs.append(job)

    def wait(self, seconds: float) -> list[Ended]:
        job = self._jobs.pop(self._rng.randrange(len(self._jobs)))
        ended = self._end(job)
        if ended is None:
            ended = Ended(
                job.number, *train_folder(Path(job.folder), StopWatch(job.folder), workers=1, test=job.test)
            )
        return [ended]

    def close(self) -> None:
        self.closed = True
