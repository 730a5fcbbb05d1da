"""`cnn eval`: the figures, the gate, ensembles, other sets, and what stays in the run folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cnncli.cli.eval_tables import class_table, confused_pairs, confusion_table, matrix_that_fits, worst_pairs
from cnncli.training.evaluate import Evaluation
from cnncli.training.metrics import per_class

TRAIN = ("train", "-c", "tiny.yaml", "-q", "--no-plots")


@pytest.fixture
def run(place: Path, cnn) -> str:
    result = cnn(*TRAIN)
    assert result.exit_code == 0, result.stderr
    return "run-1"


def test_the_figures_are_those_of_the_training(cnn, run) -> None:
    result = cnn("eval", run, "--no-plots", "--json")
    document = json.loads(result.stdout)
    at_the_end = json.loads(Path("runs/run-1/run.json").read_text())
    assert document["accuracy"] == at_the_end["test_accuracy"]
    assert document["loss"] == pytest.approx(at_the_end["test_loss"], rel=1e-5)
    assert (document["run"], document["checkpoint"], document["dataset"], document["split"]) == (
        *("run-1", "best", "tiny", "test"),
    )
    assert document["count"] == 30 == np.sum(document["confusion"])
    assert [each["support"] for each in document["per_class"]] == [10, 10, 10]
    assert json.loads(Path("runs/run-1/eval/test.json").read_text()) == document


def test_the_mistakes_are_listed_the_most_confident_first(cnn, run) -> None:
    from cnncli.data.readers.idx import write_idx

    labels = np.arange(30, dtype=np.uint8) % 3
    labels[[4, 20]] = (labels[[4, 20]] + 1) % 3
    write_idx(Path("tiny/t10k-labels-idx1-ubyte"), labels)
    document = json.loads(cnn("eval", run, "--no-plots", "--json").stdout)
    mistakes = document["mistakes"]
    confusion = np.array(document["confusion"])
    counted = np.zeros_like(confusion)
    for each in mistakes:
        counted[int(each["true"]), int(each["predicted"])] += 1
    assert np.array_equal(counted, confusion - np.diag(np.diagonal(confusion))) and counted.any()
    assert all(each["true"] == str(labels[each["index"]]) != each["predicted"] for each in mistakes)
    shares = [each["probability"] for each in mistakes]
    assert shares == sorted(shares, reverse=True) and 1 / 3 < shares[-1] <= shares[0] <= 1


def test_the_validation_images_are_those_held_out_of_the_training(cnn, run) -> None:
    document = json.loads(cnn("eval", run, "--split", "val", "--no-plots", "--json").stdout)
    assert document["count"] == 30
    assert document["accuracy"] == json.loads(Path("runs/run-1/run.json").read_text())["val_accuracy"]
    assert json.loads(cnn("eval", run, "--split", "train", "--no-plots", "--json").stdout)["count"] == 120


def test_tables_and_pictures(cnn, run) -> None:
    result = cnn("eval", "latest")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "run          run-1, best checkpoint"
    assert [line.split()[0] for line in lines if line.startswith(("class", "true"))] == ["class", "true"]
    assert result.stderr.splitlines()[-3:] == [
        f"wrote {Path('runs/run-1/eval') / name}"
        for name in ("test.json", "test-confusion.png", "test-mistakes.png")
    ]
    assert [line.split()[-1] for line in lines if line.startswith("average")] == ["30"]
    made = {path.name for path in Path("runs/run-1/eval").iterdir()}
    assert made == {"test.json", "test-confusion.png", "test-mistakes.png"}


@pytest.mark.parametrize(("gate", "code"), [("0", 0), ("1", 3)])
def test_the_gate(cnn, run, gate, code) -> None:
    flipped = np.random.default_rng(0).permutation(30).astype(np.uint8) % 3
    from cnncli.data.readers.idx import write_idx

    write_idx(Path("tiny/t10k-labels-idx1-ubyte"), flipped)  # nobody reads these right
    result = cnn("eval", run, "--no-plots", "--min-accuracy", gate)
    assert result.exit_code == code
    assert ("below the 100 % asked for" in result.stderr) == (code == 3)
    assert "accuracy" in result.stdout


def test_several_runs_are_an_ensemble(cnn, run) -> None:
    assert cnn(*TRAIN, "--set", "train.batch_size=30").exit_code == 0
    result = cnn("eval", "run-1", "run-2", "--json")
    document = json.loads(result.stdout)
    assert document["run"] == "run-1+run-2"
    assert document["count"] == 30
    assert not Path("runs/run-1/eval/test-confusion.png").exists()
    assert "run-1 is named twice" in cnn("eval", "run-1", "runs/run-1").stderr


def test_an_ensemble_has_to_agree_on_what_it_held_out(cnn, run) -> None:
    assert cnn(*TRAIN, "--seed", "1").exit_code == 0
    result = cnn("eval", "run-1", "run-2", "--split", "val")
    assert result.exit_code == 2
    assert "run-1: 42, run-2: 1" in result.stderr
    assert cnn("eval", "run-1", "run-2", "--split", "test", "--json").exit_code == 0


def test_views_of_each_image_are_averaged_and_kept_apart(cnn, run) -> None:
    one, several = (json.loads(cnn("eval", run, "--json", *more).stdout) for more in ((), ("--tta", "4")))
    assert several["views"] == 4 and "views" not in one
    assert several["count"] == one["count"] and several["loss"] != one["loss"]
    assert json.loads((Path("runs") / run / "eval/4-views/test.json").read_text())["views"] == 4
    assert "4 of each image, averaged" in cnn("eval", run, "--tta", "4", "--no-plots").stdout
    refused = cnn("eval", run, "--tta", "0")
    assert refused.exit_code == 2 and "--tta" in refused.stderr


def test_another_set_is_kept_apart_from_its_own(cnn, run) -> None:
    shutil.copytree("tiny", "other")
    result = cnn("eval", run, "--dataset", "other", "--no-plots", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(Path("runs/run-1/eval/other/all.json").read_text())
    assert (document["dataset"], document["split"], document["count"]) == ("other", "all", 180)
    assert document["warnings"] == []
    part = cnn("eval", run, "--dataset", "other", "--split", "test", "--no-plots", "--json")
    assert json.loads(part.stdout)["count"] == 30
    assert json.loads(Path("runs/run-1/eval/test.json").read_text())["dataset"] == "tiny"
    refused = cnn("eval", run, "--dataset", "other", "--split", "val")
    assert refused.exit_code == 2


def test_the_last_checkpoint_is_kept_apart_from_the_best(cnn, run) -> None:
    result = cnn("eval", run, "--checkpoint", "last", "--no-plots", "--json")
    assert json.loads(result.stdout)["checkpoint"] == "last"
    assert Path("runs/run-1/eval/last/test.json").exists()


def test_a_checkpoint_file_can_be_named(cnn, run) -> None:
    shutil.copy("runs/run-1/checkpoints/best.npz", "taken-home.npz")
    document = json.loads(cnn("eval", "taken-home.npz", "--json").stdout)
    assert (document["run"], document["checkpoint"]) == ("run-1", "taken-home")


def flip_a_pixel(part: str) -> None:
    """Change one pixel of tiny's images."""
    path = Path(f"tiny/{part}-images-idx3-ubyte")
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)


def test_images_that_are_not_those_of_the_training_have_no_val_and_no_train_part(cnn, run) -> None:
    flip_a_pixel("train")
    for split in ("val", "train"):
        result = cnn("eval", run, "--split", split, "--no-plots")
        assert result.exit_code == 1
        assert result.stdout == ""
        error, hint = result.stderr.splitlines()[-2:]
        assert error.startswith("error: the images of tiny are not those that run-1 was trained on")
        assert "--dataset" in hint
    assert not Path("runs/run-1/eval/val.json").exists()
    assert cnn("eval", run, "--no-plots").exit_code == 0  # its test images are files of their own


def test_other_test_images_leave_the_validation_images_as_they_were(cnn, run) -> None:
    flip_a_pixel("t10k")
    assert cnn("eval", run, "--split", "val", "--no-plots").exit_code == 0


def test_a_set_that_has_shrunk_is_not_split_anew(cnn, run) -> None:
    from cnncli.data.readers.idx import read_idx, write_idx

    for kind in ("images-idx3", "labels-idx1"):
        path = Path(f"tiny/train-{kind}-ubyte")
        write_idx(path, read_idx(path)[:20])
    result = cnn("eval", run, "--split", "val", "--no-plots")
    assert result.exit_code == 1
    assert "are not those that run-1 was trained on" in result.stderr


def test_runs_on_different_parts_of_a_set_have_no_training_images_in_common(cnn, run) -> None:
    assert cnn(*TRAIN, "--set", "data.limit=60").exit_code == 0
    result = cnn("eval", "run-1", "run-2", "--split", "train")
    assert result.exit_code == 2 and "held out different images" in result.stderr
    assert cnn("eval", "run-1", "run-2", "--split", "val", "--json").exit_code == 0


ON_SHAPES = (
    *TRAIN,
    *("--set", "data.dataset=folder:shapes"),
    *("--set", "data.validation=10"),
    *("--set", "model.-1.linear=2"),
)


@pytest.fixture
def shapes(place: Path, cnn) -> Path:
    """A run on a folder of pictures without test/, so that test and validation images are drawn from it."""
    rng = np.random.default_rng(0)
    for label in range(2):
        folder = Path("shapes", "ab"[label])
        folder.mkdir(parents=True)
        for number in range(25):
            pixels = rng.integers(0, 100, (28, 28)).astype(np.uint8)
            pixels[4 + label * 14 : 8 + label * 14, 4:24] = 255
            Image.fromarray(pixels).save(folder / f"{number:02}.png")
    result = cnn(*ON_SHAPES)
    assert result.exit_code == 0, result.stderr
    return Path("shapes")


@pytest.mark.parametrize("split", ["test", "val"])
def test_pictures_that_were_misread_are_named_by_their_files(cnn, shapes, split: str) -> None:
    # half of the labels are wrong for the network: the bar of "b" is where that of "a" is
    for number in range(25):
        shutil.copy(shapes / "a" / f"{number:02}.png", shapes / "b" / f"{number:02}.png")
    assert cnn(*ON_SHAPES, "--name", "both").exit_code == 0
    document = json.loads(cnn("eval", "both", "--split", split, "--no-plots", "--json").stdout)
    assert document["mistakes"]
    for each in document["mistakes"]:
        assert each["file"].split("/")[0] == each["true"]
        assert (shapes / each["file"]).is_file()
    first = document["mistakes"][0]
    named = f"{first['file']}: {first['predicted']} ({100 * first['probability']:.1f} %)"
    assert named in cnn("eval", "both", "--split", split, "--no-plots").stdout.splitlines()


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "changed"])
def test_a_folder_with_another_picture_is_not_measured_on_images_of_the_training(cnn, shapes, change) -> None:
    for split in ("test", "val", "train"):
        assert cnn("eval", "run-1", "--split", split, "--no-plots").exit_code == 0
    one = shapes / "a" / "00.png"
    if change == "added":
        shutil.copy(one, shapes / "a" / "new.png")
    elif change == "removed":
        one.unlink()
    elif change == "renamed":
        one.rename(shapes / "a" / "zz.png")
    else:
        for one in (shapes / "a").iterdir():
            Image.new("L", (28, 28), 200).save(one)
    for split in ("test", "val", "train"):
        result = cnn("eval", "run-1", "--split", split, "--no-plots")
        assert result.exit_code == 1, split
        assert "are not those that run-1 was trained on" in result.stderr
    resumed = cnn("train", "--resume", "run-1", "--epochs", "9")
    assert resumed.exit_code == 1
    assert "the training and validation images are not those that run-1 was started with" in resumed.stderr


def test_validation_images_of_a_folder_may_not_change_either(cnn, shapes) -> None:
    shutil.copytree(shapes, "parts/train")
    for part in ("val", "test"):
        for kind in "ab":
            Path("parts", part, kind).mkdir(parents=True)
            for picture in sorted(Path("parts/train", kind).iterdir())[:5]:
                picture.rename(Path("parts", part, kind, picture.name))
    options = ("--set", "data.dataset=folder:parts", "--set", "model.-1.linear=2")
    assert cnn(*TRAIN, *options).exit_code == 0
    assert cnn("eval", "run-2", "--split", "val", "--no-plots").exit_code == 0
    next(Path("parts/val/a").iterdir()).unlink()
    assert cnn("eval", "run-2", "--split", "val", "--no-plots").exit_code == 1
    resumed = cnn("train", "--resume", "run-2", "--epochs", "9")
    assert resumed.exit_code == 1
    assert "images are not those that run-2 was started with" in resumed.stderr
    assert cnn("eval", "run-2", "--no-plots").exit_code == 0  # its test images have a folder of their own


def test_a_set_of_other_images_is_refused(cnn, run) -> None:
    result = cnn("eval", run, "--dataset", "synthetic")
    assert result.exit_code == 1
    assert "(1, 8, 8)" in result.stderr and "(1, 28, 28)" in result.stderr


def test_a_run_folder_that_cannot_be_written_costs_a_warning_only(cnn, run) -> None:
    shutil.rmtree("runs/run-1/eval")
    Path("runs/run-1/eval").write_text("in the way")
    result = cnn("eval", run, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["count"] == 30
    assert "warning: the result is not kept" in result.stderr


def test_a_run_that_is_not_there(cnn, place) -> None:
    result = cnn("eval", "run-9")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


WIDE = Console(width=200)


def rows_of(made) -> list[list[str]]:
    with WIDE.capture() as captured:
        WIDE.print(made)
    return [line.split() for line in captured.get().splitlines()[2:]]


def test_long_class_names_are_numbered_in_the_matrix() -> None:
    rows = rows_of(confusion_table(np.array([[7, 0], [1, 2000]]), ["Sneaker", "Ankle boot"]))
    assert rows == [["0", "Sneaker", "7", "."], ["1", "Ankle", "boot", "1", "2,000"]]


def test_the_worst_pairs_come_first() -> None:
    confusion = np.array([[5, 1, 0], [3, 5, 0], [0, 0, 5]])
    assert rows_of(worst_pairs(confusion, ["a", "b", "c"], WIDE)) == [
        ["b", "a", "3", "8"],
        ["a", "b", "1", "6"],
    ]


def measured(confusion: np.ndarray) -> Evaluation:
    count = int(confusion.sum())
    accuracy = confusion.trace() / count
    return Evaluation(count, 0.1, accuracy, confusion, per_class(confusion), np.zeros((0, len(confusion))))


def printed(made, width: int = 200) -> list[str]:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(made)
    return captured.get().splitlines()


def test_the_average_is_over_the_classes() -> None:
    rows = rows_of(class_table(measured(np.array([[9, 1], [0, 990]])), ["a", "b"], WIDE))
    assert rows[-1] == ["average", "99.95", "%", "95.00", "%", "97.34", "%", "1,000"]


def test_the_columns_of_the_matrix_have_one_width() -> None:
    confusion = np.diag([7, 1200, 30, 5])
    lines = printed(confusion_table(confusion, list("abcd")))[2:]
    ends = [
        line.index(str(f"{count:,}")) + len(f"{count:,}")
        for line, count in zip(lines, (7, 1200, 30, 5), strict=True)
    ]
    assert len(set(np.diff(ends))) == 1


@pytest.mark.parametrize(
    ("width", "first"), [(120, "true \\ predicted"), (80, "true"), (60, "true"), (40, "true   predicted")]
)
def test_the_matrix_becomes_narrow_and_then_a_list_rather_than_broken(width: int, first: str) -> None:
    confusion = np.full((10, 10), 3) + np.diag(np.full(10, 1000))
    console = Console(width=width)
    lines = printed(matrix_that_fits(confusion, [str(digit) for digit in range(10)], console), width)
    assert max(map(len, lines)) <= width
    assert lines[0].startswith(first)
    if width > 40:
        assert [line.split()[0] for line in lines[2:]] == [str(digit) for digit in range(10)]
        assert lines[2].split()[1] == ("1,003" if width > 60 else "1003")


def test_the_worst_confusion_is_named_in_words(cnn, run) -> None:
    from cnncli.data.readers.idx import write_idx

    labels = np.arange(30, dtype=np.uint8) % 3
    labels[labels == 1] = 2
    write_idx(Path("tiny/t10k-labels-idx1-ubyte"), labels)
    result = cnn("eval", run, "--no-plots")
    (worst,) = (line for line in result.stdout.splitlines() if line.startswith("worst"))
    document = json.loads(Path("runs/run-1/eval/test.json").read_text())
    assert worst == f"worst        2 taken for 1: {document['confusion'][2][1]} of 20"


def test_the_pairs_of_a_perfect_network_are_none() -> None:
    assert confused_pairs(np.diag([3, 4])) == []
