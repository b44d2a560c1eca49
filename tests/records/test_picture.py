"""How pixels lie: rows, columns and colours, whichever axis the colours are."""

import numpy as np
import pytest

from precisionflow.records.picture import colours_last, upper_half


@pytest.mark.parametrize(
    ("shape", "laid_out"),
    [
        ((9,), (3, 3, 1)),
        ((6,), (1, 6, 1)),
        ((4, 5), (4, 5, 1)),
        ((3, 4), (3, 4, 1)),
        ((4, 5, 3), (4, 5, 3)),
        ((3, 4, 5), (4, 5, 3)),
        ((1, 4, 5), (4, 5, 1)),
        ((3, 4, 3), (3, 4, 3)),
        ((4, 5, 2, 2), (4, 5, 4)),
    ],
    ids=str,
)
def test_an_image_has_rows_columns_and_colours(shape, laid_out):
    assert colours_last(np.arange(np.prod(shape)), shape).shape == laid_out


@pytest.mark.parametrize("height", [2, 5, 6])
@pytest.mark.parametrize("colours", [1, 3])
def test_the_upper_half_is_whole_rows_in_every_colour(height, colours):
    expected = np.zeros((height, 4, colours), dtype=bool)
    expected[: height // 2] = True
    last, first = (height, 4, colours), (colours, height, 4)
    np.testing.assert_array_equal(upper_half(last).reshape(last), expected)
    np.testing.assert_array_equal(upper_half(first).reshape(first), np.moveaxis(expected, 2, 0))


def test_the_upper_half_of_flat_images_is_that_of_a_square_or_the_left_of_a_row():
    assert upper_half((9,)).tolist() == [True] * 3 + [False] * 6
    assert upper_half((7,)).tolist() == [True] * 3 + [False] * 4
    assert upper_half((1,)).tolist() == [False]
