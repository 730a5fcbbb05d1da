"""Mixed images, class weights and teachers, from the config to the weights."""

from pathlib import Path

import numpy as np
import pytest

from cnncli import load_config, load_model, train_run
from cnncli.errors import ConfigError, RunError
from cnncli.runs import create_run
from cnncli.training.prepare import prepare

TINY = [
    "model=[{conv: {filters: 4, kernel: 5, stride: 2}}, relu, flatten, {linear: 10}]",
    "train.epochs=1",
    "data.limit=300",
    "data.validation=50",
    "data.augment=[]",
    "engine.workers=1",
]


def config(*overrides: str):
    return load_config("synthetic", [*TINY, *overrides])


def train(folder: Path, name: str, *overrides: str):
    run = create_run(folder / "runs", name)
    *_, result = train_run(config(*overrides), run, plots=False)
    return run, result


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    run, _ = train(folder, "teacher", "train.epochs=3")
    return run.path


@pytest.mark.parametrize("mix", ["mixup", "{name: cutmix, alpha: 0.5, chance: 1.0}"])
def test_a_network_trains_on_mixed_images_alike_for_plain_and_fast(tmp_path: Path, mix: str) -> None:
    weights = []
    for kind in ("fast", "plain"):
        run, result = train(tmp_path, kind, f"train.mix={mix}", f"engine.kind={kind}")
        assert result.epochs == 1
        weights.append(load_model(run.path).network.parameters.values)
    np.testing.assert_allclose(*weights, atol=2e-5)


def test_a_heavier_class_is_answered_more_often(tmp_path: Path) -> None:
    shares = {}
    for name, weights in (("even", "null"), ("heavy", "{'3': 50}")):
        run, _ = train(tmp_path, name, f"train.class_weights={weights}")
        x = np.random.default_rng(0).random((200, 1, 28, 28), np.float32)
        shares[name] = (load_model(run.path).network.predict(x)[:, 3]).mean()
    assert shares["heavy"] > shares["even"]


def test_a_class_that_the_set_has_not_is_named() -> None:
    with pytest.raises(ConfigError, match="there is no class '11'"):
        prepare(config("train.class_weights={'11': 2}"))


def test_a_student_learns_what_its_teacher_says(tmp_path: Path, teacher: Path) -> None:
    """With all of the target from the teacher, the labels have no influence."""
    made = prepare(config(f"train.distill={{teachers: ['{teacher}'], share: 1.0}}"))
    rule = made.batches.targets
    assert rule is not None and rule.teacher is not None
    used = made.batches.order(1)
    x = made.dataset.train.images[used][:, None].astype(np.float32) / 255
    np.testing.assert_allclose(rule.teacher[used], load_model(teacher).network.predict(x), atol=1e-5)
    targets = np.empty((10, 10), np.float32)
    made.batches.write(
        1, 0, slice(0, 10), np.empty((10, 1, 28, 28), np.float32), np.empty(10, np.int64), targets
    )
    np.testing.assert_allclose(targets, rule.teacher[used[:10]], atol=1e-6)
    run, _ = train(tmp_path, "student", f"train.distill={teacher}")
    assert run.read_info()["teachers"][0]["path"].endswith("best.npz")


def test_a_resume_needs_the_same_teacher(tmp_path: Path, teacher: Path) -> None:
    copy = tmp_path / "copy.npz"
    copy.write_bytes((teacher / "checkpoints" / "best.npz").read_bytes())
    run, _ = train(tmp_path, "student", f"train.distill={copy}")
    other, _ = train(tmp_path, "other")
    copy.write_bytes((other.path / "checkpoints" / "best.npz").read_bytes())
    with pytest.raises(RunError, match="teachers"):
        list(train_run(config(f"train.distill={copy}", "train.epochs=2"), run, resume=True, plots=False))


def test_a_teacher_of_other_images_is_refused(tmp_path: Path, teacher: Path) -> None:
    from PIL import Image

    for name in "0123456789":
        (tmp_path / "digits" / name).mkdir(parents=True)
        for number in range(12):
            Image.new("L", (14, 14), 20 * number).save(tmp_path / "digits" / name / f"{number}.png")
    changed = [
        f"data.dataset=folder:{tmp_path / 'digits'}",
        "data.validation=20",
        "data.prepare=as_is",
        "data.size=14",
    ]
    with pytest.raises(ConfigError, match=r"train.distill.teachers.0: teacher takes images of \(1, 28, 28\)"):
        prepare(config(f"train.distill={teacher}", *changed))
