"""Chooses the values of each trial: all combinations of a grid, or drawn ones; Optuna is asked where a file says so."""

from itertools import islice

from cnncli.randomness import stream
from cnncli.sweep.definition import SweepDefinition
from cnncli.sweep.search import Result, Search, Watch


class GridSearch:
    """All combinations of a grid, in order."""

    def __init__(self, definition: SweepDefinition) -> None:
        self._definition = definition

    def ask(self, number: int) -> dict[str, object] | None:
        return next(islice(self._definition.combinations(), number, None), None)

    def tell(self, number: int, result: Result) -> None:
        pass

    def watch(self, number: int) -> Watch | None:
        return None


class RandomSearch:
    """Values drawn at random; those of a trial depend on its number alone."""

    def __init__(self, definition: SweepDefinition) -> None:
        self._definition = definition

    def ask(self, number: int) -> dict[str, object] | None:
        rng = stream(self._definition.seed, "sweep", number)
        return {key: space.draw(rng) for key, space in self._definition.search.items()}

    def tell(self, number: int, result: Result) -> None:
        pass

    def watch(self, number: int) -> Watch | None:
        return None


def make_search(definition: SweepDefinition) -> Search:
    """Return the search of a sweep."""
    plain: Search = GridSearch(definition) if definition.grid else RandomSearch(definition)
    if not definition.depends_on_results:
        return plain
    from cnncli.sweep.optuna_search import OptunaSearch, Pruned

    if not definition.grid and definition.sampler != "random":
        plain = OptunaSearch(definition)
    return plain if definition.prune is None else Pruned(plain, definition.prune)
