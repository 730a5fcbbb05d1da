"""The tape of recorded calls, the memory that they work on, and the layouts of images."""

import numpy as np
import pytest

from cnncli.engine.kernels.arrays import ChannelRow, Scratch, empty, empty_mask, shared_zeros
from cnncli.engine.kernels.layout import columns_apart, matching_columns, single_block, split_columns
from cnncli.engine.kernels.tape import Tape
from cnncli.nn.aligned import ALIGNMENT


def test_recorded_calls_run_in_order_and_only_when_replayed():
    tape, x = Tape(), np.zeros(4, np.float32)
    tape.add(x, np.float32(1), out=x)
    tape.multiply(x, np.float32(3), out=x)
    tape.maximum(x, np.full(4, 2, np.float32), out=x)
    assert len(tape) == 3 and not x.any()
    tape.replay()
    assert np.array_equal(x, [3, 3, 3, 3])
    tape.replay()
    assert np.array_equal(x, [12, 12, 12, 12])


def test_every_array_starts_on_a_cache_line():
    scratch = Scratch()
    for array in (
        empty(3),
        empty_mask(5),
        shared_zeros(7),
        scratch.empty(3),
        scratch.empty_mask(5),
        scratch.empty(9),
        scratch.alternate(4),
    ):
        assert array.ctypes.data % ALIGNMENT == 0


def test_kernels_share_scratch_memory_and_arrays_of_one_kernel_do_not_overlap():
    scratch = Scratch()
    first, second = scratch.empty(10), scratch.empty(10)
    assert not np.shares_memory(first, second)
    scratch.begin_kernel()
    assert np.shares_memory(scratch.empty(10), first)
    one, two, three = (scratch.alternate(6) for _ in range(3))
    assert not np.shares_memory(one, two) and np.shares_memory(one, three)


def test_shared_zeros_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        shared_zeros(4)[0] = 1


@pytest.mark.parametrize("width", [1, 2, 5, 6])
def test_matching_columns_are_the_same_columns_whatever_the_layout(width):
    image = np.arange(3 * width * 2 * 4, dtype=np.float32).reshape(3, width, 2, 4)
    apart = columns_apart(image[:, 0::2].copy(), image[:, 1::2].copy())
    for source in (single_block(image), apart):
        flat = np.empty(image.size, np.float32)
        for a, b in matching_columns(source, split_columns(flat, image.shape)):
            b[...] = a
        back = np.empty_like(image)
        for a, b in matching_columns(split_columns(flat, image.shape), single_block(back)):
            b[...] = a
        assert np.array_equal(back, image)


def test_a_channel_row_repeats_its_channels():
    row = ChannelRow(6, 4)
    row.set(np.arange(4))
    x = np.zeros(24, np.float32)
    np.add(row.across(x), row.row, out=row.across(x))
    assert np.array_equal(x.reshape(6, 4), np.tile(np.arange(4), (6, 1)))
