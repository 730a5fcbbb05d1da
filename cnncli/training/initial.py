"""Starts a training run from the weights of another one, or of a PyTorch model, in place of random ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnncli.checkpoint import load_checkpoint, network_hash
from cnncli.checkpoint.files import load_arrays
from cnncli.checkpoint.safetensors import is_safetensors, read_safetensors
from cnncli.checkpoint.torch_names import with_own_names
from cnncli.errors import CheckpointError
from cnncli.nn.network import Network
from cnncli.nn.parameters import check_arrays
from cnncli.optim.averaging import averaged_weights
from cnncli.runs import Run
from cnncli.training.lookup import run_or_file

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Initial:
    """Where a network's first weights came from: `initial` in run.json.

    Attributes:
        path: of the file.
        sha256: of its arrays, as `network_hash` computes it.
        kept: the layers that start with them.
        fresh: the layers with parameters that start with random ones.
        unused: the arrays of the file that no layer took.
    """

    path: str
    sha256: str
    kept: tuple[str, ...]
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def start_from(
    network: Network, source: str, *, partial: bool = False, runs_dir: str | Path = "runs"
) -> Initial:
    """Copy the weights of a file into a network, and return what it took.

    Args:
        network: with its random initial weights.
        source: a run, a checkpoint, an .npz or .safetensors file; "bundled" is the model that ships with the package.
        partial: let those layers start fresh whose arrays are not all there in the right shape.
        runs_dir: where names of runs are looked up.

    Raises:
        RunError: there is no such run.
        CheckpointError: the file cannot be read, or it does not fit: one sentence each for missing, unknown and
            misshapen arrays. With `partial`: no layer fits. The network is unchanged.
    """
    path = weights_path(source, runs_dir)
    own = network.state()
    found = with_own_names(read_weights(path), own)
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in own))
    kept = [layer for layer in layers if not partial or _fits(layer, own, found)]
    taken = {name: found.get(name) for name in own if name.rpartition(".")[0] in kept}
    if partial and not kept:
        raise CheckpointError(f"no layer of the network has its arrays in {path} with the right shapes")
    if not partial:
        hint = "take what fits, and let the other layers start fresh: `train.init_partial=true`"
        try:
            check_arrays("the network", own, found, hint)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error.message}", error.hint) from error
    network.load_state({**own, **taken})  # type: ignore[dict-item]
    return Initial(
        str(path),
        network_hash(found),
        tuple(kept),
        tuple(layer for layer in layers if layer not in kept),
        tuple(name for name in found if name not in taken),
    )


def weights_path(source: str, runs_dir: str | Path = "runs") -> Path:
    """Return the file that a user means: that of a run is its best checkpoint, or the last while there is no best one.

    Raises:
        RunError: there is no such run, or it has no checkpoint.
    """
    found = run_or_file(source, runs_dir)
    if isinstance(found, Run):
        return found.best_path if found.best_path.is_file() else found.last_path
    return found


def read_weights(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a network from a checkpoint, from what `cnn export` writes as npz, or from safetensors.

    Raises:
        CheckpointError: it is none of these, or damaged.
    """
    if is_safetensors(path):
        return read_safetensors(path)[0]
    arrays = load_arrays(path)
    if not any("/" in name for name in arrays):
        return arrays
    saved = load_checkpoint(path)
    return averaged_weights(saved.average) if saved.average else saved.network


def _fits(layer: str, own: Arrays, found: Arrays) -> bool:
    """Return whether all arrays of a layer are there, with their shapes and with numbers that can be converted."""
    names = [name for name in own if name.rpartition(".")[0] == layer]
    return all(
        name in found
        and found[name].shape == own[name].shape
        and np.can_cast(found[name].dtype, own[name].dtype, "same_kind")
        for name in names
    )
