"""Levels that hold and the one that is recommended."""

import math
from collections.abc import Collection

import pytest

from precisionflow.ablation.analyses.responses import judged
from precisionflow.ablation.statistics import Interval

MEANS = [3.0, 1.2, 1.0, 1.1, 1.05]


def found(
    own: int | None, *, half: float, margin: float, ordered: bool = True, lost: Collection[int] = ()
) -> tuple[list[int], list[int]]:
    """Levels that are robust, and that which is recommended; every difference is known to ± half."""

    def behind(level: int, best: int) -> Interval:
        d = MEANS[level] - MEANS[best]
        width = half if level != best else 0.0
        return Interval(d, d - width, d + width, 1.0, 4)

    said = judged(MEANS, behind, margin=margin, ordered=ordered, own=own, lost=lost)
    assert [of.own for of in said] == [index == own for index in range(5)]
    return [i for i, of in enumerate(said) if of.robust], [i for i, of in enumerate(said) if of.recommended]


@pytest.mark.parametrize(
    ("own", "half", "margin", "robust", "recommended"),
    [
        (1, 0.04, 0.15, [2, 3, 4], [2]),  # 0.2 ± 0.04 behind: shown to be above the margin
        (1, 0.06, 0.15, [2], [1]),  # 0.1 ± 0.06 is not shown to be below 0.15; 0.2 ± 0.06 not above
        (3, 0.01, 0.15, [2, 3, 4], [3]),
        (0, 0.01, 0.15, [2, 3, 4], [2]),
        (None, 0.01, 0.15, [2, 3, 4], [2]),
        (1, 0.25, math.nan, [1, 2, 3, 4], [1]),
        (0, 0.25, math.nan, [1, 2, 3, 4], [2]),
        (1, math.nan, 0.15, [], []),
    ],
)
def test_the_rule(own, half, margin, robust, recommended) -> None:
    assert found(own, half=half, margin=margin) == (robust, recommended)


def test_a_range_has_no_gap_and_a_list_may_have_one() -> None:
    assert found(None, half=0.0, margin=0.06) == ([2], [2])
    assert found(None, half=0.0, margin=0.06, ordered=False) == ([2, 4], [2])


def test_a_level_that_failed_everywhere_is_neither_robust_nor_recommended() -> None:
    assert found(3, half=0.01, margin=5.0) == ([0, 1, 2, 3, 4], [3])
    assert found(3, half=0.01, margin=5.0, lost=(2, 3)) == ([4], [4])
    assert found(3, half=0.01, margin=5.0, lost=range(5)) == ([], [])


def test_nothing_measured_says_nothing() -> None:
    said = judged([math.nan] * 2, lambda *_: 1 / 0, margin=1.0, ordered=True, own=0)
    assert [(of.robust, of.recommended) for of in said] == [(False, False)] * 2
