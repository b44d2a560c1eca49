"""Power of the paired t test: the smallest effect that n units show, and the n that would show an effect."""

import math
from bisect import bisect_left
from collections.abc import Callable

from scipy.special import chdtrc, nctdtr, stdtrit

from precisionflow.config import Experiment
from precisionflow.config.drawn_tables import HeteroscedasticSine, MovingTarget, NodeChain, Sensors
from precisionflow.config.sources import (
    ImageFile,
    ScikitLearnClasses,
    ScikitLearnImages,
    ScikitLearnTable,
    TableFile,
)
from precisionflow.config.tables import GivenSplit

POWER = 0.8
"""Probability with which an effect of the stated size is to be shown."""
MOST = 10_000
"""Units up to which a number that would decide is looked for."""
TENTH = 1 / 9
"""n_test / n_train where a tenth of the rows is tested."""


def power_of_difference(effect: float, *, std: float, n: int, level: float, overlap: float = 0.0) -> float:
    """P(|T| > t_{n-1}(1 - level / 2)), T noncentral t with n - 1 degrees of freedom and the noncentrality

        effect / (std * sqrt(1 / n + overlap)) .

    `std` is that of the units' differences; `overlap` as in `statistics.mean_interval`.
    """
    critical = -float(stdtrit(n - 1, level / 2))
    shift = abs(effect) / (std * math.sqrt(1 / n + overlap))
    return 1 - _below(critical, n - 1, shift) + _below(-critical, n - 1, shift)


def power_of_equivalence(
    effect: float, *, margin: float, std: float, n: int, level: float, overlap: float = 0.0
) -> float:
    """Lower bound of the probability that both one-sided t tests reject where the effect is `effect`:

        P(T_1 > t) + P(T_2 > t) - 1 ,    t = t_{n-1}(1 - level) ,

    with the noncentralities (margin ± effect) / (std * sqrt(1 / n + overlap)); at least 0, and NaN where n = 1.
    """
    if n < 2:
        return math.nan
    critical, error = -float(stdtrit(n - 1, level)), std * math.sqrt(1 / n + overlap)
    shifts = (max(margin - effect, 0.0) / error, max(margin + effect, 0.0) / error)
    missed = sum(_below(critical, n - 1, shift) for shift in shifts)
    return max(0.0, 1 - missed)


def _below(value: float, degrees: int, shift: float) -> float:
    """P(T <= value) of the noncentral t.

    Where scipy gives NaN, at shifts beside which a normal variate is nothing, T is shift / sqrt(chi² / degrees).
    """
    found = float(nctdtr(degrees, shift, value))
    if not math.isnan(found):
        return found
    return float(chdtrc(degrees, degrees * (shift / value) ** 2)) if value > 0 else 0.0


def smallest_effect(*, std: float, n: int, level: float, overlap: float = 0.0, power: float = POWER) -> float:
    """The effect that has the given power, in the unit of `std`; infinite where n = 1."""
    if n == 1:
        return math.inf
    low, high = 0.0, 1.0
    while power_of_difference(high, std=1.0, n=n, level=level, overlap=overlap) < power:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        shown = power_of_difference(middle, std=1.0, n=n, level=level, overlap=overlap) >= power
        low, high = (low, middle) if shown else (middle, high)
    return std * high


def units_for_difference(
    effect: float, *, std: float, level: float, overlap: float = 0.0, power: float = POWER
) -> float:
    """The smallest n, 2 to `MOST`, whose `power_of_difference` is the given one; NaN where none has it.

    NaN too where `std` is NaN or 0: one unit, or units that all agree, do not say how far others would vary.
    """
    return _fewest(
        lambda n: power_of_difference(effect, std=std, n=n, level=level, overlap=overlap) >= power, std
    )


def units_for_equivalence(
    effect: float, *, margin: float, std: float, level: float, overlap: float = 0.0, power: float = POWER
) -> float:
    """The same of `power_of_equivalence`; NaN too where the effect lies beyond the margin, or none is stated."""
    return _fewest(
        lambda n: (
            power_of_equivalence(effect, margin=margin, std=std, n=n, level=level, overlap=overlap) >= power
        ),
        std if abs(effect) < margin else math.nan,
    )


def _fewest(shown: Callable[[int], bool], std: float) -> float:
    """The smallest n at which something is shown that more units show too."""
    if not std > 0:
        return math.nan
    n = 2 + bisect_left(range(2, MOST + 1), True, key=shown)
    return float(n) if n <= MOST else math.nan


def overlap_of(experiment: Experiment) -> float:
    """n_test / n_train of the experiment's splits as its source says; 0 of seeds and of splits drawn apart."""
    if len(experiment.splits) == 1 or experiment.task.several_splits == "drawn":
        return 0.0
    match experiment.task.source:
        case (
            ScikitLearnTable(split=split)
            | ScikitLearnClasses(split=split)
            | ScikitLearnImages(split=split)
            | ImageFile(split=split)
            | HeteroscedasticSine(split=split)
            | Sensors(split=split)
            | MovingTarget(split=split)
            | NodeChain(split=split)
            | TableFile(split=split)
        ) if not isinstance(split, GivenSplit):
            return split.overlap
        case _:
            return TENTH
