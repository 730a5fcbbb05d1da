"""Convolutional networks for MNIST and sets like it, in pure NumPy.

The names below are the public interface. Each is imported when it is first used, so that `import cnncli`
costs nothing and loads neither the command line nor the drawing of pictures.

Example:
    >>> import cnncli
    >>> model = cnncli.load_model("runs/run-3")
    >>> cnncli.predict_pictures(["digit.png"], model)[0].text
    '7'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cnncli._version import __version__

if TYPE_CHECKING:
    from cnncli.config.load import load_config, parse_config
    from cnncli.config.schema import Config
    from cnncli.data.dataset import Dataset, Split
    from cnncli.data.download.fetch import download
    from cnncli.data.load import load_dataset
    from cnncli.engine import compile
    from cnncli.errors import CnnError
    from cnncli.export.write import export_model
    from cnncli.nn.build import build_network
    from cnncli.nn.network import Network
    from cnncli.runs import Run, create_run, find_run, list_runs
    from cnncli.training.evaluate import Evaluation, evaluate
    from cnncli.training.figures import plot_confusion, plot_mistakes, plot_run, plot_samples
    from cnncli.training.fit import fit
    from cnncli.training.model import Model, load_model
    from cnncli.training.predict import predict_pictures
    from cnncli.training.predictions import PicturePrediction
    from cnncli.training.results import TrainResult
    from cnncli.training.session import train_run
    from cnncli.training.state import EpochRecord, StepRecord

_HOMES = {
    "CnnError": "errors",
    "Config": "config.schema",
    "Dataset": "data.dataset",
    "EpochRecord": "training.state",
    "Evaluation": "training.evaluate",
    "Model": "training.model",
    "Network": "nn.network",
    "PicturePrediction": "training.predictions",
    "Run": "runs",
    "Split": "data.dataset",
    "StepRecord": "training.state",
    "TrainResult": "training.results",
    "build_network": "nn.build",
    "compile": "engine",
    "create_run": "runs",
    "download": "data.download.fetch",
    "evaluate": "training.evaluate",
    "export_model": "export.write",
    "find_run": "runs",
    "fit": "training.fit",
    "list_runs": "runs",
    "load_config": "config.load",
    "load_dataset": "data.load",
    "load_model": "training.model",
    "parse_config": "config.load",
    "plot_confusion": "training.figures",
    "plot_mistakes": "training.figures",
    "plot_run": "training.figures",
    "plot_samples": "training.figures",
    "predict_pictures": "training.predict",
    "train_run": "training.session",
}
"""Where each public name lives."""

__all__ = [
    "CnnError",
    "Config",
    "Dataset",
    "EpochRecord",
    "Evaluation",
    "Model",
    "Network",
    "PicturePrediction",
    "Run",
    "Split",
    "StepRecord",
    "TrainResult",
    "__version__",
    "build_network",
    "compile",
    "create_run",
    "download",
    "evaluate",
    "export_model",
    "find_run",
    "fit",
    "list_runs",
    "load_config",
    "load_dataset",
    "load_model",
    "parse_config",
    "plot_confusion",
    "plot_mistakes",
    "plot_run",
    "plot_samples",
    "predict_pictures",
    "train_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cnncli' has no attribute {name!r}")
    value = getattr(import_module(f"cnncli.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    # without what this file imports: in a notebook, Tab shows these names
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
