"""The geometry of windows, against results found by counting."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnncli.nn import Conv2D
from cnncli.nn.layers.windows import crop, output_size, pad, same_pads, taps
from tests.nn import naive

SMALL = st.integers(1, 9)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 40), SMALL, SMALL, st.integers(0, 9), st.integers(0, 9))
def test_output_size_counts_the_windows(size: int, kernel: int, stride: int, before: int, after: int) -> None:
    counted = naive.output_length(size, kernel, stride, before, after)
    assert max(output_size(size, kernel, stride, before, after), 0) == counted


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 40), SMALL, SMALL)
def test_same_padding_is_the_least_that_gives_a_window_for_every_stride(
    size: int, kernel: int, stride: int
) -> None:
    before, after = same_pads(size, kernel, stride)
    assert output_size(size, kernel, stride, before, after) == -(-size // stride)
    assert (before, after) == naive.same(size, kernel, stride)
    assert after - before in (0, 1)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [(28, 3, 1, (1, 1)), (28, 2, 1, (0, 1)), (28, 5, 2, (1, 2)), (5, 3, 2, (1, 1)), (6, 3, 2, (0, 1)),
     (5, 1, 3, (0, 0))],
)  # fmt: skip
def test_same_padding_as_tensorflow_documents_it(
    size: int, kernel: int, stride: int, pads: tuple[int, int]
) -> None:
    assert same_pads(size, kernel, stride) == pads


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(SMALL, SMALL, st.tuples(SMALL, SMALL), st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_im2col_and_col2im_are_transposes_of_each_other(
    height: int, width: int, kernel: tuple[int, int], stride: tuple[int, int]
) -> None:
    layer = Conv2D(2, 1, kernel, stride, padding="same")
    _, *output = layer.output_shape((2, height, width))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 2, height, width))
    columns = layer._im2col(x)
    dcolumns = rng.normal(size=columns.shape)
    folded = layer._col2im(dcolumns, x.shape, (output[0], output[1]))
    assert (columns * dcolumns).sum() == pytest.approx((x * folded).sum(), abs=1e-9)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(SMALL, SMALL), st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2))
def test_crop_undoes_pad(size: tuple[int, int], pads: tuple[tuple[int, int], tuple[int, int]]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 1, *size))
    padded = pad(x, pads, fill=7)
    assert (padded == 7).sum() == padded.size - x.size
    np.testing.assert_array_equal(crop(padded, pads), x)


def test_taps_are_what_each_window_sees_in_row_major_order() -> None:
    image = np.arange(20).reshape(1, 1, 4, 5)
    seen = [image[tap][0, 0].tolist() for tap in taps((2, 2), (2, 3), (2, 2))]
    assert seen == [
        [[0, 3], [10, 13]],
        [[1, 4], [11, 14]],
        [[5, 8], [15, 18]],
        [[6, 9], [16, 19]],
    ]
