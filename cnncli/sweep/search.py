"""What chooses the values of each trial has to do."""

from typing import NamedTuple, Protocol


class Result(NamedTuple):
    """How a trial ended.

    Attributes:
        state: "done", "pruned" or "failed".
        value: the validation accuracy of the best epoch; of a pruned trial that of its last epoch; None if it failed.
        curve: the validation accuracy after each epoch, up to the one where it was pruned.
    """

    state: str
    value: float | None
    curve: tuple[float, ...] = ()


class Watch(Protocol):
    """Decides after each epoch of one trial whether it is worth going on."""

    def prune(self, epoch: int, value: float) -> bool:
        """Return whether to stop a trial that has reached this validation accuracy after this epoch (from 1)."""
        ...


class Search(Protocol):
    """Chooses trials. `ask` is called for 0, 1, 2, ... in order; `tell` in the order of the numbers, too.

    What `ask` returns may depend on the results told so far. The caller tells the results up to `number - ahead` before
    it asks for `number`, and no others: so the trials do not depend on how many run at once.
    """

    def ask(self, number: int) -> dict[str, object] | None:
        """Return the values of a trial, by the keys of the config; None if there are no more."""
        ...

    def tell(self, number: int, result: Result) -> None:
        """Take the result of a trial."""
        ...

    def watch(self, number: int) -> Watch | None:
        """Return what decides about a trial that starts now; None if trials are never stopped early."""
        ...
