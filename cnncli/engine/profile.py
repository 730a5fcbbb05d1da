"""Measures the time that each part of a training step takes.

A `StepClock` measures the caller, which is worker 0. All other workers have a plain `Clock`.
"""

from time import perf_counter

WAITING = "waiting for the other shards"
"""The time of a shard at a barrier. A worker that runs several shards runs the others in this time."""


class Clock:
    """Measures the time from `start`, or from the last `stop`, to the next `stop`; this one measures nothing."""

    def start(self) -> None:
        """Begin to measure."""

    def stop(self, part: str, *, backward: bool = False) -> None:
        """Add the time since the last `start` or `stop` to one part of the step."""


class StepClock(Clock):
    """Adds up seconds for each part of a step: the layers that a kernel covers, or a name such as "optimizer"."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], float] = {}
        self._last = 0.0

    def start(self) -> None:
        self._last = perf_counter()

    def stop(self, part: str, *, backward: bool = False) -> None:
        now = perf_counter()
        key = (part, "backward" if backward else "forward")
        self.seconds[key] = self.seconds.get(key, 0.0) + now - self._last
        self._last = now
