"""Random streams: independent for each of (seed, split, member), use and place."""

import itertools

import numpy as np

from precisionflow.data.streams import Stream, Use


def test_no_two_streams_are_the_same():
    """Coordinates exchanged, left at 0 or moved to a neighbour give other numbers."""
    small = range(3)
    numbers = {
        Stream(seed, split, member).number(use, place)
        for seed, split, member, place in itertools.product(small, repeat=4)
        for use in Use
    }
    assert len(numbers) == 3**4 * len(Use)
    assert all(0 <= number < 2**63 for number in numbers)
    assert max(numbers) > 2**62


def test_a_stream_is_a_function_of_its_coordinates():
    one, other = (Stream(3, 1, 2).generator(Use.BATCHES, 4).random(5) for _ in range(2))
    assert (one == other).all()
    sequence = np.random.SeedSequence(3, spawn_key=(Use.BATCHES, 1, 2, 4))
    assert (one == np.random.default_rng(sequence).random(5)).all()
