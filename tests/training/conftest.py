"""Small learnable pictures and a small network with every kind of state, shared by the tests of training."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from cnncli.batches.augment import make_augmentation
from cnncli.batches.batches import Batches
from cnncli.engine import PlainExecutor
from cnncli.nn import Network, build_network
from cnncli.optim import ExponentialAverage, Optimizer, make_average, make_optimizer, make_schedule
from cnncli.training.evaluate import evaluate
from cnncli.training.fit import fit
from cnncli.training.state import TrainingState

MODEL: list[tuple[str, dict[str, Any]]] = [
    ("conv", {"filters": 3, "kernel": 3, "padding": "same"}),
    ("batchnorm", {}),
    ("relu", {}),
    ("maxpool", {"size": 2}),
    ("flatten", {}),
    ("dropout", {"rate": 0.3}),
    ("linear", {"units": 3}),
]


def stripes(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """8x8 pictures of three classes: a bright row, a bright column, a bright corner, on noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 3
    images = rng.integers(0, 90, (count, 8, 8), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        at = rng.integers(1, 7)
        if label == 0:
            image[at] = 230
        elif label == 1:
            image[:, at] = 230
        else:
            image[:3, :3] = 230
    return images, labels


@dataclass
class Training:
    """All parts of one small training."""

    network: Network
    optimizer: Optimizer
    average: ExponentialAverage | None
    state: TrainingState
    run: Callable[..., Any]

    def snapshot(self) -> dict[str, Any]:
        """What a checkpoint holds, the numbers through JSON as they would go."""
        return {
            "network": self.network.state(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "state": json.loads(json.dumps(self.state.to_json())),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        self.network.load_state(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average:
            self.average.load_state_dict(saved["average"])
        self.state.__dict__.update(TrainingState.from_json(saved["state"]).__dict__)


def make_training(
    *, epochs: int = 3, optimizer: str = "adam", seed: int = 7, start: int = 0, **settings: Any
) -> Training:
    """Build a training with BatchNorm, dropout, augmentation, an average, warm-up and shuffling.

    Args:
        epochs, optimizer, seed: as in a config.
        start: seeds the first weights; a resumed training may start from others, they are overwritten.
        settings: passed on to `fit`.
    """
    images, labels = stripes(22)
    val_images, val_labels = stripes(12, seed=1)
    network = build_network(MODEL, (1, 8, 8), rng=np.random.default_rng(start))
    batches = Batches(
        images,
        labels,
        batch_size=5,
        seed=seed,
        normalize=(0.2, 0.3),
        augment=make_augmentation([("shift", {"pixels": 1}), ("noise", {"std": 0.05})]),
    )
    options = {"momentum": 0.9, "nesterov": True} if optimizer == "sgd" else {}
    moves = make_optimizer(optimizer, {**options, "weight_decay": 0.01}, network.parameters)
    average = make_average("ema", {"decay": 0.9}, network, 100)
    schedule = make_schedule(
        "one_cycle", {}, base_lr=0.02, total_steps=epochs * 5, steps_per_epoch=5, warmup_epochs=0.6
    )
    executor = PlainExecutor(network)
    state = TrainingState()

    def validate() -> Any:
        return evaluate(executor, val_images, val_labels, batch_size=5, normalize=(0.2, 0.3))

    def run(**more: Any) -> Any:
        chosen = {
            "epochs": epochs,
            "seed": seed,
            "state": state,
            "validate": validate,
            "average": average,
            "clip_norm": 1.0,
            "label_smoothing": 0.1,
            **settings,
            **more,
        }
        return fit(executor, batches, moves, schedule, **chosen)

    return Training(network, moves, average, state, run)


@pytest.fixture
def tiny_training() -> Callable[..., Training]:
    return make_training


@pytest.fixture
def tiny_pictures() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return stripes
