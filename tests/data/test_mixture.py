"""Several sets become one to train on, if their classes and images fit each other."""

import numpy as np
import pytest

from cnncli.data.dataset import Dataset, SetEntry, Split
from cnncli.data.load import load_dataset
from cnncli.data.mixture import join_sets, misfits, take_limit, to_entries
from cnncli.errors import DataError, UsageError


def made(
    name: str, count: int, value: int, classes: str = "abc", shape: tuple[int, ...] = (4, 4), **more: object
) -> Dataset:
    """A set whose pixels all have one value."""

    def split(count: int) -> Split:
        return Split(np.full((count, *shape), value, np.uint8), np.arange(count) % len(classes))

    return Dataset(name, split(count), split(6), tuple(classes), value / 255, 0.0, **more)  # type: ignore[arg-type]


def test_the_training_images_follow_each_other_and_the_test_images_are_the_first_sets() -> None:
    entries = to_entries(["first", {"second": {"share": 0.5}}])
    joined = join_sets(entries, [made("first", 6, 1), made("second", 9, 2)])
    assert joined.name == "first + second"
    assert [(each.name, each.positions, each.share) for each in joined.members] == [
        ("first", (0, 6), None),
        ("second", (6, 15), 0.5),
    ]
    assert joined.train.images[:, 0, 0].tolist() == [1] * 6 + [2] * 9
    assert joined.test.images.max() == 1 and joined.members[1].test.images.max() == 2
    assert joined.mean == pytest.approx((6 * 1 + 9 * 2) / 15 / 255)


def test_classes_in_another_order_are_matched_by_name() -> None:
    joined = join_sets([SetEntry("x"), SetEntry("y")], [made("x", 3, 1), made("y", 3, 2, "cab")])
    assert joined.train.labels.tolist() == [0, 1, 2, 2, 0, 1]
    assert joined.members[1].test.labels.tolist() == [2, 0, 1, 2, 0, 1]


def test_the_sets_are_let_go_while_they_are_joined() -> None:
    loaded = [made("x", 3, 1), made("y", 3, 2)]
    join_sets([SetEntry("x"), SetEntry("y")], loaded)
    assert loaded == []


def test_everything_that_does_not_fit_is_told() -> None:
    sets = [made("x", 3, 1), made("y", 3, 1, "ab", (5, 5)), made("z", 3, 1, "def"), made("t", 0, 1)]
    found = misfits(sets)
    assert [position for position, _ in found] == [1, 1, 2, 3]
    for part, (_, text) in zip(
        ["no class c", "5x5", "classes d, e, f", "test images only"], found, strict=True
    ):
        assert part in text
    with pytest.raises(DataError) as caught:
        join_sets([SetEntry(each.name) for each in sets], sets)
    assert caught.value.message.count("\n") == 3


def test_notes_say_which_set_they_are_about() -> None:
    notes = ("warning: all pixels are 3", "b: 5 pictures")
    joined = join_sets(
        [SetEntry("a"), SetEntry("folder:a/b")], [made("a", 3, 1), made("b", 3, 1, notes=notes)]
    )
    assert joined.notes == ("warning: folder:a/b: all pixels are 3", "b: 5 pictures")


def test_a_limit_keeps_every_class_in_proportion_and_is_always_the_same() -> None:
    whole = made("x", 30, 1)
    some = take_limit(whole, 9)
    assert np.bincount(some.train.labels).tolist() == [3, 3, 3]
    assert take_limit(whole, 9).train.labels.tolist() == some.train.labels.tolist()
    assert take_limit(whole, 30) is whole


@pytest.mark.parametrize("sets", [[], ["a", "a"], [{"a": {"weight": 2}}], [3]])
def test_other_forms_of_a_list_are_refused(sets: list[object]) -> None:
    with pytest.raises(UsageError):
        to_entries(sets)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": True}, {"share": 0}, {"share": 2}])
def test_an_entry_refuses_numbers_out_of_range(options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        to_entries([{"a": options}])


def test_drawn_digits_are_drawn_to_their_limit() -> None:
    joined = load_dataset([{"synthetic": {"limit": 30}}])
    assert len(joined.train) == 30
    assert np.array_equal(joined.test.images, load_dataset("synthetic").test.images)
