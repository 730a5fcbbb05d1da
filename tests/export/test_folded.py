"""The plain steps of a network compute what the network computes."""

import numpy as np
import pytest

from cnncli.errors import UsageError
from cnncli.export.folded import Convolution, Dense, ScaleShift, Step, fold_model
from cnncli.export.images import logits_of

from .networks import (
    CONFIGS,
    EVERY_LAYER,
    GENERAL,
    MEANS,
    RESIDUAL,
    digits,
    make_config_subject,
    make_subject,
    run_steps,
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_steps_of_a_config_compute_what_its_network_computes(path) -> None:
    subject = make_config_subject(path)
    images = digits(20)
    expected = logits_of(subject.model.network, subject.model.normalize, images)
    np.testing.assert_allclose(run_steps(subject.folded, images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shape", "layers", "classes"), [
    ((1, 28, 28), EVERY_LAYER, 10), ((3, 21, 16), EVERY_LAYER, 10), ((3, 13, 9), MEANS, 5),
    ((1, 28, 28), GENERAL, 10), ((3, 23, 16), GENERAL, 10),
    ((1, 28, 28), RESIDUAL, 10), ((3, 23, 16), RESIDUAL, 10),
])  # fmt: skip
def test_the_steps_of_every_layer_compute_what_the_layer_computes(shape, layers, classes) -> None:
    subject = make_subject(layers, shape, classes)
    images = digits(20, shape)
    expected = logits_of(subject.model.network, subject.model.normalize, images)
    np.testing.assert_allclose(run_steps(subject.folded, images), expected, rtol=1e-4, atol=1e-4)


def test_batch_normalization_is_folded_where_it_follows_a_product() -> None:
    def kinds(*layers) -> list[type[Step]]:
        return [
            type(step) for step in make_subject([*layers], classes=4).folded.steps if step.name[:4] != "flat"
        ]

    conv, head = {"conv": {"filters": 4, "kernel": 3}}, ["flatten", {"linear": 4}]
    assert kinds(conv, "batchnorm", *head) == [Convolution, Dense]
    assert kinds(conv, {"dropout": 0.5}, "batchnorm", *head) == [Convolution, Dense]
    assert kinds(*head, "batchnorm") == [Dense]
    assert kinds("batchnorm", "batchnorm", conv, *head) == [ScaleShift, Convolution, Dense]
    assert kinds(conv, {"maxpool": 2}, "batchnorm", *head)[2] == ScaleShift


def test_arrays_are_contiguous_float32_and_a_missing_bias_is_zero() -> None:
    steps = make_subject(EVERY_LAYER).folded.steps
    for step in steps:
        for array in (value for value in vars(step).values() if isinstance(value, np.ndarray)):
            assert array.dtype == np.float32 and array.flags.c_contiguous
    assert steps[-1].name == "linear2" and not steps[-1].bias.any()


def test_pixels_and_temperature_are_those_of_the_checkpoint() -> None:
    calibrated = make_subject(
        ["flatten", {"linear": 10}], calibration={"temperature": 2.0, "unknown_threshold": 3.5}
    )
    folded = calibrated.folded
    assert (folded.temperature, folded.unknown_threshold) == (2.0, 3.5)
    assert folded.pixel_scale * 255 + folded.pixel_shift == pytest.approx((1 - 0.1307) / 0.3081)
    assert make_subject(["flatten", {"linear": 10}]).folded.temperature == 1


def test_a_network_for_other_things_than_pictures_is_refused() -> None:
    subject = make_subject([{"linear": 10}], (20,))
    with pytest.raises(UsageError, match=r"net takes inputs of shape \(20,\)"):
        fold_model(subject.model)
