"""Turns the name of a data set into arrays: a published set, the built-in digits, or a folder of the user's."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnncli.data.dataset import FOLDER_PREFIX, SPLIT_NAMES, SYNTHETIC, Dataset, SetEntry, SplitName
from cnncli.data.readers import idx_set
from cnncli.data.reading import AS_FOUND, Colour, Reading, Size
from cnncli.data.registry import DATASETS, DatasetSpec, find_spec
from cnncli.errors import UsageError
from cnncli.pictures.whole import Form

if TYPE_CHECKING:
    from cnncli.data.mixture import Sets

DEFAULT_SIZE = 28
"""Height and width of pictures of the user's own, if nobody says otherwise: those of MNIST."""


def load_dataset(
    name: "str | Sets",
    data_dir: str | Path = "data",
    *,
    splits: Sequence[SplitName] = SPLIT_NAMES,
    table: Mapping[str, DatasetSpec] = DATASETS,
    size: Size = "auto",
    colour: Colour = "auto",
    prepare: Form = "as_is",
    reading: Reading = AS_FOUND,
    draw_test: bool = True,
) -> Dataset:
    """Load a set by its name; this never downloads anything.

    Args:
        name: an entry of the table, "synthetic", "folder:PATH", or the path of a file or folder: pictures in one
            subfolder per class, IDX, CSV, .npz, .npy, LIBSVM, ARFF, tar, Parquet, .mat or .h5, told by their content.
            A list of those is one set with the training images of all, such as
            `["mnist", {"synthetic": {"limit": 60000}}]`, and with the test images of the first.
        data_dir: the folder of the published sets: data_dir/<name>/<file>. The four MNIST files may be in data_dir
            itself.
        splits: which splits of a published set to load; the other one has no images.
        table: the published sets.
        size: height and width that images of the user's own are brought to, or (height, width); "auto" for 28 for
            pictures and their own size for arrays; None to look at them at about their own size.
        colour: keep colors; "auto" for gray pictures and arrays as they are; None to keep them if there are any.
        prepare: "digits" to find the digit of each picture in folders and to bring it into the form of MNIST.
        reading: what the files of a set of the user's own do not tell.
        draw_test: take a fifth of each class as the test images of a set of the user's own that has none. If not, all
            its images are training images.

    Raises:
        UsageError: no set has this name, or a set of fixed size is asked for in another one.
        DataError: a file is missing (the hint has the command that downloads it) or has the wrong content.

    Example:
        >>> load_dataset("synthetic").input_shape
        (1, 28, 28)
    """
    load = partial(
        load_entry,
        data_dir=data_dir,
        splits=splits,
        table=table,
        size=size,
        colour=colour,
        prepare=prepare,
        reading=reading,
        draw_test=draw_test,
    )
    if isinstance(name, str):
        return load(SetEntry(name))
    from cnncli.data.mixture import join_sets, to_entries

    entries = to_entries(name)
    return join_sets(entries, [load(entry) for entry in entries])


def load_entry(
    entry: SetEntry,
    data_dir: str | Path = "data",
    *,
    splits: Sequence[SplitName] = SPLIT_NAMES,
    table: Mapping[str, DatasetSpec] = DATASETS,
    size: Size = "auto",
    colour: Colour = "auto",
    prepare: Form = "as_is",
    reading: Reading = AS_FOUND,
    draw_test: bool = True,
) -> Dataset:
    """Load one set with at most as many training images as its entry says; the rest is as for `load_dataset`."""
    name = entry.name
    check_form(name, size, colour, reading, table=table)
    if name == SYNTHETIC:
        whole = deepcopy(_draw_synthetic())  # a caller may change its own images
        if entry.limit is None:
            return whole
        from cnncli.data.synthetic.draw import make_synthetic

        # the test images are the same for every limit
        return replace(make_synthetic(train=entry.limit, test=0), test=whole.test)
    from cnncli.data.mixture import take_limit

    if is_own(name, table):
        from cnncli.data.readers.own_set import load_own_set

        whole = load_own_set(name, own_folder(name), size, colour, prepare, reading, draw_test=draw_test)
    else:
        whole = idx_set.load_published(find_spec(name, table), data_dir, splits)
    return take_limit(whole, entry.limit)


@cache
def _draw_synthetic() -> Dataset:
    """Return the built-in set, which takes a second to draw, and so is drawn once in a process."""
    from cnncli.data.synthetic.draw import make_synthetic

    return make_synthetic()


def has_pictures(name: str, *, table: Mapping[str, DatasetSpec] = DATASETS) -> bool:
    """Return whether a set is of encoded pictures, in a folder, an archive or a table, which are always resized."""
    if not is_own(name, table):
        return False
    from cnncli.data.readers.own_set import holds_pictures

    return holds_pictures(own_folder(name))


def check_form(
    name: str,
    size: Size,
    colour: Colour,
    reading: Reading = AS_FOUND,
    *,
    table: Mapping[str, DatasetSpec] = DATASETS,
) -> None:
    """Refuse a size, colors or keys of reading for a published set, whose images are fixed.

    Raises:
        UsageError: the set is not of the user's own.
    """
    if is_own(name, table):
        return
    reading.refuse_for(name)
    if size not in ("auto", None, DEFAULT_SIZE, (DEFAULT_SIZE, DEFAULT_SIZE)) or colour is True:
        raise UsageError(
            f"the size and the colors of {name} are fixed",
            "`data.size` and `data.colour` are for sets of your own: leave them out",
        )


def is_available(
    name: str, data_dir: str | Path = "data", *, table: Mapping[str, DatasetSpec] = DATASETS
) -> bool:
    """Return whether every file of a set is present; only `load_dataset` checks their content."""
    if name == SYNTHETIC:
        return True
    if name not in table:
        return own_folder(name).exists()
    return idx_set.holds_idx_files(idx_set.locate(table[name], data_dir), table[name])


def set_path(
    name: str, data_dir: str | Path = "data", *, table: Mapping[str, DatasetSpec] = DATASETS
) -> str | None:
    """Return the absolute path by which `find_again` finds a set from another working directory, None for synthetic.

    This is the user's own folder, or the data folder of a published set.
    """
    if name == SYNTHETIC:
        return None
    return str((Path(data_dir) if name in table else own_folder(name)).absolute())


def find_again(
    name: str,
    data_dir: str | Path,
    recorded: str | None,
    *,
    moved_to: str | Path | None = None,
    table: Mapping[str, DatasetSpec] = DATASETS,
) -> tuple[str, str | Path]:
    """Return the name and the data folder by which a set that was read before is found now.

    Args:
        name: of the set, as the config has it; a relative path belongs to the working directory of that time.
        data_dir: the folder of the published sets, as the config has it.
        recorded: what `set_path` returned at that time, or None.
        moved_to: where the user says that the set is now, or None: its folder, or the one around it.
        table: the published sets.
    """
    if name in table or name == SYNTHETIC:
        if moved_to is None and recorded is not None and is_available(name, recorded, table=table):
            moved_to = recorded
        return name, data_dir if moved_to is None else moved_to
    own = own_folder(name)
    places = [] if recorded is None else [Path(recorded)]
    if moved_to is not None:
        around = Path(moved_to)
        places = [*([] if own.is_absolute() else [around / own]), around / own.name, around]
    found = next((place for place in places if place.exists()), None)
    return name if found is None else f"{FOLDER_PREFIX}{found}", data_dir


class Found(NamedTuple):
    """Where a set is found now.

    Attributes:
        name: by which `load_dataset` finds it.
        data_dir: the folder of the published sets.
    """

    name: str
    data_dir: str | Path


def find_all_again(
    names: Sequence[str],
    data_dir: str | Path,
    recorded: object,
    *,
    moved_to: str | Path | None = None,
    table: Mapping[str, DatasetSpec] = DATASETS,
) -> list[Found]:
    """Return where each of the sets of a training run is found now, as `find_again` does for one.

    Args:
        names, data_dir, moved_to, table: as for `find_again`.
        recorded: what a run recorded: the path of one set, or a list with an entry for each.
    """
    paths = recorded if isinstance(recorded, list) else [recorded]
    paths = [path if isinstance(path, str) else None for path in paths]
    paths += [None] * (len(names) - len(paths))
    found = []
    for name, path in zip(names, paths, strict=False):
        place = moved_to
        if moved_to is not None and len(names) > 1:
            # the folder that was given may hold only some of the sets
            own = own_folder(name)
            inside = [Path(moved_to) / own, Path(moved_to) / own.name]
            fixed = name in table or name == SYNTHETIC
            here = is_available(name, moved_to, table=table) if fixed else any(map(Path.exists, inside))
            place = moved_to if here or path is None else None
        found.append(Found(*find_again(name, data_dir, path, moved_to=place, table=table)))
    return found


def files_of(
    name: str, data_dir: str | Path = "data", *, table: Mapping[str, DatasetSpec] = DATASETS
) -> Iterator[Path]:
    """Yield the files that a set may be read from: the user's own file or folder, or those of a published set."""
    if is_own(name, table):
        own = own_folder(name)
        yield own
        yield from own.rglob("*")
    elif name in table:
        folder = idx_set.locate(table[name], data_dir)
        yield from (folder / each for file in table[name].files for each in file.names)


def is_own(name: str, table: Mapping[str, DatasetSpec] = DATASETS) -> bool:
    """Return whether a set is of the user's own, and not a published or the built-in one."""
    return name.startswith(FOLDER_PREFIX) or (name not in table and name != SYNTHETIC and Path(name).exists())


def own_folder(name: str) -> Path:
    """Return the folder of a set of the user's own."""
    return Path(name.removeprefix(FOLDER_PREFIX)).expanduser()
