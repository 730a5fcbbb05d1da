"""What `data.invert` and `data.transpose` exchange in training, a prediction exchanges too."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.config.load import load_config
from cnncli.data.load import load_dataset
from cnncli.data.reading import Reading
from cnncli.errors import UsageError
from cnncli.runs import create_run
from cnncli.training.model import load_model
from cnncli.training.predict import predict_pictures
from cnncli.training.session import train_run


@pytest.fixture
def bars(tmp_path, monkeypatch) -> Path:
    """Dark pictures with a bright bar: lying in class 0, standing in class 1."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for label in range(2):
        (tmp_path / "bars" / str(label)).mkdir(parents=True)
        for number in range(30):
            pixels = rng.integers(0, 40, (12, 12)).astype(np.uint8)
            pixels[2:5] = 250
            Image.fromarray(pixels.T if label else pixels).save(tmp_path / f"bars/{label}/{number}.png")
    return tmp_path / "bars"


@pytest.mark.parametrize("key", ["invert", "transpose"])
def test_a_new_picture_is_changed_as_those_of_the_training(bars, key):
    Path("bars.yaml").write_text(
        f"data: {{dataset: {bars}, size: 12, prepare: as_is, {key}: true}}\n"
        "model: [flatten, {linear: 2}]\ntrain: {epochs: 15, batch_size: 8}\nengine: {kind: plain}\n"
    )
    *_, result = train_run(load_config("bars.yaml"), create_run(), plots=False)
    assert result.test_accuracy == 1
    model = load_model("runs/run-1")
    pictures = [bars / str(label) / f"{number}.png" for label in range(2) for number in range(5)]
    assert [each.text for each in predict_pictures(pictures, model)] == [*"00000", *"11111"]
    # as they are, they are not what the network knows
    assert [each.text for each in predict_pictures(pictures, model, raw=True)] != [*"00000", *"11111"]


def test_digits_that_are_found_are_not_changed(bars):
    with pytest.raises(UsageError, match="upright and bright on black"):
        load_dataset(str(bars), prepare="digits", reading=Reading(invert=True))
