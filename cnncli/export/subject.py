"""What a writer of a format is given: a trained model, and the wishes of the user."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cnncli.export.folded import FoldedNetwork, Weights, fold_model
from cnncli.export.images import Images, find_images
from cnncli.training.model import Model

InputType = Literal["float32", "uint8"]
DataType = Literal["float32", "int8"]


@dataclass(frozen=True)
class ExportOptions:
    """What a user can choose about a file. A `Format` names those that it takes.

    Attributes:
        input: the type of the pixels that the file's network takes, 0 to 255 in either case.
        dtype: the type of the weights; in C also that of the numbers between the layers.
    """

    input: InputType = "float32"
    dtype: DataType = "float32"


@dataclass(frozen=True)
class Subject:
    """A trained model on its way into a file.

    Attributes:
        model: from `load_model`, with the weights as they were trained.
        name: of the files, without an ending; C names its functions after it.
        options: what the user chose.
        data_dir: where data sets are; None for where they were in training.
        kept: what a format keeps from writing its file to checking it.
    """

    model: Model
    name: str
    options: ExportOptions = field(default_factory=ExportOptions)
    data_dir: Path | None = None
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def folded(self) -> FoldedNetwork:
        """The same network as plain steps."""
        return fold_model(self.model)

    def find_images(self, count: int, part: Literal["train", "test"]) -> Images:
        """Return images of the set that the model was trained on, or drawn digits."""
        return find_images(self.model, count, part, self.data_dir)

    def weights(self) -> dict[str, Weights]:
        """Return all parameters and buffers of the network by name, in PyTorch's layouts."""
        return {
            name: np.array(array, np.float32, order="C") for name, array in self.model.network.state().items()
        }

    def facts(self) -> dict[str, Any]:
        """Return what whoever has only the file must know, as JSON values."""
        folded = self.folded
        return {
            "name": self.model.name,
            "classes": list(folded.classes),
            "input_shape": list(folded.input_shape),
            "mean": None if folded.normalize is None else folded.normalize[0],
            "std": None if folded.normalize is None else folded.normalize[1],
            "temperature": folded.temperature,
            "unknown_threshold": folded.unknown_threshold,
            "layers": self.model.network.spec(),
            "config": self.model.meta.get("config"),
        }
