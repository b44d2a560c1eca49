"""The arithmetic of a batch: the most precise that is in time, of those whose error is allowed and that are faster."""

from precisionflow.records.arithmetic import Arithmetic, ArithmeticCard, Variant


def chosen(card: ArithmeticCard, *, rows: int, tolerance: float, seconds: float) -> Arithmetic:
    """float32 where it is done in `seconds`; else the most precise cheaper one that is, else the fastest allowed.

    Allowed is a variant that was measured faster than float32 at this number of rows and whose error is `tolerance` at
    most: the error is in units of the stated std, so that a wide prediction may be computed with less precision.
    """
    exact, *cheaper = card.variants
    if exact.timed(rows).most <= seconds:
        return exact.arithmetic
    allowed = [each for each in cheaper if each.error <= tolerance and each.timed(rows).faster]
    in_time = [each for each in sorted(allowed, key=_error) if each.timed(rows).most <= seconds]
    return min(in_time[:1] or [exact, *allowed], key=lambda each: _median(each, rows)).arithmetic


def _error(variant: Variant) -> float:
    return variant.error


def _median(variant: Variant, rows: int) -> float:
    return variant.timed(rows).median
