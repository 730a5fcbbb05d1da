"""Builds the targets that a config asks for: mixed images, class weights, and what a teacher says (distillation)."""

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from cnncli.batches.batches import to_input
from cnncli.batches.mixing import make_mixing
from cnncli.batches.targets import TargetRule, balanced_weights
from cnncli.checkpoint import network_hash
from cnncli.data.dataset import Dataset
from cnncli.engine import compile
from cnncli.errors import ModelError
from cnncli.mapped import take
from cnncli.nn.losses import softmax
from cnncli.training.model import Model, load_model
from cnncli.types import FloatArray, IntArray

if TYPE_CHECKING:
    from cnncli.config.schema import Config

_CHUNK = 1000


class Teacher(NamedTuple):
    """A network whose answers are learned from: an entry of `teachers` in run.json.

    Attributes:
        path: of its checkpoint.
        sha256: of its weights, as `network_hash` computes it.
    """

    path: str
    sha256: str


def make_targets(
    config: "Config", dataset: Dataset, train: IntArray, labels: IntArray
) -> tuple[TargetRule | None, tuple[Teacher, ...]]:
    """Return how targets are made, None if they are the labels, and the teachers.

    Args:
        config: whose section `train` says what to make them of.
        dataset: whose training images are trained on.
        train: the positions of those in use, (n,).
        labels: of all images of the batches, (N,).

    Raises:
        ConfigError: a class does not exist, an option is wrong, or a teacher does not fit the data set.
        RunError, CheckpointError: there is no such teacher, or it cannot be loaded.
    """
    settings = config.train
    weights = _class_weights(config, dataset, labels[train])
    mixing = None
    if settings.mix is not None:
        try:
            mixing = make_mixing(settings.mix.name, settings.mix.options)
        except ModelError as error:
            raise config.model_error(error, "train.mix") from error
    rule = TargetRule(len(dataset.classes), mixing, weights)
    if settings.distill is None:
        return (None if mixing is None and weights is None else rule), ()
    models = [load_model(name) for name in settings.distill.teachers]
    for position, model in enumerate(models):
        _check_teacher(config, position, model, dataset)
    answers = np.zeros((len(labels), len(dataset.classes)), np.float32)
    temperature = settings.distill.temperature
    for model in models:
        answers[train] += _answers(model, dataset, train, temperature) / np.float32(len(models))
    teachers = tuple(Teacher(str(model.path), network_hash(model.network.state())) for model in models)
    return TargetRule(rule.classes, mixing, weights, answers, settings.distill.share), teachers


def _class_weights(config: "Config", dataset: Dataset, labels: IntArray) -> FloatArray | None:
    wanted = config.train.class_weights
    if wanted is None:
        return None
    if wanted == "balanced":
        return balanced_weights(labels, len(dataset.classes))
    weights: FloatArray = np.ones(len(dataset.classes))
    for name, weight in wanted.items():
        if name not in dataset.classes:
            known = ", ".join(dataset.classes[:10]) + (", ..." if len(dataset.classes) > 10 else "")
            raise config.error(
                ("train", "class_weights"), f"there is no class '{name}'", f"the classes are {known}"
            )
        weights[dataset.classes.index(name)] = weight
    return weights


def _check_teacher(config: "Config", position: int, model: Model, dataset: Dataset) -> None:
    here = ("train", "distill", "teachers", position)
    if tuple(model.classes) != tuple(dataset.classes):
        raise config.error(here, f"{model.name} has other classes than {dataset.name}")
    if model.network.input_shape != dataset.input_shape:
        taken, found = model.network.input_shape, dataset.input_shape
        raise config.error(
            here, f"{model.name} takes images of {taken}, and those of {dataset.name} are {found}"
        )


def _answers(model: Model, dataset: Dataset, train: IntArray, temperature: float) -> FloatArray:
    """Return the probabilities of training images, (n, K), float32, as they are without augmentation."""
    found = []
    kind: Literal["fast", "plain"] = "fast" if model.network.dtype == np.float32 else "plain"
    with compile(model.network, kind, batch_size=_CHUNK, inference=True) as executor:
        for start in range(0, len(train), _CHUNK):
            images = take(dataset.train.images, train[start : start + _CHUNK])
            logits = executor.forward(to_input(images, model.normalize, model.network.dtype))
            found.append(softmax(logits / np.float32(temperature)).astype(np.float32))
    return np.concatenate(found)
