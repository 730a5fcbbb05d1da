"""A slice of a source of random numbers draws what the whole source would have drawn for it."""

import numpy as np

from cnncli.batches.random_source import RandomSlice


def test_a_part_draws_what_the_whole_would_have_drawn_for_it():
    def every_draw(rng, count):
        return [
            rng.uniform(-1, 2, count),
            rng.normal(3, 0.5, count),
            rng.integers(-3, 3, np.int64(count), endpoint=True),
            rng.integers(7, size=(count, 1)),
            rng.random((count, 2, 3)),
            rng.random(count, np.float32),
            rng.standard_normal((count, 2)),
            rng.standard_normal((count, 2), np.float32),
        ]

    whole = every_draw(np.random.default_rng(2), 9)
    for part in (slice(0, 4), slice(4, 9), slice(2, 3)):
        drawn = every_draw(RandomSlice(np.random.default_rng(2), 9, part), part.stop - part.start)
        for found, expected in zip(drawn, whole, strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected[part])
