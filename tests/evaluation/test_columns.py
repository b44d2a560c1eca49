"""Columns of rows: what is no column is refused, whatever shape it has."""

import numpy as np
import pytest

from precisionflow.evaluation.columns import aligned


@pytest.mark.parametrize("shapes", [[()], [(3, 1)], [(3,), (3, 1)], [(3,), (4,)], [(3,), ()]])
def test_what_is_not_one_number_a_row_is_refused(shapes):
    columns = {f"c{index}": np.zeros(shape) for index, shape in enumerate(shapes)}
    with pytest.raises(ValueError, match=r"^shapes c0 .*: should all be \(rows,\)"):
        aligned(**columns)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="a, b: no rows; give at least one"):
        aligned(a=np.zeros(0), b=np.zeros(0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_no_number_is_named(bad):
    with pytest.raises(ValueError, match="b, row 2: given"):
        aligned(a=np.zeros(4), b=np.array([0, 1, bad, 2]))


def test_columns_become_float64():
    found = aligned(a=np.array([1, 2]), b=np.array([True, False]))
    assert [part.dtype for part in found] == [np.float64, np.float64]
    assert [part.tolist() for part in found] == [[1.0, 2.0], [1.0, 0.0]]
