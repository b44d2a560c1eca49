"""Numbers as people read them: as many digits as their uncertainty allows, at every scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_FIXED = range(-4, 6)
"""Powers of ten of the largest number that need no factor: 0.0001 to 999,999."""
_MOST_DIGITS = 12
"""Digits of a number before rounding error."""
_ROUNDING = 1e-12
"""Spread over the largest number from which on it counts as one."""

ALL_EQUAL = "(all equal)"
"""In the place of an interval of no width."""


@dataclass(frozen=True)
class Digits:
    """Decimals that several numbers share, and the power of ten that they are multiples of."""

    decimals: int
    exponent: int = 0

    def number(self, value: float, *, sign: bool = False) -> str:
        """value / 10^exponent with a true minus sign; an em dash for NaN."""
        if math.isnan(value):
            return "—"
        if math.isinf(value):
            return "−∞" if value < 0 else "+∞" if sign else "∞"
        scaled = Decimal(value).scaleb(-self.exponent)
        text = f"{scaled:{'+' if sign else ''}.{self.decimals}f}"
        if Decimal(text) == 0:
            text = text.lstrip("+-")
        return text.replace("-", "−")

    def times(self, text: str) -> str:
        """The numbers in a text with their common factor: "(3.60 ± 0.12)×10⁻⁸"; the text itself where that is 1."""
        if not self.exponent:
            return text
        bracketed = f"({text})" if " " in text else text
        return f"{bracketed}×10{str(self.exponent).translate(_SUPERSCRIPT)}"


def common_digits(values: Sequence[float], *, spread: float = math.nan, digits: int = 4) -> Digits:
    """Two digits of `spread` for all `values`; `digits` of the largest where the spread is none or rounding.

    Infinite numbers and NaN count for nothing.
    """
    finite = [abs(value) for value in (*values, spread) if math.isfinite(value)]
    largest = max(finite, default=0.0)
    if not largest:
        return Digits(3)
    real = math.isfinite(spread) and spread > _ROUNDING * largest
    size, shown = (spread, 2) if real else (largest, digits)
    power = _power(largest, digits=_MOST_DIGITS)
    exponent = 0 if power in _FIXED else power
    return Digits(max(shown - 1 - _power(size, digits=shown) + exponent, 0), exponent)


def _power(size: float, *, digits: int) -> int:
    """Power of ten of a positive number after rounding it to `digits` digits: that of 0.0996, to two digits, is -1."""
    return int(f"{size:.{digits - 1}e}".partition("e")[2])


def significant(value: float, *, spread: float = math.nan, digits: int = 4) -> str:
    """ "2.346", "3.600×10⁻⁸": one number alone, with two digits of its `spread` where that is known."""
    found = common_digits([value], spread=spread, digits=digits)
    text = found.number(value)
    return found.times(text) if math.isfinite(value) else text


def plus_minus(value: float, half: float) -> str:
    """ "2.0612 ± 0.0034", "(3.60 ± 0.12)×10⁻⁸"; the value alone where the half-width is NaN.

    "0.8333 (all equal)" where it is 0: values that agree leave no spread, which is no certainty.
    """
    if math.isnan(half) or not math.isfinite(value):
        return significant(value)
    if half <= _ROUNDING * abs(value):
        return f"{significant(value)} {ALL_EQUAL}"
    found = common_digits([value], spread=half)
    return found.times(f"{found.number(value)} ± {found.number(half)}")


def with_interval(value: float, low: float, high: float, *, sign: bool = True) -> str:
    """ "+0.05 [−0.06, 0.16]", digits by half the interval's width; the value alone where the ends are NaN.

    "+0.05 (all equal)" where the interval has no width. Without `sign` what is no difference: "0.05 [0.04, 0.06]".
    """
    if math.isnan(low) or math.isnan(high):
        found = common_digits([value])
        return found.times(found.number(value, sign=sign))
    if math.isfinite(high - low) and high - low <= _ROUNDING * max(abs(low), abs(high)):
        found = common_digits([value])
        return f"{found.times(found.number(value, sign=sign))} {ALL_EQUAL}"
    found = common_digits([value, low, high], spread=(high - low) / 2)
    return found.times(f"{found.number(value, sign=sign)} [{found.number(low)}, {found.number(high)}]")


def span(low: float, high: float) -> str:
    """ "0.80 to 0.95": the ends of a range, digits by its width."""
    found = common_digits([low, high], spread=high - low)
    return found.times(f"{found.number(low)} to {found.number(high)}")


def grouped(number: int) -> str:
    """ "1 234 567": a whole number in groups of three digits, between them narrow blanks that no line breaks at."""
    return f"{number:,}".replace(",", "\u202f")
