"""Finds the config of a training, and the images it needs: the best data at hand when no config is named."""

from collections.abc import Callable

from cnncli.config.load import load_config
from cnncli.config.schema import Config
from cnncli.data.load import is_available
from cnncli.data.registry import DATASETS
from cnncli.errors import DownloadError, StorageError

Say = Callable[[str], None]

BEST = "mnist.yaml"
ALWAYS_POSSIBLE = "synthetic.yaml"


def choose_config(name: str | None, overrides: list[str], say: Say, *, progress: bool = True) -> Config:
    """Return the config to train, with its images at hand; a published set that is not here is downloaded.

    Args:
        name: the config the user names; None for MNIST where it can be had, and drawn digits where not.
        overrides: as after --set.
        say: told in one line which config it is, and why.
        progress: show the bar of a download.

    Raises:
        ConfigError: the config cannot be used.
        DownloadError: the set that a config names cannot be had; never for the best data at hand.
    """
    config = load_config(name or BEST, overrides)
    dataset, folder, source = config.data.dataset, config.data.dir, config.origin.source
    if dataset not in DATASETS:
        say(f"config {source}")
        return config
    title = DATASETS[dataset].title
    if is_available(dataset, folder):
        say(f"config {source}" + ("" if name else f", because {title} is in {folder}"))
        return config
    say(f"config {source}: {title} is not in {folder}, so it is downloaded")
    free_choice = name is None and not any(override.startswith("data.dataset") for override in overrides)
    try:
        _download(dataset, folder, say, progress=progress, patient=not free_choice)
    except (DownloadError, StorageError) as error:
        if not free_choice:
            raise
        config = load_config(ALWAYS_POSSIBLE, overrides)
        say(f"config {config.origin.source} instead, with drawn digits, because {error.message}")
    return config


def named_config(name: str | None, overrides: list[str], say: Say) -> Config:
    """Return the config alone, whatever images there are."""
    config = load_config(name or BEST, overrides)
    say(f"config {config.origin.source}")
    return config


def _download(dataset: str, folder: str, say: Say, *, progress: bool, patient: bool) -> None:
    from cnncli.data.download.fetch import download
    from cnncli.data.download.transfer import Limits

    limits = Limits() if patient else Limits(connect=3, read=8, retries=0)
    download(dataset, folder, progress=progress, notify=say if patient else lambda text: None, limits=limits)
