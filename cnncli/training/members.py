"""Lets several trained networks read the same pictures together: their probabilities are averaged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnncli.batches.batches import to_input
from cnncli.errors import UsageError
from cnncli.training.calibration import evidence_of, with_temperature
from cnncli.training.model import Model
from cnncli.types import ByteArray, FloatArray


def as_models(given: Model | Sequence[Model]) -> tuple[Model, ...]:
    """Return one model or several as a tuple.

    Raises:
        UsageError: there is none, or something else.
    """
    models = tuple(given) if isinstance(given, Sequence) else (given,)
    wrong = [model for model in models if not isinstance(model, Model)]
    if wrong or not models:
        found = type(wrong[0]).__name__ if wrong else "none"
        raise UsageError(f"expected a model from load_model, or a list of models, found {found}")
    return models


def check_members(models: Sequence[Model], *, same_form: bool) -> None:
    """Refuse models that cannot answer together.

    Args:
        models: at least one.
        same_form: whether the pictures of their training must have been prepared in the same form.

    Raises:
        UsageError: one is there twice, or they differ in their classes, in the size or color of their images, or in the
            form.
    """
    first = models[0]
    refuse_twice(models)
    for model in models[1:]:
        if model.classes != first.classes:
            raise UsageError(
                f"{first.name} and {model.name} do not have the same classes: "
                f"{_listed(first.classes)}; {_listed(model.classes)}"
            )
        if model.network.input_shape != first.network.input_shape:
            raise UsageError(
                f"{first.name} takes images of {first.network.input_shape}, and {model.name} of "
                f"{model.network.input_shape}"
            )
        if same_form and model.preparation.form != first.preparation.form:
            digits, whole = (first, model) if first.preparation.form == "digits" else (model, first)
            raise UsageError(
                f"{digits.name} was trained on digits in the form of MNIST, and {whole.name} on whole pictures",
                "choose one: `prepare='digits'` or `prepare='as_is'`",
            )


def refuse_twice(models: Sequence[Model]) -> None:
    """Refuse a model that is there twice: its probabilities would count twice.

    Raises:
        UsageError: names it.
    """
    seen = set[Path]()
    for model in models:
        if model.path.resolve() in seen:
            raise UsageError(f"{model.name} is named twice", "name each run once")
        seen.add(model.path.resolve())


def answers_of(
    models: Sequence[Model], images: ByteArray, *, unknown: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Return the probabilities (N, K) of the classes, the mean over the models, and the evidence for any class (N,).

    The evidence is in units of the threshold: below 1, an image belongs to no class. It is infinite without one.

    Each model has its own temperature. Only a single one can take an image for no class: a threshold on the evidence
    is fitted for one network.

    Args:
        models: with the same classes.
        images: (N, H, W) or (N, H, W, C), uint8, prepared for all of them.
        unknown: whether an image may belong to no class.
    """
    outputs = [
        model.network.forward(to_input(images, model.normalize, model.network.dtype)) for model in models
    ]
    each = [with_temperature(out, model.calibration) for out, model in zip(outputs, models, strict=True)]
    threshold = models[0].calibration.unknown_threshold
    evidence: FloatArray = np.full(len(images), np.inf)
    if unknown and threshold is not None and threshold > 0 and len(models) == 1:
        evidence = evidence_of(outputs[0]) / threshold
    return (each[0] if len(each) == 1 else np.mean(each, axis=0)), evidence


def joined_name(models: Sequence[Model]) -> str:
    """Return the name of one model, or of several as `run-1+run-2`."""
    return "+".join(model.name for model in models)


def _listed(classes: Sequence[str]) -> str:
    return ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
