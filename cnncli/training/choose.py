"""Chooses what to train when the user names no config: MNIST if it can be had, else the built-in drawn digits."""

from collections.abc import Callable, Iterable

from cnncli.config.load import load_config
from cnncli.config.schema import Config
from cnncli.data.load import is_available
from cnncli.data.registry import DATASETS
from cnncli.errors import DownloadError, StorageError
from cnncli.training.prepare import check_model

REFERENCE = "mnist.yaml"
"""The config of the reference network; the first choice."""

OFFLINE = "synthetic.yaml"
"""The config whose images need no files."""


def choose_config(
    name: str | None,
    overrides: Iterable[str] = (),
    *,
    progress: bool = True,
    notify: Callable[[str], None] = lambda text: None,
) -> Config:
    """Return the config to train; a published set that it needs is downloaded unless it is already there.

    Args:
        name: the config that the user names; None for MNIST, or drawn digits if MNIST cannot be downloaded.
        overrides: as for `load_config`.
        progress: show the bar of a download.
        notify: called with one line that says which config it is, and why.

    Raises:
        ConfigError: the config is not valid.
        DownloadError: the set that a named config needs cannot be downloaded.
    """
    overrides = list(overrides)
    config = load_config(name or REFERENCE, overrides)
    check_model(config)
    folder, source = config.data.dir, config.origin.source
    published = [entry.name for entry in config.data.sets if entry.name in DATASETS]
    missing = [each for each in published if not is_available(each, folder)]
    if not missing:
        title = f", because {DATASETS[published[0]].title} is in {folder}" if published and not name else ""
        notify(f"config {source}{title}")
        return config
    titles = " and ".join(DATASETS[each].title for each in missing)
    fetched = "it is downloaded" if len(missing) == 1 else "they are downloaded"
    verb = "is" if len(missing) == 1 else "are"
    notify(f"config {source}: {titles} {verb} not in {folder}, so {fetched}")
    replaceable = name is None and not any(override.startswith("data.dataset") for override in overrides)
    from cnncli.data.download.fetch import download
    from cnncli.data.download.transfer import Limits

    try:
        for each in missing:
            if replaceable:
                impatient = Limits(connect=3, read=8, retries=0)
                download(each, folder, progress=progress, limits=impatient)
            else:
                download(each, folder, progress=progress, limits=Limits(), notify=notify)
    except (DownloadError, StorageError) as error:
        if not replaceable:
            raise
        config = load_config(OFFLINE, overrides)
        notify(f"config {config.origin.source} instead, with drawn digits, because {error.message}")
    return config
