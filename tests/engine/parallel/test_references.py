"""What is sent to another process: arrays that both can see are never copied, and what it cannot load is refused."""

import io
import pickle

import numpy as np
import pytest

from cnncli.engine.parallel.references import Receiver, Sender
from cnncli.engine.parallel.segments import SegmentMemory
from cnncli.engine.parallel.shared_memory import move_network
from cnncli.nn import build_network


@pytest.fixture
def memory():
    return SegmentMemory()


def sent(value, *memories):
    """Return the bytes that are sent, and what arrives."""
    copies = SegmentMemory()
    file = io.BytesIO()
    Sender(file, [*memories, copies], copies).dump(value)
    segments = [segment for each in (*memories, copies) for segment in each.segments]
    return file.getvalue(), Receiver(file.getvalue(), segments).load()


@pytest.mark.parametrize(
    "part",
    [np.s_[:], np.s_[3:7], np.s_[::-1], np.s_[::2, 1:5], np.s_[2], np.s_[:, 3]],
    ids=str,
)
def test_any_view_of_shared_memory_arrives_as_the_same_memory(part, memory):
    array = memory.empty(10, 8)
    array[...] = np.arange(80).reshape(10, 8)
    _, found = sent(array[part], memory)
    assert np.array_equal(found, array[part])
    array += 1
    assert np.array_equal(found, array[part])


def test_a_large_array_is_copied_once_and_a_small_one_is_pickled():
    large, small = np.random.default_rng(0).random(20_000), np.arange(5)
    data, (first, second, found) = sent([large, large, small])
    assert first is not large and np.shares_memory(first, second)
    assert np.array_equal(first, large) and np.array_equal(found, small)
    assert len(data) < 2000


def test_an_array_that_must_not_be_written_to_arrives_so(memory):
    array = memory.empty(5)
    array.flags.writeable = False
    assert not sent(array, memory)[1].flags.writeable


@pytest.mark.parametrize("part", [np.s_[:], np.s_[40:90], np.s_[::3, 5:]], ids=str)
def test_a_mapped_file_is_sent_as_its_path(part, tmp_path):
    path = tmp_path / "images"
    path.write_bytes(b"header" + np.arange(100_000, dtype=np.uint8).tobytes())
    mapped = np.memmap(path, np.uint8, "r", offset=6, shape=(100, 1000))
    data, found = sent(np.asarray(mapped[part]))
    assert len(data) < 1000
    assert np.array_equal(found, mapped[part])


def test_a_file_that_is_mapped_to_be_changed_is_copied(tmp_path):
    mapped = np.memmap(tmp_path / "images", np.uint8, "w+", shape=100_000)
    found = sent(mapped)[1]
    mapped += 1
    assert not found.any()


def test_the_parameters_of_a_network_stay_views_of_the_same_vector(memory):
    layers = [
        ("conv", {"filters": 4, "kernel": 3}),
        ("batchnorm", {}),
        ("flatten", {}),
        ("linear", {"units": 3}),
    ]
    network = build_network(layers, (1, 8, 8), rng=np.random.default_rng(0))
    move_network(network, memory)
    found = sent(network, memory)[1]
    network.parameters.values += 1
    network.layers[1].buffers["running_mean"] += 2
    assert np.array_equal(found.parameters.values, network.parameters.values)
    assert np.shares_memory(found.layers[0].weight, found.parameters.values)
    assert np.array_equal(found.buffers["batchnorm1.running_mean"], found.layers[1].buffers["running_mean"])
    assert found.layers[1].buffers["running_mean"][0] == 2


class OfTheMainScript:
    pass


OfTheMainScript.__module__ = "__main__"


def test_what_the_main_script_defines_is_refused():
    with pytest.raises(pickle.PicklingError, match="OfTheMainScript is defined in the main script"):
        sent(OfTheMainScript())
