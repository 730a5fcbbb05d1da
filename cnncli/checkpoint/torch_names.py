"""Translates the names of parameters to those of PyTorch: they differ for batch normalization only."""

from collections.abc import Iterable, Mapping

from cnncli.npz import Array

_TORCH = {"gamma": "weight", "beta": "bias"}


def torch_name(name: str) -> str:
    """Return PyTorch's name of a parameter or buffer.

    Example:
        >>> torch_name("batchnorm1.gamma"), torch_name("conv1.weight")
        ('batchnorm1.weight', 'conv1.weight')
    """
    layer, _, key = name.rpartition(".")
    return f"{layer}.{_TORCH.get(key, key)}"


def with_own_names(arrays: Mapping[str, Array], own: Iterable[str]) -> dict[str, Array]:
    """Return arrays under the names of a network where they have PyTorch's.

    PyTorch's counter of batches, `num_batches_tracked`, is left out: no computation uses it.

    Args:
        arrays: by name, as PyTorch or as the network calls them.
        own: all names of the network. An array with another name keeps it.

    Example:
        >>> list(with_own_names({"batchnorm1.bias": 0, "more": 1}, ["batchnorm1.gamma", "batchnorm1.beta"]))
        ['batchnorm1.beta', 'more']
    """
    names = {torch_name(name): name for name in own}
    return {
        names.get(name, name): array
        for name, array in arrays.items()
        if not name.endswith(".num_batches_tracked")
    }
