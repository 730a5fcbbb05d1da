"""Turns the name of a data set into arrays: a published set, the built-in digits, or a folder of the user's."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cnncli.data.dataset import FOLDER_PREFIX, SPLIT_NAMES, SYNTHETIC, Dataset, SplitName
from cnncli.data.readers import idx_set
from cnncli.data.registry import DATASETS, DatasetSpec, find_spec


def load_dataset(
    name: str,
    data_dir: str | Path = "data",
    *,
    splits: Sequence[SplitName] = SPLIT_NAMES,
    table: Mapping[str, DatasetSpec] = DATASETS,
) -> Dataset:
    """Load a set by its name; this never downloads anything.

    Args:
        name: an entry of the table, "synthetic", "folder:PATH", or the path of a folder. The folder holds pictures
            in one subfolder per class, or four IDX files under the names of MNIST.
        data_dir: the folder of the published sets: data_dir/<name>/<file>. The four MNIST files may be in data_dir
            itself.
        splits: which splits of a published set to load; the other one has no images.
        table: the published sets.

    Raises:
        UsageError: no set has this name.
        DataError: a file is missing (the hint has the command that downloads it) or has the wrong content.

    Example:
        >>> load_dataset("synthetic").input_shape
        (1, 28, 28)
    """
    if name == SYNTHETIC:
        from cnncli.data.synthetic.draw import make_synthetic

        return make_synthetic()
    own = name.startswith(FOLDER_PREFIX) or Path(name).is_dir()
    if name in table or not own:
        return idx_set.load_published(find_spec(name, table), data_dir, splits)
    folder = _own_folder(name)
    if idx_set.holds_idx_files(folder):
        return idx_set.load_own(name, folder)
    from cnncli.data.readers.folder import load_folder  # imports Pillow

    return load_folder(folder)


def is_available(
    name: str, data_dir: str | Path = "data", *, table: Mapping[str, DatasetSpec] = DATASETS
) -> bool:
    """Return whether every file of a set is present; only `load_dataset` checks their content."""
    if name == SYNTHETIC:
        return True
    if name not in table:
        return _own_folder(name).is_dir()
    return idx_set.holds_idx_files(idx_set.locate(table[name], data_dir), table[name])


def _own_folder(name: str) -> Path:
    return Path(name.removeprefix(FOLDER_PREFIX)).expanduser()
