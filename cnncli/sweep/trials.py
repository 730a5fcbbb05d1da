"""What a sweep keeps of each of its trials."""

from dataclasses import asdict, dataclass, field
from typing import Any

from cnncli.errors import RunError
from cnncli.runs import Group
from cnncli.sweep.search import Result
from cnncli.sweep.trial import DONE

WAITING, RUNNING, PRUNED, FAILED = "waiting", "running", "pruned", "failed"
"""What a trial can be beside done."""


@dataclass
class Trial:
    """One trial of a sweep.

    Attributes:
        number: from 0.
        values: of the keys that are varied.
        state: waiting, running, done, pruned or failed.
        val_accuracy: of its best epoch; of a pruned trial that of its last epoch.
        epochs: how many it has done.
        seconds: of its training.
        error: why it failed.
        curve: the validation accuracy after each epoch.
    """

    number: int
    values: dict[str, Any]
    state: str = WAITING
    val_accuracy: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    error: str | None = None
    curve: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of its run in the folder of the sweep."""
        return f"trial-{self.number}"

    @property
    def is_over(self) -> bool:
        """Whether it has a result."""
        return self.state in (DONE, PRUNED, FAILED)

    @property
    def result(self) -> Result:
        """What the search is told."""
        return Result(self.state, self.val_accuracy, tuple(self.curve))

    def to_json(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        return {**asdict(self), "name": self.name}


def best_trial(trials: list[Trial]) -> Trial | None:
    """Return the trial with the best validation accuracy; of equal ones the first."""
    finished = [trial for trial in trials if trial.state == DONE and trial.val_accuracy is not None]
    return max(finished, key=lambda trial: (trial.val_accuracy or 0.0, -trial.number), default=None)


def read_trials(group: Group) -> list[Trial]:
    """Return the trials of a sweep as its file has them.

    Raises:
        RunError: the file is damaged.
    """
    try:
        return [
            Trial(**{key: value for key, value in each.items() if key != "name"})
            for each in group.read_info().get("trials") or []
        ]
    except (TypeError, AttributeError) as error:
        raise RunError(f"{group.info_path} is damaged: {error}") from error
